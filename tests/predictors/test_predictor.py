"""What every method promises, and every way to use a predictor wrongly."""

import contextlib
import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from archflow.encoders import EncoderConfig
from archflow.errors import (
    ArchflowError,
    CheckpointError,
    OutputExistsError,
    TableError,
    UnknownNameError,
    UsageError,
)
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.metrics import kendall_tau
from archflow.predictors import METHODS, FineTuneConfig, Predictor
from archflow.pretrain import PretrainConfig, pretrain
from archflow.spaces.free import Free
from archflow.testing import toy_table
from archflow.training import TrainingConfig, load_checkpoint, save_checkpoint

every_method = pytest.mark.parametrize("method", METHODS)
TRAINED = [name for name, method in METHODS.items() if method.encoder]
trained_methods = pytest.mark.parametrize("method", TRAINED)
fgp_methods = pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].pretrained])


@pytest.fixture(scope="module")
def fitted(make, table, values):
    """One fitted predictor a method; tests must not fit it again."""
    return {method: make(method).fit(table, values) for method in METHODS}


# What every method promises


@every_method
def test_predictions_are_in_the_targets_units(fitted, candidates, values, method):
    mean, std = fitted[method].predict(candidates, return_std=True)
    for column in (mean, std):
        assert column.shape == (len(candidates),)
        assert column.dtype == np.float64
        assert np.isfinite(column).all()
    assert (std >= 0).all()
    reach = np.ptp(values)
    assert values.min() - reach < mean.min()
    assert mean.max() < values.max() + reach
    assert values.min() <= np.median(mean) <= values.max()


@every_method
def test_without_deviations_the_means_are_the_same(fitted, candidates, method):
    mean, _ = fitted[method].predict(candidates, return_std=True)
    assert fitted[method].predict(candidates).tobytes() == mean.tobytes()


@every_method
def test_other_units_change_nothing_but_the_units(make, fitted, table, values, candidates, method):
    mean, std = fitted[method].predict(candidates, return_std=True)
    shift = 0 if method.endswith("-rf") else 7  # rounding decides between a forest's equally good splits
    predictor = make(method).fit(table, 1024 * values + shift)
    other_mean, other_std = predictor.predict(candidates, return_std=True)
    np.testing.assert_allclose(other_mean, 1024 * mean + shift, rtol=1e-6)
    np.testing.assert_allclose(other_std, 1024 * std, rtol=1e-4, atol=1e-3)


@every_method
def test_minimising_ranks_the_other_way(make, fitted, table, values, candidates, method):
    best = fitted[method].rank(candidates)
    minimiser = make(method, minimize=True).fit(table, -values)
    lowest = minimiser.rank(candidates)
    assert lowest.rows.tolist() == best.rows.tolist()
    assert lowest.mean.tolist() == (-best.mean).tolist()
    assert lowest.std.tolist() == best.std.tolist()
    assert (np.diff(lowest.mean) >= 0).all()
    assert minimiser.predict(candidates).tolist() == (-fitted[method].predict(candidates)).tolist()


@every_method
def test_ranking_is_sorting_the_predictions(fitted, candidates, method):
    predictor = fitted[method]
    predicted, std = predictor.predict(candidates, return_std=True)
    whole = predictor.rank(candidates)
    assert whole.rows.tolist() == np.argsort(-predicted, kind="stable").tolist()
    assert whole.rows.dtype == np.int64
    assert whole.mean.tolist() == predicted[whole.rows].tolist()
    assert whole.std.tolist() == std[whole.rows].tolist()
    assert list(whole.architectures) == [candidates[row] for row in whole.rows.tolist()]
    for top in (1, 7, len(candidates), len(candidates) + 5):
        ranking = predictor.rank(candidates, top)
        assert len(ranking) == len(ranking.std) == min(top, len(candidates))
        assert ranking.rows.tolist() == whole.rows[:top].tolist()
        assert ranking.mean.tolist() == whole.mean[:top].tolist()
        assert list(ranking.architectures) == list(whole.architectures)[:top]


