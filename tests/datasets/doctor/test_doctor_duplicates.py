import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.datasets.doctor import duplicate_findings, levels_of
from archflow.datasets.doctor.duplicates import values_apart
from archflow.graphs import ArchitectureTable
from archflow.spaces import Free
from archflow.testing.strategies import tables

CHAIN = "input,conv,output;0>1,1>2"
RENUMBERED = "input,conv,pool,output;0>1,0>2,1>3,2>3"
NUMBERED = "input,pool,conv,output;0>1,0>2,1>3,2>3"
DEAD_END = "input,conv,pool,output;0>1,1>3,0>2"
SKIPPED = "input,skip,conv,output;0>1,1>2,2>3"
OTHER = "input,pool,output;0>1,1>2"


def levels(texts):
    parsed = [Free().parse(text) for text in texts]
    table = ArchitectureTable.of(parsed)
    return levels_of(parsed, table.pruned(), table.collapsed())


def found(texts, **columns):
    rows = np.arange(1, len(texts) + 1) * 10
    values = {name: np.array(column, dtype=float) for name, column in columns.items()}
    return {f.kind: f for f in duplicate_findings(levels(texts), values, rows, texts)}


def test_distinct_architectures_have_nothing_to_say():
    assert found([CHAIN, RENUMBERED, OTHER], acc=[1, 2, 3]) == {}
    assert found([], acc=[]) == {}


def test_each_level_joins_what_the_one_before_left():
    findings = found([CHAIN, OTHER, CHAIN, DEAD_END, SKIPPED, OTHER])
    assert list(findings) == ["exact-duplicates", "isomorphic-duplicates", "functional-duplicates"]
    exact, isomorphic, functional = findings.values()
    assert (exact.count, exact.rows, exact.numbers["groups"]) == (2, (30, 60), 2)
    assert (isomorphic.count, isomorphic.rows) == (3, (30, 40, 60))
    assert (functional.count, functional.rows) == (4, (30, 40, 50, 60))
    assert exact.message == "2 rows repeat an earlier one, equal node for node: 2 architectures in 4 rows"
    assert exact.examples == (f"rows 10, 30: '{CHAIN}'", f"rows 20, 60: '{OTHER}'")
    assert functional.examples[0] == f"rows 10, 30, 40, ...: '{CHAIN}'"


def test_renumbering_is_isomorphic_and_not_exact():
    (finding,) = found([RENUMBERED, NUMBERED]).values()
    assert finding.kind == "isomorphic-duplicates"
    assert finding.examples == (f"rows 10, 20: '{RENUMBERED}' and '{NUMBERED}'",)


def test_equal_values_and_gaps_are_no_disagreement():
    findings = found([CHAIN, CHAIN, CHAIN, OTHER], acc=[5, np.nan, 5, 1])
    assert list(findings) == ["exact-duplicates"]


def test_disagreement_in_numbers_and_examples():
    texts = [CHAIN, CHAIN, DEAD_END, OTHER, CHAIN]
    findings = found(texts, acc=[10, 12, 11, 30, np.inf])
    exact = findings["exact-disagreement"]
    assert (exact.severity, exact.column, exact.count, exact.rows) == ("warning", "acc", 1, (20,))
    assert exact.examples == (f"rows 10 and 20: '{CHAIN}': 10 and 12",)
    assert exact.numbers["difference"] == pytest.approx(2)
    quartiles = np.quantile([10, 12, 11, 30], [0.25, 0.75])
    assert exact.numbers["relative"] == pytest.approx(2 / (np.ptp(quartiles) / 1.349))
    isomorphic = findings["isomorphic-disagreement"]
    assert isomorphic.severity == "note"
    assert isomorphic.numbers["pairs"] == 2  # rows 10 and 20, 20 and 30
    assert "to a predictor that sees the pruned form this is noise" in isomorphic.message
    assert "ceiling" not in isomorphic.numbers  # two pairs tell nothing


def test_the_ceiling_is_what_the_truth_itself_reaches():
    rng = np.random.default_rng(0)
    words = itertools.product(("conv", "pool"), repeat=8)
    wires = ",".join(f"{node}>{node + 1}" for node in range(9))
    texts = [f"input,{','.join(word)},output;{wires}" for word in words]
    truth = rng.normal(size=256)
    one, two = truth + rng.normal(0, 0.5, size=(2, 256))
    finding = found(texts + texts, acc=[*one, *two])["exact-disagreement"]
    reached = np.corrcoef(one.argsort().argsort(), truth.argsort().argsort())[0, 1]
    assert finding.numbers["ceiling"] == pytest.approx(reached, abs=0.05)
    assert f"can hardly reach a Spearman above {finding.numbers['ceiling']:.3f}" in finding.message
    noiseless = found(texts + texts, acc=[*truth, *(truth + 1e-9)])["exact-disagreement"]
    assert "Spearman" not in noiseless.message


@settings(max_examples=50)
@given(tables(), st.data())
def test_each_level_is_the_relation_that_it_names(table, data):
    """Against a plain loop over pairs."""
    rows = data.draw(st.lists(st.integers(0, len(table) - 1), max_size=8)) if len(table) else []
    table = table[np.array(rows, dtype=np.int64)]
    exact, isomorphic, functional = levels_of(list(table), table.pruned(), table.collapsed())
    for one, two in itertools.combinations(range(len(table)), 2):
        a, b = table[one], table[two]
        assert (exact.firsts()[one] == exact.firsts()[two]) == (a == b)
        for level, form in ((isomorphic, "pruned"), (functional, "collapsed")):
            same = getattr(a, form)(table.operations).key() == getattr(b, form)(table.operations).key()
            assert (level.firsts()[one] == level.firsts()[two]) == same


def test_numbers_too_far_apart_to_subtract():
    numbers = values_apart(np.array([1e308]), np.array([-1e308]), np.array([1e308, -1e308]))
    assert numbers == {"pairs": 1, "differing": 1, "relative": pytest.approx(2 / (1 / 1.349))}
