import numpy as np
import pytest

from archflow.datasets.doctor import copy_findings
from archflow.datasets.sources import NumberColumn

RNG = np.random.default_rng(0)
TARGET = RNG.normal(90, 2, size=200)


def found(**others):
    columns = {"acc": TARGET, **others}
    made = {
        name: NumberColumn(np.asarray(values, dtype=float), np.isnan(values), {})
        for name, values in columns.items()
    }
    return copy_findings(made, "acc")


def test_a_copy_with_gaps():
    copied = TARGET.copy()
    copied[::7] = np.nan
    (finding,) = found(same=copied)
    assert (finding.kind, finding.severity, finding.column) == ("copy", "warning", "same")
    assert "same: holds the same numbers as acc" in finding.message
    assert finding.numbers == {"spearman": pytest.approx(1), "rows": int(np.isfinite(copied).sum())}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (TARGET**3, "orders the rows as"),
        (100 - TARGET, "backwards"),
        (TARGET + RNG.normal(0, 0.01, 200), "orders"),
    ],
)
def test_a_function_of_the_target(values, words):
    (finding,) = found(loss=values)
    assert words in finding.message


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=200),
        TARGET + RNG.normal(0, 0.3, 200),  # as validation goes with test accuracy
        np.full(200, 3.0),
        (TARGET > 90).astype(float),
        np.where(np.arange(200) < 9, TARGET, np.nan),
    ],
)
def test_other_columns_are_no_copies(values):
    assert found(other=values) == []