@every_method
def test_one_by_one_equals_batched(fitted, candidates, method):
    together = fitted[method].predict(candidates)
    alone = np.concatenate([fitted[method].predict(candidates[row : row + 1]) for row in range(12)])
    np.testing.assert_allclose(alone, together[:12], rtol=1e-5)
    backwards = fitted[method].predict(candidates[::-1])
    np.testing.assert_allclose(backwards[::-1], together, rtol=1e-5)


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].encoder is None])
def test_deviations_do_not_depend_on_the_company(fitted, candidates, method):
    ranking = fitted[method].rank(candidates)
    np.testing.assert_allclose(fitted[method].rank(candidates, 5).std, ranking.std[:5], rtol=1e-5)
    _, std = fitted[method].predict(candidates, return_std=True)
    np.testing.assert_allclose(std[ranking.rows], ranking.std, rtol=1e-5)


@every_method
def test_the_same_seed_repeats_and_another_does_not(make, fitted, table, values, candidates, method):
    torch.manual_seed(123)
    state = torch.get_rng_state()
    again, other = (make(method, seed=seed).fit(table, values).predict(candidates) for seed in (0, 1))
    assert again.tobytes() == fitted[method].predict(candidates).tobytes()
    drawn = method not in ("onehot-gp", "graph-features-gp")  # with few labels these draw nothing
    assert (other.tobytes() != again.tobytes()) == drawn
    assert torch.equal(torch.get_rng_state(), state)


@every_method
def test_lists_do_as_well_as_tables(make, fitted, table, values, candidates, method):
    predictor = make(method).fit(list(table), values.tolist())
    assert predictor.predict(list(candidates)).tobytes() == fitted[method].predict(candidates).tobytes()
    rankings = predictor.rank(list(candidates), 3), fitted[method].rank(candidates, 3)
    assert rankings[0].rows.tolist() == rankings[1].rows.tolist()


@every_method
def test_inputs_are_left_alone(make, table, values, candidates, method):
    before = table.digest(), values.tobytes(), candidates.digest()
    make(method).fit(table, values).rank(candidates, 5)
    assert (table.digest(), values.tobytes(), candidates.digest()) == before


@every_method
def test_fitting_again_forgets(make, fitted, table, values, candidates, method):
    predictor = make(method).fit(table, values[::-1])
    predictor.fit(table, values)
    assert predictor.predict(candidates).tobytes() == fitted[method].predict(candidates).tobytes()


@every_method
def test_no_candidates_are_ranked_as_none(fitted, method):
    assert fitted[method].predict([]).shape == (0,)
    assert [column.shape for column in fitted[method].predict([], return_std=True)] == [(0,), (0,)]
    assert len(fitted[method].rank([])) == 0


@pytest.mark.parametrize("method", ["onehot-rf", "gin", "fgp-gin"])
def test_it_ranks_better_than_chance(space, make, encoders, method):
    table = space.sample(160, np.random.default_rng(8))
    names = np.array([architecture.operations for architecture in table])
    target = 50 + (names == "nor_conv_3x3").sum(axis=1) - 2.0 * (names == "none").sum(axis=1)
    longer = FineTuneConfig(TrainingConfig(epochs=15, batch_size=16, learning_rate=3e-3, gradient_norm=1.0))
    predictor = make(method, form="as-written" if method == "gin" else "pruned", fine_tuning=longer)
    predictor.fit(table[:60], target[:60])
    assert kendall_tau(predictor.predict(table[60:]), target[60:]) > 0.4


# Saved and loaded


@every_method
def test_loading_gives_the_same_predictions(fitted, space, candidates, tmp_path, method):
    fitted[method].save(tmp_path / "model")
    loaded = Predictor.load(str(tmp_path / "model"), space, device="cpu")
    assert loaded.config == fitted[method].config
    for one, other in zip(
        loaded.predict(candidates, return_std=True),
        fitted[method].predict(candidates, return_std=True),
        strict=True,
    ):
        assert one.tobytes() == other.tobytes()
    assert loaded.rank(candidates, 5).rows.tolist() == fitted[method].rank(candidates, 5).rows.tolist()


