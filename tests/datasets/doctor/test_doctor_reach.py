import numpy as np
from hypothesis import given

from archflow.datasets.doctor import reach_findings
from archflow.graphs import ArchitectureTable, Operations
from archflow.spaces import Free
from archflow.testing.strategies import architectures

FREE = Free()
CHAIN = "input,conv,output;0>1,1>2"
DEAD_END = "input,conv,pool,output;0>1,1>3,0>2"
ZERO_BRANCH = "input,conv,none,output;0>1,1>3,0>2,2>3"
CUT_OFF = "input,none,output;0>1,1>2"
UNWIRED = "input,conv,output;0>1"
SKIP = "input,conv,skip,output;0>1,1>2,2>3"


def found(*texts):
    table = ArchitectureTable.of(
        list(map(FREE.parse, texts)), Operations.of(["conv", "pool", "none", "skip"])
    )
    rows = np.arange(1, len(texts) + 1) * 10
    return {f.kind: f for f in reach_findings(table, table.pruned(), table.collapsed(), rows)}


def test_whole_graphs_have_nothing_to_say():
    assert found(CHAIN, CHAIN) == {}
    assert found() == {}


def test_nodes_on_no_path():
    dead = found(CHAIN, DEAD_END, UNWIRED)
    assert list(dead) == ["cut-off", "dead-nodes", "forms"]
    assert (dead["dead-nodes"].rows, dead["dead-nodes"].numbers["nodes"]) == ((20, 30), 2)
    assert dead["cut-off"].rows == (30,)
    assert dead["cut-off"].severity == "warning"


def test_a_zero_operation_is_no_dead_node_but_may_cut_the_output_off():
    zero = found(CHAIN, ZERO_BRANCH, CUT_OFF)
    assert list(zero) == ["cut-off", "zero-operations", "forms"]
    assert (zero["zero-operations"].rows, zero["zero-operations"].numbers["nodes"]) == ((20, 30), 2)
    assert zero["cut-off"].message.startswith("1 of 3 rows (33.3 %) let nothing through")


def test_the_share_of_rows_that_the_forms_change():
    forms = found(CHAIN, ZERO_BRANCH, SKIP, CHAIN)["forms"]
    assert forms.message == (
        "25 % of the rows change when they are pruned, and 50 % when they are collapsed too"
    )
    assert (forms.rows, forms.numbers) == ((20, 30), {"share": 0.5, "pruned": 1})


@given(architectures())
def test_a_row_changes_exactly_if_its_forms_are_other_graphs(architecture):
    table = ArchitectureTable.of([architecture])
    findings = reach_findings(table, table.pruned(), table.collapsed(), np.array([1]))
    changed = table.collapsed()[0] != architecture
    assert any(finding.kind == "forms" for finding in findings) == changed
