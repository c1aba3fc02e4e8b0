"""Node attributes on their way through the three graph types, forms, keys and files."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import InvalidArchitectureError, TableError, UnknownNameError
from archflow.graphs import FORMS, Architecture, ArchitectureTable, Columns, GraphBatch, Operations
from archflow.testing import SIZED_TOY_OPERATIONS, TOY_OPERATIONS, renumbered, toy_table
from archflow.testing.strategies import architectures, tables

NAMES, EDGES = ("input", "conv", "output"), ((0, 1), (1, 2))


def test_attributes_are_sorted_and_rounded_and_absent_ones_left_out():
    sized = Architecture(NAMES, EDGES, {"kernel": (0, 3, 0), "channels": (0, 0.1, -0.0), "heads": (0, 0, 0)})
    assert sized.attributes == (("channels", (0.0, float(np.float32(0.1)), 0.0)), ("kernel", (0.0, 3.0, 0.0)))
    assert sized == Architecture(NAMES, EDGES, sized.attributes)
    assert hash(sized) == hash(Architecture(NAMES, EDGES, sized.attributes))
    assert sized != Architecture(NAMES, EDGES)
    assert Architecture(NAMES, EDGES, {"heads": [0, 0, 0]}) == Architecture(NAMES, EDGES)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"kernel": (0, 3)}, "attribute 'kernel' has 2 numbers for 3 nodes"),
        ({"kernel": (0, float("nan"), 0)}, r"node 1 \(conv\) has kernel nan; attributes are finite"),
        ({"kernel": (0, 1e39, 0)}, r"node 1 \(conv\) has kernel 1e\+39; attributes are finite"),
        ((("kernel", (0, 1, 0)), ("kernel", (0, 2, 0))), "attribute 'kernel' is given twice"),
    ],
)
def test_bad_attributes_are_named(attributes, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        Architecture(NAMES, EDGES, attributes)
    with pytest.raises(InvalidArchitectureError, match=message):
        Architecture.from_graph(NAMES, EDGES, attributes)


def test_sorting_a_graph_takes_attributes_along():
    sized = Architecture.from_graph(("output", "conv", "input"), [(2, 1), (1, 0)], {"kernel": [0, 3, 8]})
    assert sized == Architecture(("input", "conv", "output"), EDGES, {"kernel": (8, 3, 0)})


def test_a_vocabulary_names_its_attributes_once():
    with pytest.raises(InvalidArchitectureError, match="attribute 'kernel' is listed twice"):
        dataclasses.replace(TOY_OPERATIONS, attributes=("kernel", "kernel"))
    vocabulary = Operations.of(["conv"], attributes=["kernel", "channels", "kernel"])
    assert vocabulary.attributes == ("channels", "kernel")
    assert Operations.from_json(vocabulary.to_json()) == vocabulary
    assert "attributes" not in TOY_OPERATIONS.to_json()


def test_an_attribute_outside_the_vocabulary_is_refused():
    sized = Architecture(NAMES, EDGES, {"heads": (0, 4, 0)})
    with pytest.raises(UnknownNameError, match="unknown attribute 'heads'"):
        sized.to_columns(SIZED_TOY_OPERATIONS)
    with pytest.raises(UnknownNameError, match="unknown attribute 'heads'"):
        ArchitectureTable.of([Architecture(NAMES, EDGES), sized], TOY_OPERATIONS)
    assert ArchitectureTable.of([Architecture(NAMES, EDGES), sized]).operations.attributes == ("heads",)


@settings(deadline=None)
@given(st.lists(architectures(SIZED_TOY_OPERATIONS), min_size=1, max_size=5))
def test_a_table_gives_back_what_it_was_made_of(drawn):
    table = ArchitectureTable.of(drawn, SIZED_TOY_OPERATIONS)
    assert list(table) == drawn
    assert table.columns.attributes.dtype == np.float32
    table.columns.check(table.operations)
    assert list(table[::-1]) == drawn[::-1]
    assert list(ArchitectureTable.concatenate([table, table[:1]])) == [*drawn, drawn[0]]
    back = GraphBatch.of(table.columns).to_columns()
    assert list(ArchitectureTable(back, table.operations)) == drawn


@settings(deadline=None)
@given(tables(SIZED_TOY_OPERATIONS, min_size=1), st.sampled_from(FORMS))
def test_forms_keep_the_attributes_of_the_nodes_that_stay(table, form):
    """Number the nodes by an attribute: where a node stays, its other attributes stay with it."""
    numbered = np.arange(1, len(table.columns.operation_ids) + 1, dtype=np.float32)
    kernels = table.columns.attributes[:, 1]
    columns = dataclasses.replace(table.columns, attributes=np.stack([numbered, kernels], axis=1))
    formed = dataclasses.replace(table, columns=columns).in_form(form).columns
    plain = dataclasses.replace(
        table,
        columns=dataclasses.replace(columns, attributes=columns.attributes[:, :0]),
        operations=TOY_OPERATIONS,
    ).in_form(form)
    origins = formed.attributes[:, 0].astype(int) - 1
    assert formed.operation_ids.tolist() == columns.operation_ids[origins].tolist()
    assert formed.attributes[:, 1].tolist() == kernels[origins].tolist()
    for field in ("operation_ids", "node_offsets", "sources", "targets", "edge_offsets"):
        assert getattr(formed, field).tolist() == getattr(plain.columns, field).tolist()


@settings(deadline=None)
@given(architectures(SIZED_TOY_OPERATIONS), st.integers(0, 2**32))
def test_keys_do_not_see_the_numbering(architecture, seed):
    other, _ = renumbered(architecture, np.random.default_rng(seed))
    assert other.key() == architecture.key()


def test_keys_see_every_attribute_of_every_node():
    plain = Architecture(NAMES, EDGES)
    sized = [
        Architecture(NAMES, EDGES, {name: values})
        for name in ("channels", "kernel")
        for values in (
            (3, 0, 0),
            (0, 3, 0),
            (0, 0, 3),
            (0, 5, 0),
            (0, -3, 0),
            (0, 3, 3),
            (5, 3, 0),
            (3, 5, 0),
        )
    ]
    assert len({a.key() for a in [plain, *sized]}) == len(sized) + 1


def test_keys_carry_over_between_vocabularies():
    drawn = list(toy_table(40, operations=SIZED_TOY_OPERATIONS))
    wider = Operations(
        (*reversed(TOY_OPERATIONS.names), "more"),
        TOY_OPERATIONS.identity,
        TOY_OPERATIONS.zero,
        attributes=("heads", "kernel", "channels"),
    )
    first, second = (ArchitectureTable.of(drawn, names).keys() for names in (SIZED_TOY_OPERATIONS, wider))
    assert first.tolist() == second.tolist()
    assert first.tolist() == [int(a.key(), 16) for a in drawn]


def test_keys_of_plain_architectures_are_as_before_there_were_attributes():
    plain = toy_table(40)
    widened = ArchitectureTable.of(list(plain), SIZED_TOY_OPERATIONS)
    assert widened.keys().tolist() == plain.keys().tolist()
    assert widened.digest() != plain.digest()


def test_files_hold_attributes(tmp_path):
    table = toy_table(40, operations=SIZED_TOY_OPERATIONS)
    table.save(tmp_path / "table.arrow")
    loaded = ArchitectureTable.load(tmp_path / "table.arrow")
    assert list(loaded) == list(table)
    assert loaded.digest() == table.digest()


@pytest.mark.parametrize("damage", ["absent", "other"])
def test_a_file_that_lost_its_attributes_is_refused(tmp_path, damage):
    path = tmp_path / "table.arrow"
    toy_table(4, operations=SIZED_TOY_OPERATIONS).save(path)
    with pa.ipc.open_file(str(path)) as file:
        arrow = file.read_all()
    without = arrow.drop_columns(["attributes"])
    changed = without if damage == "absent" else without.append_column("attributes", arrow["sources"])
    with pa.ipc.new_file(str(path), changed.schema) as writer:
        writer.write_table(changed)
    with pytest.raises(TableError, match="not a whole archflow table"):
        ArchitectureTable.load(path)


def test_columns_check_their_attributes():
    columns = Columns.of([[0, 1, 5]], [EDGES], np.array([[0, 0], [3, np.inf], [0, 0]], dtype=np.float32))
    with pytest.raises(InvalidArchitectureError, match="row 0 has an attribute that is not finite"):
        columns.check(SIZED_TOY_OPERATIONS)
    with pytest.raises(InvalidArchitectureError, match=r"shape \(3, 2\), but 3 nodes with 0 attributes"):
        columns.check(TOY_OPERATIONS)