@every_method
def test_a_loaded_predictor_can_be_saved_again(fitted, space, candidates, tmp_path, method):
    fitted[method].save(tmp_path / "one")
    Predictor.load(tmp_path / "one", space).save(tmp_path / "two")
    again = Predictor.load(tmp_path / "two", space)
    assert again.predict(candidates).tobytes() == fitted[method].predict(candidates).tobytes()
    contents = [load_checkpoint(tmp_path / name)[1] for name in ("one", "two")]
    assert contents[0] == contents[1]


@every_method
def test_minimising_survives(make, space, table, values, candidates, tmp_path, method):
    predictor = make(method, minimize=True, seed=5).fit(table, values)
    predictor.save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model", space)
    assert loaded.predict(candidates).tobytes() == predictor.predict(candidates).tobytes()
    assert loaded.config.minimize


@fgp_methods
def test_the_folder_tells_how_the_encoder_was_pretrained(fitted, encoders, tmp_path, method):
    fitted[method].save(tmp_path / "model")
    _, content = load_checkpoint(tmp_path / "model")
    expected = encoders[METHODS[method].encoder or "gin"].content()
    assert content["pretraining"] == json.loads(json.dumps(expected))


def test_a_loaded_predictor_can_be_fitted_again(fitted, space, table, values, candidates, tmp_path):
    fitted["gin"].save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model", space, device="cpu").fit(table, values)
    assert loaded.predict(candidates).tobytes() == fitted["gin"].predict(candidates).tobytes()


