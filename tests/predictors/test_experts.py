import numpy as np
import pytest
from scipy.stats import kendalltau

from archflow.predictors.blend import normal_scores
from archflow.predictors.blocks import FeatureBlocks
from archflow.predictors.experts import EncoderExpert, KernelExpert, TreesExpert, _telling
from archflow.predictors.labels import Labels


@pytest.fixture(scope="module")
def problem(space):
    table = space.sample(100, np.random.default_rng(3))
    names = np.array([architecture.operations for architecture in table])
    worth = (names == "nor_conv_3x3").sum(axis=1) - 2.0 * (names == "none").sum(axis=1)
    return table, normal_scores(worth + np.random.default_rng(4).normal(size=100))


@pytest.fixture(scope="module")
def labelled(problem):
    table, scores = problem
    return Labels(table[:60], scores[:60])


def experts(labelled):
    blocks = FeatureBlocks(labelled.table)
    return KernelExpert(blocks, "as-written", labelled, 0), TreesExpert(blocks, labelled, 0)


def test_they_predict_and_know_how_well(problem, labelled):
    table, scores = problem
    for expert in experts(labelled):
        mean, variance = expert.predict(table)
        np.testing.assert_array_equal(expert.mean(table), mean)
        assert kendalltau(mean[60:], scores[60:]).statistic > 0.5
        assert (variance > 0).all()
        seen, unseen = (kendalltau(x, scores[:60]).statistic for x in (mean[:60], expert.left_out))
        assert 0.4 < unseen < seen
        assert expert.left_out.shape == expert.left_out_variance.shape == (60,)
        assert expert.explain()


def test_no_architectures_no_predictions(problem, labelled):
    for expert in experts(labelled):
        assert [x.shape for x in expert.predict(problem[0][:0])] == [(0,), (0,)]
        assert expert.mean(problem[0][:0]).shape == (0,)


def test_a_view_without_differences_still_predicts(space):
    """Cells of one wiring and no sizes: the size blocks are empty, and all rows of a label repeat."""
    table = space.sample(6, np.random.default_rng(0))
    labels = Labels(table, normal_scores(np.arange(6.0)))
    expert = KernelExpert(FeatureBlocks(table), "sizes", labels, 0)
    assert np.isfinite(expert.predict(table)[0]).all()


def test_columns_apart_have_a_kernel_each(labelled, problem):
    blocks = FeatureBlocks(labelled.table)
    expert = KernelExpert(blocks, "additive", labelled, 0)
    varying = sum(
        int((np.ptp(blocks.of(labelled.table, name), axis=0) > 0).sum()) for name in ("operations", "paths")
    )
    assert len(expert._process.weights) == 2 + varying  # flow and edges are whole
    mean, variance = expert.predict(problem[0])
    assert kendalltau(mean[60:], problem[1][60:]).statistic > 0.5
    assert (variance > 0).all()


def test_of_many_columns_the_telling_ones_are_taken():
    rng = np.random.default_rng(0)
    block = np.zeros((50, 40), dtype=np.float32)
    block[:, 5:] = rng.normal(size=(50, 35))
    block[1:, 7] = 0  # one row differs
    chosen = _telling(block)
    assert len(chosen) == 32
    assert not {0, 1, 2, 3, 4, 7} & set(chosen)
    assert _telling(block[:, :8]) == [5, 6, 7]


def test_explain_names_the_heaviest_block_first(labelled):
    kernel, trees = experts(labelled)
    shares = [int(part.split()[-1].rstrip("%")) for part in kernel.explain().split(";")[0].split(", ")]
    assert shares == sorted(shares, reverse=True)
    assert "noise" in kernel.explain()
    assert trees.explain() == "200 extremely randomised trees"


def test_the_encoder_is_fine_tuned_on_the_labels(problem, labelled, encoders, monkeypatch):
    from archflow.predictors import experts as module

    monkeypatch.setattr(module, "_GRAPHS_SEEN", 6_000)
    import torch

    expert = EncoderExpert(encoders["gin"], labelled, 0, torch.device("cpu"))
    mean = expert.mean(problem[0])
    assert kendalltau(mean[:60], labelled.values).statistic > 0.4
    assert expert.view == "function"
