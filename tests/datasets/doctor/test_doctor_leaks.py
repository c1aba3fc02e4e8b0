import numpy as np

from archflow.datasets.doctor import leak_findings, levels_of
from archflow.graphs import ArchitectureTable
from archflow.spaces import Free

CHAIN = "input,conv,output;0>1,1>2"
DEAD_END = "input,conv,pool,output;0>1,1>3,0>2"
SKIPPED = "input,skip,conv,output;0>1,1>2,2>3"
POOL = "input,pool,output;0>1,1>2"
TWO = "input,conv,conv,output;0>1,1>2,2>3"


def found(texts, others, **columns):
    """Compare a table of some texts with another; each column holds the other's values first."""
    both = [*others, *texts]
    parsed = [Free().parse(text) for text in both]
    table = ArchitectureTable.of(parsed)
    levels = levels_of(parsed, table.pruned(), table.collapsed())
    rows = np.concatenate([np.arange(1, len(others) + 1), np.arange(1, len(texts) + 1) * 10])
    values = {name: np.array(column, dtype=float) for name, column in columns.items()}
    return leak_findings(levels, values, rows, both, "test.csv", len(others))


def test_tables_without_a_common_architecture():
    (finding,) = found([CHAIN, CHAIN], [POOL, TWO])
    assert (finding.kind, finding.severity, finding.count) == ("shared-architectures", "note", 0)
    assert finding.message == "none of 2 rows holds an architecture of test.csv"
    assert found([CHAIN], [])[0].count == found([], [CHAIN])[0].count == 0


def test_shared_architectures_by_level():
    (finding,) = found([TWO, CHAIN, DEAD_END, SKIPPED, CHAIN], [POOL, CHAIN])
    assert (finding.severity, finding.count, finding.rows) == ("warning", 4, (20, 30, 40, 50))
    assert finding.numbers == {"share": 0.8, "exact": 2, "isomorphic": 3, "functional": 4}
    assert "2 equal node for node, 3 isomorphic once pruned, 4 functionally equal" in finding.message
    assert finding.examples[0] == f"row 20 and row 2 of test.csv, equal node for node: '{CHAIN}'"
    assert finding.examples[1].startswith("row 30 and row 2 of test.csv, isomorphic once pruned: ")
    assert finding.examples[2].startswith("row 40 and row 2 of test.csv, functionally equal")


def test_duplicates_within_a_table_are_no_leak():
    assert found([CHAIN, DEAD_END], [POOL, POOL])[0].count == 0


def test_values_that_agree_and_values_that_differ():
    _, same, other = found(
        [TWO, CHAIN, DEAD_END],
        [POOL, CHAIN],
        same=[1, 2, 9, 2, 2],
        other=[1, 2, 9, 2, 5],
        gap=[1, np.nan, 9, 2, 5],
    )
    assert same.message == "same: all 2 shared rows have the value that test.csv has"
    assert other.message.startswith("other: 1 of 2 shared rows differs from test.csv, by 3 in the median")
    assert (other.rows, other.examples) == ((30,), ("row 30: 5, row 2 of test.csv: 2",))