def test_an_existing_folder_is_refused_unless_it_may_be_replaced(fitted, space, candidates, tmp_path):
    fitted["random"].save(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with pytest.raises(OutputExistsError, match=r"model exists already"):
        fitted["gin"].save(tmp_path / "model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    fitted["gin"].save(tmp_path / "model", overwrite=True)
    loaded = Predictor.load(tmp_path / "model", space, device="cpu")
    assert loaded.predict(candidates).tobytes() == fitted["gin"].predict(candidates).tobytes()
    assert len(list((tmp_path / "model").iterdir())) == 2


def test_loading_refuses_what_is_no_predictor(fitted, encoders, space, tmp_path):
    encoders["gin"].save(tmp_path / "encoder")
    with pytest.raises(CheckpointError, match=r"encoder: holds a pretrained-encoder, not a predictor"):
        Predictor.load(tmp_path / "encoder", space)
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        Predictor.load(tmp_path / "nowhere", space)
    fitted["gin"].save(tmp_path / "model")
    (weights,) = (tmp_path / "model").glob("weights-*")
    weights.write_bytes(weights.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match="is cut off or damaged"):
        Predictor.load(tmp_path / "model", space)


def test_loading_for_another_space_names_the_operation(fitted, tmp_path):
    fitted["random"].save(tmp_path / "model")
    with pytest.raises(CheckpointError, match=r"another vocabulary than the space's: .* never seen .*'conv'"):
        Predictor.load(tmp_path / "model", Free(Operations.of(["conv"])))


def test_loading_settings_that_are_none(fitted, space, tmp_path):
    fitted["random"].save(tmp_path / "model")
    tensors, content = load_checkpoint(tmp_path / "model")
    del content["config"]["fine_tuning"]
    save_checkpoint(tmp_path / "model", tensors, content)
    with pytest.raises(CheckpointError, match="not the settings of a predictor: 'fine_tuning'"):
        Predictor.load(tmp_path / "model", space)


# Validation


@trained_methods
def test_validation_keeps_the_best_epoch(make, table, values, candidates, tuning, method):
    """With validation a fit ends at least as good on it as any shorter fit does."""
    truth = np.random.default_rng(3).normal(size=len(candidates))
    taus = []
    for epochs in (1, 2, 3):
        training = dataclasses.replace(tuning.training, epochs=epochs)
        predictor = make(method, fine_tuning=dataclasses.replace(tuning, training=training))
        predictor.fit(table, values, validation=(candidates, truth))
        taus.append(kendall_tau(predictor.predict(candidates), truth))
    assert taus == sorted(taus)


@trained_methods
def test_validation_makes_a_difference(make, fitted, table, values, candidates, method):
    predictor = make(method).fit(table, values, validation=(candidates, np.arange(40.0)))
    assert predictor.predict(candidates).tobytes() != fitted[method].predict(candidates).tobytes()


def test_validation_follows_the_direction(make, table, values, candidates):
    truth = np.random.default_rng(3).normal(size=len(candidates))
    one = make("gin").fit(table, values, validation=(candidates, truth))
    other = make("gin", minimize=True).fit(table, -values, validation=(candidates, -truth))
    assert other.predict(candidates).tolist() == (-one.predict(candidates)).tolist()


def test_validation_labels_are_checked(make, table, values, candidates):
    with pytest.raises(TableError, match="labels must be finite; label 1 of 40 is nan"):
        make("gin").fit(table, values, validation=(candidates, [math.nan, *range(39)]))


# Pre-training on the way


@fgp_methods
def test_the_pretrained_weights_make_a_difference(
    space, make, fitted, pretraining, table, values, candidates, method
):
    settings = dataclasses.replace(pretraining[METHODS[method].encoder or "gin"], seed=1)
    other = pretrain(space, candidates, settings, device="cpu")
    predictor = make(method, encoder=other).fit(table, values)
    assert predictor.predict(candidates).tobytes() != fitted[method].predict(candidates).tobytes()


@fgp_methods
def test_without_an_encoder_it_pretrains_once_on_what_it_is_given(
    make, pretraining, table, values, candidates, method
):
    config = pretraining[METHODS[method].encoder or "gin"]
    predictor = make(method, encoder=None, pretraining=config, unlabelled=candidates[:11])
    assert predictor.encoder is None
    predictor.fit(table, values)
    found = predictor.encoder
    assert found.config == config
    assert found.provenance["data"]["digest"] == candidates[:11].in_form(config.form).digest()
    predictor.fit(table, values[::-1])
    assert predictor.encoder is found
    given = make(method, encoder=found).fit(table, values[::-1])
    assert given.predict(candidates).tobytes() == predictor.predict(candidates).tobytes()


def test_in_a_space_without_end_it_pretrains_on_the_labelled(pretraining, tuning):
    toys = toy_table(12)
    predictor = Predictor(
        Free(toys.operations),
        "fgp-gin",
        form="pruned",
        pretraining=pretraining["gin"],
        fine_tuning=tuning,
        device="cpu",
    )
    predictor.fit(toys, np.arange(12.0))
    assert predictor.encoder.provenance["data"]["architectures"] == 12
    assert predictor.predict(toys).shape == (12,)


@pytest.mark.parametrize("change", [{"encoder": EncoderConfig("gated_gcn", width=8)}, {"form": "collapsed"}])
def test_settings_for_another_pretraining_are_refused(make, pretraining, table, values, candidates, change):
    settings = dataclasses.replace(pretraining["gin"], **change)
    with pytest.raises(ArchflowError, match=r"gated_gcn|collapsed"):
        make("fgp-gin", encoder=None, pretraining=settings, unlabelled=candidates).fit(table, values)


@pytest.mark.parametrize("option", ["pretraining", "unlabelled"])
def test_pretraining_for_a_method_that_has_none_is_refused(space, pretraining, candidates, option):
    value = {"pretraining": pretraining["gin"], "unlabelled": candidates}[option]
    with pytest.raises(UsageError, match="begins with fgp"):
        Predictor(space, "gin", **{option: value})


def test_unlabelled_architectures_in_another_vocabulary_are_refused(make, pretraining, table, values):
    predictor = make("fgp-gin", encoder=None, pretraining=pretraining["gin"], unlabelled=toy_table(5))
    with pytest.raises(ArchflowError, match="another vocabulary"):
        predictor.fit(table, values)


# Used wrongly


@every_method
def test_an_unfitted_predictor_says_so(make, candidates, tmp_path, method):
    predictor = make(method)
    for use in (
        lambda: predictor.predict(candidates),
        lambda: predictor.rank(candidates),
        lambda: predictor.save(tmp_path / "model"),
    ):
        with pytest.raises(UsageError, match="has seen no labels yet; call fit or load first"):
            use()
    assert not (tmp_path / "model").exists()


@every_method
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1.0, 2.0, 3.0], "3 labels are too few; at least 4 are needed"),
        ([5.0] * 24, "all 24 labels are"),
        ([*range(23), math.nan], "label 24 of 24 is nan"),
        ([*range(23), -math.inf], "label 24 of 24 is"),
        (range(23), "24 architectures need as many labels, not 23"),
    ],
)
def test_bad_labels_are_refused_and_leave_it_unfitted(make, table, method, labels, message):
    predictor = make(method)
    architectures = table[:3] if len(labels) == 3 else table
    with pytest.raises(TableError, match=message):
        predictor.fit(architectures, labels)
    with pytest.raises(UsageError, match="has seen no labels"):
        predictor.predict(table)


