"""NAS-Bench-ASR: the official list, 13,824 cells, the published hash and number of parameters."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.graphs import FORMS, Architecture, ArchitectureTable
from archflow.spaces import get
from archflow.spaces.nasbench_asr import NASBenchASR
from archflow.testing import check_space

SPACE = NASBenchASR()

# What the authors' documentation prints of one cell.
PUBLISHED = "[[1,0],[1,0,0],[1,0,0,0]]"
PUBLISHED_HASH = "36855332a5778e0df5114305bc3ce238"
PUBLISHED_PARAMETERS = 26_338_848

OPERATION, FLAG = st.integers(0, 5), st.integers(0, 1)
CELLS = st.tuples(*(st.tuples(OPERATION, *[FLAG] * node) for node in (1, 2, 3)))


def text_of(cell):
    return json.dumps(cell, separators=(",", ":"))


def table_of(*cells):
    return ArchitectureTable.of([SPACE.parse(text_of(cell)) for cell in cells], SPACE.operations)


def computed(cell, x, scale):
    """What a cell computes on a number, if operation k multiplies by `scale[k]` and `zero` by 0."""
    maps = [x]
    for operation, *flags in cell:
        skipped = sum(value for value, flag in zip(maps, flags, strict=True) if flag)
        maps.append(scale[operation] * maps[-1] + skipped)
    return maps[-1]


def through_graph(graph, x, scale):
    """The same from the graph: each node adds up what it reads."""
    values = []
    factors = dict(zip(SPACE.choices, scale, strict=True)) | {"skip_connect": 1.0, "output": 1.0}
    for node, name in enumerate(graph.operations):
        read = sum(values[source] for source, target in graph.edges if target == node)
        values.append(x if name == "input" else factors[name] * read)
    return values[-1]


def test_conforms():
    check_space(SPACE)
    assert isinstance(get("nasbench_asr"), NASBenchASR)


def test_a_cell_written_out():
    graph = SPACE.parse("[[0,1],[5,0,1],[4,1,0,0]]")
    assert graph.operations == (
        "input",
        *("linear", "skip_connect"),
        *("zero", "zero", "skip_connect"),
        *("conv7d2", "skip_connect", "zero", "zero"),
        "output",
    )
    #  maps:    0>1     0>1     0>2     0>3 | 1>2, 1>2 and 1>3 follow both 0>1; 2>3 and 2>3 follow all into 2
    starts = {(0, 1), (0, 2), (0, 4), (0, 7)}
    middle = {(u, v) for u in (1, 2) for v in (3, 5, 8)} | {(u, v) for u in (3, 4, 5) for v in (6, 9)}
    assert set(graph.edges) == starts | middle | {(node, 10) for node in (6, 7, 8, 9)}


@given(CELLS)
@settings(deadline=None)
def test_the_graph_computes_what_the_cell_does(cell):
    scale = [2.0, 3.0, 5.0, 7.0, 11.0, 0.0]
    graph = SPACE.parse(text_of(cell))
    assert through_graph(graph, 1.0, scale) == computed(cell, 1.0, scale)
    assert through_graph(graph.collapsed(SPACE.operations), 1.0, scale) == computed(cell, 1.0, scale)


@given(CELLS)
@settings(deadline=None)
def test_texts_come_back_and_names_are_read(cell):
    graph = SPACE.parse(text_of(cell))
    assert SPACE.format(graph) == text_of(cell)
    assert SPACE.parse(text_of([[SPACE.choices[op], *flags] for op, *flags in cell])) == graph


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("[[1,0],[1,0,0]]", "not a NAS-Bench-ASR cell; the form is"),
        ('{"a":1}', "not a NAS-Bench-ASR cell"),
        ("[[1,0],[1,0],[1,0,0,0]]", "node 2 must be a list of an operation and 2 skip flags"),
        ("[[1,0],[1,0,0],3]", "node 3 must be a list of an operation and 3 skip flags"),
        ("[[6,0],[1,0,0],[1,0,0,0]]", "node 1: the operation must be a name or a number from 0 to 5"),
        ("[[true,0],[1,0,0],[1,0,0,0]]", "node 1: the operation must be"),
        ("[[1.0,0],[1,0,0],[1,0,0,0]]", "node 1: the operation must be"),
        ('[[1,0],["conv3",0,0],[1,0,0,0]]', "node 2: unknown operation 'conv3'; choose from: conv5"),
        ("[[1,0],[1,0,2],[1,0,0,0]]", "node 2: a skip flag must be 0 or 1"),
        ("[[1,0],[1,0,true],[1,0,0,0]]", "node 2: a skip flag must be 0 or 1"),
        (PUBLISHED + " " * 1_000, "this space reads at most 1000"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        SPACE.parse(text)


@pytest.mark.parametrize(
    "graph",
    [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(SPACE.parse(PUBLISHED).operations, SPACE.parse(PUBLISHED).edges[1:]),
        Architecture(("input", "skip_connect", *["zero"] * 8, "output"), SPACE.parse(PUBLISHED).edges),
        SPACE.parse(PUBLISHED).pruned(SPACE.operations),
    ],
)
def test_other_graphs_are_not_written(graph):
    for write in (SPACE.format, SPACE.official_hash):
        with pytest.raises(InvalidArchitectureError, match="not a NAS-Bench-ASR cell as written"):
            write(graph)


def test_all_cells_in_order():
    table = SPACE.all()
    texts = [SPACE.format(cell) for cell in table]
    rows = itertools.product(*(itertools.product(range(6), *[range(2)] * node) for node in (1, 2, 3)))
    assert texts == [text_of(row) for row in rows]
    assert len(texts) == SPACE.size == 13_824 == 6**3 * 2**6
    with pytest.raises(UsageError, match="the space has 13824"):
        SPACE.sample(13_825, np.random.default_rng(0))


def test_the_published_number_of_different_cells():
    assert len({SPACE.official_hash(cell) for cell in SPACE.all()}) == 8_242
    assert SPACE.official_hash(SPACE.parse(PUBLISHED)) == PUBLISHED_HASH


def test_one_hash_can_stand_for_cells_that_differ():
    """A node of zero hides its own flags from the hash, though the next node adds what they bring."""
    one, other = table_of([[0, 0], [5, 0, 1], [1, 0, 0, 0]], [[0, 1], [5, 0, 1], [1, 0, 0, 0]])
    assert SPACE.official_hash(one) == SPACE.official_hash(other)
    assert one.collapsed(SPACE.operations).key() != other.collapsed(SPACE.operations).key()


@given(CELLS, st.integers(0, 2**32))
@settings(deadline=None)
def test_a_mutation_changes_one_entry(cell, seed):
    mutated = SPACE.mutate(SPACE.parse(text_of(cell)), np.random.default_rng(seed))
    changed = json.loads(SPACE.format(mutated))
    assert (
        sum(
            old != new
            for row, other in zip(cell, changed, strict=True)
            for old, new in zip(row, other, strict=True)
        )
        == 1
    )


def test_the_published_number_of_parameters():
    assert SPACE.parameters(table_of(json.loads(PUBLISHED))).tolist() == [PUBLISHED_PARAMETERS]


def test_parameters_of_each_operation():
    """From one `zero` to another operation the count grows by that operation's weights in all 18 cells."""
    cells = [[[operation, 0], [1, 0, 0], [1, 0, 0, 0]] for operation in range(6)]
    counts = SPACE.parameters(table_of(*cells))
    widths = [600] * 3 + [800] * 4 + [1000] * 5 + [1200] * 6
    linear = sum(width * width + width for width in widths)
    grouped = [sum(taps * width * (width // 100) + width for width in widths) for taps in (5, 5, 7, 7)]
    assert (counts - counts[5]).tolist() == [linear, *grouped, 0]
    without_zero = table_of(*cells[:5])
    for form in FORMS:
        assert SPACE.parameters(without_zero.in_form(form)).tolist() == counts[:5].tolist()


def test_a_foreign_vocabulary_is_refused():
    with pytest.raises(UnknownNameError, match="unknown operation 'lstm'"):
        SPACE.parameters(ArchitectureTable.of([Architecture(("input", "lstm", "output"), ((0, 1), (1, 2)))]))
