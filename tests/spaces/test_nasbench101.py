"""NAS-Bench-101: the text, the 423,624 cells, the published hash and the published parameter counts."""

import collections
import hashlib
import itertools
import json
import os
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench101_enumeration import enumerate_cells

SPACE = NASBench101()
CONV3, CONV1, POOL = SPACE.choices
SMALLEST = '{"matrix":[[0,1],[0,0]],"ops":["input","output"]}'
GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "nasbench101_space.json").read_text())

# Rows of the published table: edges, inner operations, hash, trainable parameters.
PUBLISHED = [
    (
        "01 12 23 04 05 35 45 26 56",
        (CONV3, POOL, CONV3, CONV3, CONV1),
        "00005c142e6f48ac74fdcf73e3439874",
        8555530,
    ),
    (
        "01 12 23 34 35 45 36 56",
        (CONV1, CONV1, CONV3, CONV1, CONV3),
        "0000718c96730a92ea6d5242f8ce77e2",
        5878154,
    ),
    (
        "01 12 23 34 05 15 45 36 56",
        (CONV3, POOL, CONV1, POOL, CONV1),
        "0000cb5372fad9d62c470df699ac6d52",
        3729162,
    ),
    (
        "01 12 03 23 34 45 26 56",
        (CONV1, CONV3, POOL, CONV1, POOL),
        "0000fa05697179112aaf69c2f0a51a0f",
        3729162,
    ),
]

needs_table = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


def published_cell(edges, inner):
    return Architecture(("input", *inner, "output"), tuple((int(u), int(v)) for u, v in edges.split()))


def cell_text(matrix, ops):
    return json.dumps({"matrix": matrix, "ops": ops}, separators=(",", ":"))


@pytest.fixture(scope="module")
def published():
    table = pq.read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench101.parquet")
    texts = table["arch"].to_pylist()
    cells = [SPACE.parse(text) for text in texts]
    return texts, cells, table["hash"].to_pylist(), table["params"].to_numpy()


@st.composite
def cells(draw):
    """Valid cells as written: a path from input to output, and other edges that may lead nowhere."""
    n = draw(st.integers(2, 7))
    path = [0, *sorted(draw(st.sets(st.integers(1, n - 2)))), n - 1] if n > 2 else [0, 1]
    edges = set(itertools.pairwise(path))
    pairs = st.sampled_from(list(itertools.combinations(range(n), 2)))
    edges |= draw(st.sets(pairs, max_size=9 - len(edges)))
    inner = draw(st.lists(st.sampled_from(SPACE.choices), min_size=n - 2, max_size=n - 2))
    return Architecture(("input", *inner, "output"), tuple(edges))


def test_it_is_a_space():
    assert SPACE.parse(SMALLEST) == Architecture(("input", "output"), ((0, 1),))


# The text


@given(cells())
def test_parse_inverts_format(cell):
    text = SPACE.format(cell)
    assert SPACE.parse(text) == cell
    assert SPACE.format(SPACE.parse(text)) == text


def test_parse_reads_json_in_any_layout():
    loose = ' {"ops": ["input", "output"],\n "matrix": [[0, 1], [0, 0]]}'.strip()
    assert SPACE.format(SPACE.parse(loose)) == SMALLEST


def test_a_vertex_off_every_path_is_kept_as_written():
    cell = SPACE.parse(cell_text([[0, 1, 1], [0, 0, 0], [0, 0, 0]], ["input", CONV3, "output"]))
    assert cell.n_nodes == 3
    assert SPACE.official_hash(cell) == SPACE.official_hash(SPACE.parse(SMALLEST))
    table = ArchitectureTable.of([cell, SPACE.parse(SMALLEST)], SPACE.operations)
    assert len(set(SPACE.parameters(table))) == 1