def test_labels_that_are_no_numbers(make, table):
    with pytest.raises(TableError, match="labels must be numbers"):
        make("random").fit(table, ["high"] * len(table))


def test_an_error_about_minimised_labels_shows_them_as_they_are(make, table):
    with pytest.raises(TableError, match=r"all 24 labels are 5\.0"):
        make("random", minimize=True).fit(table, [5.0] * 24)


@pytest.mark.parametrize(("method", "seed"), [("random", -1), ("onehot-rf", 2**32), ("gin", -1)])
def test_a_seed_out_of_range_is_refused_or_works(make, table, values, method, seed):
    with contextlib.suppress(ArchflowError):
        make(method, seed=seed).fit(table, values)


def test_an_unknown_method_suggests_the_nearest(space):
    with pytest.raises(UnknownNameError, match=r"unknown method 'fgp-gim'; .*Did you mean 'fgp-gin'"):
        Predictor(space, "fgp-gim")


def test_an_unknown_form_suggests_the_nearest(space):
    with pytest.raises(UnknownNameError, match=r"unknown form 'prune'; .*Did you mean 'pruned'"):
        Predictor(space, "random", form="prune")


def test_a_device_that_is_not_there(space):
    with pytest.raises(UsageError, match="device 'gpu' cannot be used here"):
        Predictor(space, "random", device="gpu")


@pytest.mark.parametrize("top", [0, -3])
def test_top_out_of_range(fitted, candidates, top):
    with pytest.raises(UsageError, match=f"top must be at least 1, not {top}"):
        fitted["random"].rank(candidates, top)


def test_an_operation_that_the_space_lacks(fitted, make, table, values):
    stranger = Architecture(("input", "sep_conv", "output"), ((0, 1), (1, 2)))
    with pytest.raises(UnknownNameError, match="unknown operation 'sep_conv'"):
        fitted["random"].predict([stranger])
    with pytest.raises(UnknownNameError, match="unknown operation 'sep_conv'"):
        make("random").fit([*table, stranger], [*values, 1.0])


def test_a_table_in_another_vocabulary(fitted, make):
    toys = toy_table(8)
    for use in (
        lambda: fitted["random"].predict(toys),
        lambda: fitted["random"].rank(toys),
        lambda: make("random").fit(toys, np.arange(8.0)),
    ):
        with pytest.raises(CheckpointError, match=r"space nasbench201: .*another vocabulary"):
            use()


@pytest.mark.parametrize("method", ["gin", "gated_gcn", "random", "onehot-rf"])
def test_an_encoder_for_a_method_that_takes_none(space, encoders, method):
    with pytest.raises(UsageError, match=f"method '{method}' does not pre-train; .*begins with fgp"):
        Predictor(space, method, encoder=encoders["gin"])


def test_an_encoder_of_another_vocabulary(encoders):
    space = Free(Operations.of(["conv"]))
    with pytest.raises(CheckpointError, match=r"the pre-trained encoder: .*another vocabulary.*'conv'"):
        Predictor(space, "fgp-gin", encoder=encoders["gin"])


def test_an_encoder_of_another_name(space, encoders):
    with pytest.raises(
        UsageError, match=r"fgp-gin .*needs encoder gin, but the pre-trained encoder has gated_gcn"
    ):
        Predictor(space, "fgp-gin", encoder=encoders["gated_gcn"])


def test_an_encoder_of_another_form(space, encoders):
    with pytest.raises(UsageError, match=r"needs form collapsed, but the pre-trained encoder has pruned"):
        Predictor(space, "fgp-gin", form="collapsed", encoder=encoders["gin"])


