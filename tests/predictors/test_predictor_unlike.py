"""A predictor knows what is unlike its labels, whatever the method, and warns of it once a call."""

import warnings

import numpy as np
import pytest

from archflow.errors import UsageError
from archflow.graphs import Architecture, Operations
from archflow.predictors import METHODS, Predictor, UnlikeWarning
from archflow.spaces.free import Free

METHODS_TRIED = ["random", "onehot-rf", "graph-features-gp", "gin"]
SPACE = Free(Operations.of(["conv", "pool", "attention"]))


def chain(*names):
    edges = tuple((node, node + 1) for node in range(len(names) + 1))
    return Architecture(("input", *names, "output"), edges)


LABELLED = [chain(*["conv"] * n, *["pool"] * m) for n in range(3) for m in range(3)]
CANDIDATES = [chain("conv"), chain("attention"), chain("pool", "conv"), chain("attention", "conv")]
UNLIKE = [False, True, False, True]


@pytest.fixture(scope="module")
def fitted(tuning):
    return {
        method: Predictor(SPACE, method, fine_tuning=tuning, device="cpu").fit(LABELLED, np.arange(9.0))
        for method in METHODS_TRIED
    }


@pytest.mark.parametrize("method", METHODS_TRIED)
def test_it_is_the_same_for_every_method(fitted, method):
    found = fitted[method].unlike(CANDIDATES)
    assert found.dtype == bool
    assert found.tolist() == UNLIKE
    assert not fitted[method].unlike(LABELLED).any()
    assert fitted[method].unlike([]).shape == (0,)


@pytest.mark.parametrize("method", METHODS_TRIED)
def test_it_warns_once_a_call_and_at_the_call(fitted, method):
    message = r"2 of 4 predicted architectures are unlike .* operations without a label: attention\)"
    for options in ({}, {"return_std": True}):
        with pytest.warns(UnlikeWarning, match=message) as caught:
            fitted[method].predict(CANDIDATES, **options)
        assert len(caught) == 1
        assert caught[0].filename == __file__
    with pytest.warns(UnlikeWarning, match="2 of 4 ranked architectures") as caught:
        ranking = fitted[method].rank(CANDIDATES)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert ranking.unlike.tolist() == np.array(UNLIKE)[ranking.rows].tolist()


def test_a_ranking_warns_of_what_it_returns_alone(fitted):
    with pytest.warns(UnlikeWarning):
        whole = fitted["onehot-rf"].rank(CANDIDATES)
    for top in range(1, 4):
        count = int(whole.unlike[:top].sum())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ranking = fitted["onehot-rf"].rank(CANDIDATES, top)
        assert [str(w.message).split(" ranked")[0] for w in caught] == [f"{count} of {top}"][: bool(count)]
        assert ranking.unlike.tolist() == whole.unlike[:top].tolist()


def test_predictions_are_the_same_without_looking(fitted):
    quiet = fitted["onehot-rf"].predict(CANDIDATES, warn=False)  # a warning would be an error here
    with pytest.warns(UnlikeWarning):
        assert fitted["onehot-rf"].predict(CANDIDATES).tobytes() == quiet.tobytes()
    assert np.isfinite(quiet).all()


def test_where_all_are_familiar_it_is_quiet(fitted):
    fitted["onehot-rf"].predict(LABELLED)
    assert not fitted["onehot-rf"].rank(LABELLED).unlike.any()
    fitted["onehot-rf"].interval(CANDIDATES)


def test_a_label_of_any_target_makes_familiar():
    labelled = [*LABELLED, chain("attention", "conv"), chain("attention")]
    both = np.arange(22.0).reshape(11, 2)
    both[9:, 0] = both[:3, 1] = np.nan
    both[-1] = np.nan
    predictor = Predictor(SPACE, "onehot-rf").fit(labelled, both)
    assert not predictor.unlike(CANDIDATES).any()
    unlabelled = np.where(np.arange(11)[:, None] < 9, both, np.nan)
    assert predictor.fit(labelled, unlabelled).unlike(CANDIDATES).tolist() == UNLIKE


def test_loading_and_fitting_again(tmp_path, fitted):
    fitted["onehot-rf"].save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model", SPACE)
    assert loaded.unlike(CANDIDATES).tolist() == UNLIKE
    assert not loaded.fit([*LABELLED, *CANDIDATES], np.arange(13.0)).unlike(CANDIDATES).any()


@pytest.mark.parametrize("method", METHODS)
def test_an_unfitted_predictor_knows_none(space, candidates, method):
    with pytest.raises(UsageError, match="has seen no labels yet"):
        Predictor(space, method).unlike(candidates)