CHAIN = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
BAD_TEXTS = {
    "empty": ("", "not JSON"),
    "of another space": ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "not JSON"),
    "cut off": (SMALLEST[:-1], "not JSON"),
    "nested without end": ("[" * 5_000, "not JSON"),
    "an integer of 5,000 digits": ("9" * 5_000, "not JSON"),
    "giant": (SMALLEST + " " * 20_000, "20049 characters"),
    "no object": ("[0,1]", "the form is"),
    "a number": ("7", "the form is"),
    "a key missing": ('{"ops":["input","output"]}', "the form is"),
    "a key too many": (SMALLEST[:-1] + ',"name":"a"}', "the form is"),
    "a key twice": (SMALLEST[:-1] + ',"ops":["input","output"]}', "the form is"),
    "ops no list": ('{"matrix":[[0,1],[0,0]],"ops":"input"}', '"ops" must be a list'),
    "no ops": ('{"matrix":[],"ops":[]}', '"ops" must be a list'),
    "a number as operation": ('{"matrix":[[0,1],[0,0]],"ops":["input",2]}', "node 1"),
    "matrix no list": ('{"matrix":3,"ops":["input","output"]}', "2 rows"),
    "matrix an object": ('{"matrix":{"a":1,"b":2},"ops":["input","output"]}', "2 rows"),
    "too few rows": (cell_text([[0, 1]], ["input", "output"]), "2 rows"),
    "row no list": (cell_text([[0, 1], 0], ["input", "output"]), "row 1"),
    "row too short": (cell_text([[0, 1], [0]], ["input", "output"]), "row 1"),
    "entry of two": (cell_text([[0, 2], [0, 0]], ["input", "output"]), "row 0, column 1"),
    "entry true": (cell_text([[0, True], [0, 0]], ["input", "output"]), "row 0, column 1"),
    "entry 1.0": (cell_text([[0, 1.0], [0, 0]], ["input", "output"]), "row 0, column 1"),
    "entry NaN": ('{"matrix":[[0,NaN],[0,0]],"ops":["input","output"]}', "row 0, column 1"),
    "entry null": (cell_text([[0, None], [0, 0]], ["input", "output"]), "row 0, column 1"),
    "a cycle": (
        cell_text([[0, 1, 0], [0, 0, 1], [0, 1, 0]], ["input", CONV3, "output"]),
        "row 2, column 1",
    ),
    "a self loop": (
        cell_text([[0, 1, 0], [0, 1, 1], [0, 0, 0]], ["input", CONV3, "output"]),
        "row 1, column 1",
    ),
    "an operation misspelt": (
        cell_text(CHAIN, ["input", "conv3x3-bn-rel", "output"]),
        "node 1.*Did you mean 'conv3x3-bn-relu'",
    ),
    "an operation with a line break": (cell_text(CHAIN, ["input", "a\nb", "output"]), r"node 1.*'a\\nb'"),
    "an operation without end": (cell_text(CHAIN, ["input", "c" * 9_000, "output"]), "node 1.*unknown"),
    "an inner input": (cell_text(CHAIN, ["input", "input", "output"]), "node 1.*unknown"),
    "input not first": (cell_text(CHAIN, [CONV3, "input", "output"]), "first node must be 'input'"),
    "output not last": (cell_text(CHAIN, ["input", "output", CONV3]), "last node must be 'output'"),
    "one vertex": (cell_text([[0]], ["input"]), "last node must be 'output'"),
    "no path": (cell_text([[0, 1, 0], [0, 0, 0], [0, 0, 0]], ["input", CONV3, "output"]), "no path"),
    "eight vertices": (
        cell_text(np.eye(8, k=1, dtype=int).tolist(), ["input", *[POOL] * 6, "output"]),
        "8 vertices",
    ),
    "ten edges": (
        cell_text(np.triu(np.ones((5, 5), int), 1).tolist(), ["input", *[POOL] * 3, "output"]),
        "10 edges",
    ),
}


@pytest.mark.parametrize(("text", "reason"), BAD_TEXTS.values(), ids=BAD_TEXTS.keys())
def test_bad_text_is_refused_in_one_line(text, reason):
    with pytest.raises(InvalidArchitectureError, match=reason) as caught:
        SPACE.parse(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("architecture", "reason"),
    [
        (Architecture(("input", "conv", "output"), ((0, 1), (1, 2))), "node 1.*unknown operation 'conv'"),
        (Architecture((CONV3, "input", "output"), ((1, 2),)), "first node"),
        (Architecture(("input", "output"), ((0, 1), (0, 1))), "repeated"),
        (Architecture(("input", CONV3, "output"), ((0, 1),)), "no path"),
    ],
)
def test_what_is_no_cell_is_neither_written_nor_hashed_nor_mutated(architecture, reason):
    with pytest.raises(InvalidArchitectureError, match=reason):
        SPACE.format(architecture)
    with pytest.raises(InvalidArchitectureError, match=reason):
        SPACE.official_hash(architecture)
    with pytest.raises(InvalidArchitectureError, match=reason):
        SPACE.mutate(architecture, np.random.default_rng(0))


# The published hash