def test_a_fresh_encoder_takes_the_sizes_it_is_given(space, table, values, tuning, tmp_path):
    sizes = EncoderConfig("gin", width=8, layers=1)
    predictor = Predictor(space, "gin", sizes=sizes, fine_tuning=tuning).fit(table, values)
    predictor.save(tmp_path / "model")
    assert load_checkpoint(tmp_path / "model")[1]["encoder"] == dataclasses.asdict(sizes)


@pytest.mark.parametrize("method", ["gated_gcn", "random", "fgp-gin"])
def test_sizes_for_a_method_that_takes_none(space, method):
    with pytest.raises(UsageError, match=f"method '{method}' takes no sizes of encoder gin"):
        Predictor(space, method, sizes=EncoderConfig("gin"))


def test_every_form_can_be_chosen(space, table, values, candidates, pretraining, tuning):
    predictions = {}
    for form in ("as-written", "pruned", "collapsed"):
        settings = dataclasses.replace(pretraining["gin"], form=form)
        encoder = pretrain(space, candidates, settings, device="cpu")
        predictor = Predictor(space, "fgp-gin", form=form, encoder=encoder, fine_tuning=tuning, device="cpu")
        predictions[form] = predictor.fit(table, values).predict(candidates).tobytes()
    assert len(set(predictions.values())) == 3


def test_a_candidate_with_more_nodes_than_the_forest_has_room_for():
    small = Architecture(("input", "conv", "output"), ((0, 1), (1, 2)))
    bare = Architecture(("input", "output"), ((0, 1),))
    large = Architecture(("input", "conv", "conv", "output"), ((0, 1), (1, 2), (2, 3)))
    operations = Operations.of(["conv"])
    predictor = Predictor(Free(operations), "onehot-rf")
    predictor.fit([small, bare, small, bare], [1.0, 2.0, 1.0, 2.0])
    assert predictor.predict([bare, small])[0] > predictor.predict([bare, small])[1]
    assert np.isfinite(predictor.rank(ArchitectureTable.of([small, large], operations)).mean).all()


def test_a_chain_of_calls(space, make, table, values):
    """The newcomer's lines."""
    ranking = make("auto").fit(table, values).rank(space.sample(30, np.random.default_rng(4)), top=10)
    best, doubt, architecture = next(iter(ranking))
    assert best == max(mean for mean, _, _ in ranking)
    assert doubt >= 0
    assert space.parse(space.format(architecture)) == architecture


@pytest.mark.parametrize("method", ["onehot-rf", "gin", "fgp-gated_gcn"])
def test_attributes_are_learnt_from_and_saved(method, tmp_path):
    """Chains of one wiring and the same operations: only the channels tell them apart."""
    operations = dataclasses.replace(Operations.of(["conv"]), attributes=("channels",))
    rng = np.random.default_rng(0)
    sizes = rng.choice([8, 16, 32, 64, 128], size=(120, 4))
    chains = [
        Architecture(("input", *["conv"] * 4, "output"), edges_of_chain(6), {"channels": (0, *row, 0)})
        for row in sizes.tolist()
    ]
    values = np.log(sizes).sum(axis=1)
    tuning = FineTuneConfig(TrainingConfig(epochs=40, batch_size=16))
    pretraining = PretrainConfig(EncoderConfig("gated_gcn", width=32), training=TrainingConfig(2, 32))
    predictor = Predictor(
        Free(operations),
        method,
        fine_tuning=tuning,
        pretraining=pretraining if method.startswith("fgp") else None,
    ).fit(chains[:60], values[:60])
    predicted = predictor.predict(chains[60:])
    assert kendall_tau(predicted, values[60:]) > 0.5
    predictor.save(tmp_path / "model")
    again = Predictor.load(tmp_path / "model", Free(operations)).predict(chains[60:])
    np.testing.assert_allclose(again, predicted, rtol=1e-5)
    with pytest.raises(CheckpointError, match="never seen attribute 'kernel'"):
        Predictor.load(
            tmp_path / "model", Free(dataclasses.replace(operations, attributes=("channels", "kernel")))
        )


def edges_of_chain(n_nodes):
    return tuple((node, node + 1) for node in range(n_nodes - 1))
