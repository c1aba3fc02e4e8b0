import numpy as np
import pytest

from archflow.errors import ArchflowError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.predictors import blocks as module
from archflow.predictors.blocks import VIEW_OF_FORM, VIEWS, FeatureBlocks, Standardiser
from archflow.predictors.features import operation_counts, path_statistics


@pytest.fixture
def computed(table):
    return FeatureBlocks(table, seed=0)


def test_every_block_of_every_view_is_there(table, candidates, computed):
    for view in VIEWS.values():
        for name in view.blocks:
            block = computed.of(candidates, name)
            assert block.shape == (len(candidates), computed.of(table, name).shape[1]), name
            assert np.isfinite(block).all()


def test_function_blocks_see_the_collapsed_graph(candidates, computed):
    collapsed = candidates.collapsed()
    np.testing.assert_allclose(computed.of(candidates, "operations"), operation_counts(collapsed))
    np.testing.assert_allclose(computed.of(candidates, "paths"), path_statistics(collapsed), rtol=1e-6)
    np.testing.assert_allclose(computed.of(candidates, "written operations"), operation_counts(candidates))
    for name in VIEWS["function"].blocks:  # what the graph computes does not change by collapsing it
        np.testing.assert_allclose(
            computed.of(candidates, name), computed.of(collapsed, name), rtol=1e-4, atol=1e-5
        )


def test_blocks_are_computed_once_a_table(candidates, table, computed):
    first = computed.of(candidates, "flow")
    assert computed.of(candidates, "flow") is first
    computed.of(table, "flow")
    assert computed.of(candidates, "flow") is not first


def test_a_new_table_at_the_same_place_is_not_mistaken(space, computed):
    for seed in range(20):  # tables that are gone at once, so that addresses come back
        drawn = space.sample(5, np.random.default_rng(seed))
        np.testing.assert_array_equal(computed.of(drawn, "written operations"), operation_counts(drawn))


def test_wide_one_hot_encodings_are_projected_and_keep_distances(table, candidates, monkeypatch):
    plain = FeatureBlocks(table, 0).of(candidates, "one-hot")
    monkeypatch.setattr(module, "_MOST_ONEHOT", plain.shape[1] - 1)
    monkeypatch.setattr(module, "_KEPT", 1_000)
    projected = FeatureBlocks(table, 0).of(candidates, "one-hot")
    assert projected.shape == (len(candidates), 1_000)
    pairs = np.triu_indices(len(candidates), 1)
    lengths = [np.linalg.norm(b[pairs[0]] - b[pairs[1]], axis=1) for b in (plain, projected)]
    np.testing.assert_allclose(lengths[1], lengths[0], rtol=0.25)


def test_sizes_on_the_scale_of_the_labelled():
    operations = Operations.of(["conv"], attributes=["channels"])
    sizes = (16.0, 64.0, 256.0)
    rows = [
        Architecture(("input", "conv", "output"), ((0, 1), (1, 2)), attributes={"channels": (0, size, 0)})
        for size in sizes
    ]
    table = ArchitectureTable.of(rows, operations)
    sequence = FeatureBlocks(table).of(table, "size sequence")
    assert sequence[:, 1].mean() == pytest.approx(0, abs=1e-6)
    assert sequence[:, 1].std() == pytest.approx(1, abs=1e-5)


def test_an_encoder_adds_its_embedding(table, candidates, encoders):
    computed = FeatureBlocks(table, 0, encoders["gin"])
    np.testing.assert_allclose(computed.of(candidates, "embedding"), encoders["gin"].embed(candidates))


def test_standardised_labelled_rows_have_mean_0_and_deviation_1():
    rng = np.random.default_rng(0)
    block = rng.normal(5, 3, size=(50, 4))
    scaled = Standardiser(block)(block)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled.std(axis=0), 1)


def test_what_does_not_vary_among_labels_keeps_its_scale_and_nothing_is_too_far_out():
    standardise = Standardiser(np.array([[1.0, 0.0], [1.0, 1.0]]))
    np.testing.assert_allclose(standardise(np.array([[3.0, 0.5], [1e9, -1e9]])), [[2, 0], [8, -8]])


def test_every_form_has_a_view():
    assert set(VIEW_OF_FORM.values()) <= set(VIEWS)
    assert set(VIEW_OF_FORM) == {"as-written", "pruned", "collapsed"}


def test_another_vocabulary_is_refused(computed):
    other = ArchitectureTable.of([Architecture(("input", "x", "output"), ((0, 1), (1, 2)))])
    with pytest.raises(ArchflowError):
        computed.of(other, "flow")