@pytest.mark.parametrize(("edges", "inner", "digest", "_parameters"), PUBLISHED)
def test_official_hash_of_published_cells(edges, inner, digest, _parameters):
    assert SPACE.official_hash(published_cell(edges, inner)) == digest


@given(cells(), st.data())
def test_official_hash_and_key_agree_on_isomorphism(cell, data):
    order = data.draw(st.permutations(range(1, cell.n_nodes - 1)))
    place = {vertex: position for position, vertex in enumerate((0, *order, cell.n_nodes - 1))}
    names = tuple(cell.operations[vertex] for vertex in place)
    renumbered = Architecture.from_graph(names, [(place[u], place[v]) for u, v in cell.edges])
    assert SPACE.official_hash(renumbered) == SPACE.official_hash(cell)
    assert renumbered.key() == cell.key()


# The cells


@pytest.fixture(scope="module")
def everything():
    start = time.process_time()
    table = SPACE.all()
    assert time.process_time() - start < 30  # about 2.5 seconds on a quiet core
    return table


def test_all_has_the_published_count_and_is_made_once(everything):
    assert len(everything) == SPACE.size == GOLDEN["count"]
    assert len(np.unique(everything.keys())) == SPACE.size
    assert SPACE.all() is NASBench101().all() is everything


def test_all_has_the_published_number_of_cells_of_each_size(everything):
    sizes = np.bincount(np.diff(everything.columns.node_offsets))
    assert sizes.tolist() == [0, 0, 1, 6, 84, 2_441, 62_010, 359_082]


def test_all_is_valid_pruned_and_in_order(everything):
    for cell in everything[::4_001]:
        assert SPACE.parse(SPACE.format(cell)) == cell
    assert len(everything.pruned().columns.operation_ids) == len(everything.columns.operation_ids)
    assert SPACE.format(everything[0]) == SMALLEST
    assert [cell.operations[1] for cell in everything[1:4]] == [CONV3, CONV1, POOL]


def test_enumeration_matches_plain_loops_on_five_vertices():
    expected = set()
    for n in range(2, 6):
        pairs = list(itertools.combinations(range(n), 2))
        for present in itertools.product((False, True), repeat=len(pairs)):
            edges = set(itertools.compress(pairs, present))
            sources, targets = {u for u, _ in edges}, {v for _, v in edges}
            if len(edges) > 6 or sources != set(range(n - 1)) or targets != set(range(1, n)):
                continue
            for labels in itertools.product((CONV3, CONV1, POOL), repeat=n - 2):
                expected.add(smallest_renumbering(edges, labels, n))
    table = enumerate_cells(SPACE.operations, 5, 6)
    assert len(table) == len(expected)
    assert {smallest_renumbering(a.edges, a.operations[1:-1], a.n_nodes) for a in table} == expected


def smallest_renumbering(edges, labels, n):
    """A canonical form by brute force: the least of all orders of the inner vertices."""
    forms = []
    for order in itertools.permutations(range(1, n - 1)):
        place = {0: 0, n - 1: n - 1} | {vertex: position for position, vertex in enumerate(order, start=1)}
        names = tuple(labels[vertex - 1] for vertex in order)
        forms.append((names, tuple(sorted((place[u], place[v]) for u, v in edges))))
    return min(forms)


def test_sample_is_distinct_repeatable_and_bounded(everything):
    drawn = SPACE.sample(3_000, np.random.default_rng(5))
    assert len(np.unique(drawn.keys())) == 3_000
    assert np.isin(drawn.keys(), everything.keys()).all()
    assert np.array_equal(drawn.keys(), SPACE.sample(3_000, np.random.default_rng(5)).keys())
    share = np.mean(np.diff(drawn.columns.node_offsets) == 7)
    assert share == pytest.approx(359_082 / SPACE.size, abs=0.03)
    assert len(SPACE.sample(0, np.random.default_rng(5))) == 0
    for count in (-1, SPACE.size + 1):
        with pytest.raises(UsageError, match="423624"):
            SPACE.sample(count, np.random.default_rng(5))


@given(cells(), st.integers(0, 2**32))
@settings(max_examples=200)
def test_a_mutant_is_valid_pruned_different_and_repeatable(cell, seed):
    mutant = SPACE.mutate(cell, np.random.default_rng(seed))
    assert SPACE.parse(SPACE.format(mutant)) == mutant
    assert mutant.pruned(SPACE.operations) == mutant
    assert mutant.key() not in (cell.key(), cell.pruned(SPACE.operations).key())
    assert SPACE.mutate(cell, np.random.default_rng(seed)) == mutant


