import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.datasets import PROTOCOL_SEEDS, draw_labels, paper_split
from archflow.errors import UsageError


@pytest.mark.parametrize(
    ("n", "fraction", "labels"),
    [(15_625, 0.01, 78), (14_580, 0.01, 72), (15_625, 0.05, 390), (15_625, 0.5, 3906), (200, 0.29, 29)],
)
def test_sizes_of_the_paper(n, fraction, labels):
    split = paper_split(n, 2021, fraction)
    assert len(split.labelled) == labels
    assert len(split.validation) == 40
    assert len(split.test) == n - n // 2 - 40


def test_seed_21_is_the_identity():
    split = paper_split(200, 21, 0.1)
    assert split.labelled.tolist() == list(range(10))
    assert split.validation.tolist() == list(range(100, 140))
    assert split.test.tolist() == list(range(140, 200))


def test_other_seeds_are_the_legacy_permutation():
    """The first numbers of NumPy's legacy generator, which NumPy promises never to change."""
    split = paper_split(200, 2021, 0.05)
    assert split.labelled.tolist() == np.random.RandomState(2021).permutation(200)[:5].tolist()
    assert split.labelled.tolist() == [122, 24, 23, 148, 76]
    assert PROTOCOL_SEEDS == (21, 2021, 202121)


@given(st.integers(100, 400), st.integers(0, 1000), st.floats(0.03, 1), st.integers(0, 40))
def test_the_parts_never_overlap(n, seed, fraction, validation):
    split = paper_split(n, seed, fraction, validation)
    rows = np.concatenate([split.labelled, split.validation, split.test])
    assert len(np.unique(rows)) == len(rows)
    assert rows.dtype == np.int64
    assert len(np.intersect1d(rows, np.arange(n))) == len(rows)
    more = paper_split(n, seed, 1.0, validation)
    assert more.labelled[: len(split.labelled)].tolist() == split.labelled.tolist()
    assert more.test.tolist() == split.test.tolist()


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_fraction_out_of_range(fraction):
    with pytest.raises(UsageError, match="fraction must be above 0 and at most 1"):
        paper_split(1000, 21, fraction)


@pytest.mark.parametrize(("n", "fraction"), [(80, 0.5), (0, 0.5), (198, 0.01)])
def test_too_few_rows(n, fraction):
    with pytest.raises(UsageError, match=f"{n} architectures are too few for 40 validation rows"):
        paper_split(n, 21, fraction)


@given(st.integers(2, 300), st.data())
def test_draw_labels_splits_the_rows(n, data):
    count, seed = data.draw(st.integers(1, n - 1)), data.draw(st.integers(0, 99))
    labelled, rest = draw_labels(n, count, seed)
    assert len(labelled) == count
    assert sorted([*labelled, *rest]) == list(range(n))
    assert (np.diff(rest) > 0).all()
    assert labelled.dtype == rest.dtype == np.int64
    again, _ = draw_labels(n, count, seed)
    assert labelled.tolist() == again.tolist()


def test_draw_labels_is_uniform():
    counts = np.zeros(10)
    for seed in range(2000):
        counts[draw_labels(10, 3, seed)[0]] += 1
    assert np.abs(counts - 600).max() < 4 * np.sqrt(600 * 0.7)  # four standard deviations


@pytest.mark.parametrize("count", [-1, 0, 10, 11])
def test_draw_labels_out_of_range(count):
    with pytest.raises(UsageError, match=f"cannot label {count} of 10 rows; at least 1 and at most 9"):
        draw_labels(10, count, 0)