def test_mutations_lead_from_the_smallest_cell_to_the_largest():
    rng = np.random.default_rng(0)
    cell, sizes = SPACE.parse(SMALLEST), collections.Counter()
    for _ in range(500):
        cell = SPACE.mutate(cell, rng)
        sizes[cell.n_nodes] += 1
    assert set(sizes) >= {3, 4, 5, 6, 7}


# The parameters


@pytest.mark.parametrize(("edges", "inner", "_digest", "parameters"), PUBLISHED)
def test_parameters_of_published_cells(edges, inner, _digest, parameters):
    table = ArchitectureTable.of([published_cell(edges, inner)], SPACE.operations)
    assert SPACE.parameters(table).tolist() == [parameters]


@given(st.lists(cells(), min_size=1, max_size=4))
def test_parameters_match_plain_loops_and_do_not_depend_on_the_vocabulary(some):
    expected = [plain_parameters(cell.pruned(SPACE.operations)) for cell in some]
    assert SPACE.parameters(ArchitectureTable.of(some, SPACE.operations)).tolist() == expected
    assert SPACE.parameters(ArchitectureTable.of(some)).tolist() == expected
    assert SPACE.parameters(ArchitectureTable.of(some).pruned()).tolist() == expected


def plain_parameters(cell):
    """Build the network layer by layer, and count."""

    def conv(size, n_in, n_out):
        return size * size * n_in * n_out + 2 * n_out

    total, n_in = conv(3, 3, 128), 128
    for n_out in (128, 128, 128, 256, 256, 256, 512, 512, 512):
        last = cell.n_nodes - 1
        ends = [u for u, v in cell.edges if v == last and u != 0]
        channels = {}
        for place, vertex in enumerate(ends):
            channels[vertex] = n_out // len(ends) + (place < n_out % len(ends))
        for vertex in range(last - 1, 0, -1):
            if vertex not in channels:
                channels[vertex] = max(channels[v] for u, v in cell.edges if u == vertex)
        for vertex in range(1, last):
            if (0, vertex) in cell.edges:
                total += conv(1, n_in, channels[vertex])
            size = {CONV3: 3, CONV1: 1, POOL: None}[cell.operations[vertex]]
            total += conv(size, channels[vertex], channels[vertex]) if size else 0
        if (0, last) in cell.edges:
            total += conv(1, n_in, n_out)
        n_in = n_out
    return total + 512 * 10 + 10


def test_parameters_refuse_what_is_not_of_the_space():
    foreign = Architecture(("input", "linear", "output"), ((0, 1), (1, 2)))
    with pytest.raises(UnknownNameError, match="'linear'"):
        SPACE.parameters(ArchitectureTable.of([foreign]))
    long = Architecture(("input", *[POOL] * 6, "output"), tuple((i, i + 1) for i in range(7)))
    with pytest.raises(InvalidArchitectureError, match="architecture 0 has 8 vertices"):
        SPACE.parameters(ArchitectureTable.of([long]))
    empty = ArchitectureTable.of([], Operations.of([POOL]))
    assert SPACE.parameters(empty).shape == (0,)


# The published table


@needs_table
def test_every_published_text_comes_back(published):
    texts, parsed, _, _ = published
    assert len(texts) == 20_001
    assert [SPACE.format(cell) for cell in parsed] == texts


@needs_table
def test_every_published_hash_is_met(published):
    _, parsed, hashes, _ = published
    assert [SPACE.official_hash(cell) for cell in parsed] == hashes


@needs_table
def test_every_published_parameter_count_is_met(published):
    _, parsed, _, parameters = published
    table = ArchitectureTable.of(parsed, SPACE.operations)
    assert np.array_equal(SPACE.parameters(table), parameters)


@needs_table
def test_published_cells_are_among_all_in_the_same_vertex_order(published, everything):
    rows = {key: row for row, key in enumerate(everything.keys().tolist())}
    some = published[1][::10]
    keys = ArchitectureTable.of(some, SPACE.operations).keys().tolist()
    assert len(some) >= 2_000
    assert [everything[rows[key]] for key in keys] == some


@pytest.mark.slow
def test_the_hashes_of_all_are_the_published_ones(everything):
    hashes = sorted(SPACE.official_hash(cell) for cell in everything)
    assert hashes[:3] == GOLDEN["first"]
    assert hashes[-3:] == GOLDEN["last"]
    digest = hashlib.md5("\n".join(hashes).encode()).hexdigest()
    assert digest == GOLDEN["md5_of_sorted_hashes_joined_by_newline"]
