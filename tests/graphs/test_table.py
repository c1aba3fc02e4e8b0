"""Tables: indexing like a list, saving, mapping into memory, and files that are no tables."""

import hashlib
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archflow.errors import TableError, UnknownNameError
from archflow.graphs import Architecture, ArchitectureTable, Operations
from archflow.spaces.nasbench201 import NASBench201
from archflow.testing import TOY_OPERATIONS, toy_table
from archflow.testing.strategies import architectures, tables

TABLE = toy_table(12)
ROWS = list(TABLE)


def test_a_table_holds_its_architectures_in_order():
    assert len(TABLE) == len(ROWS) == 12
    assert list(ArchitectureTable.of(ROWS, TOY_OPERATIONS)) == ROWS
    assert len(set(ROWS)) > 8


@settings(deadline=None)
@given(st.lists(architectures(), max_size=6))
def test_any_architectures_come_back(rows):
    assert list(ArchitectureTable.of(rows)) == rows
    assert list(ArchitectureTable.of(rows, TOY_OPERATIONS)) == rows


def test_the_vocabulary_is_what_occurs_unless_given():
    table = ArchitectureTable.of([ROWS[0], Architecture(("input", "lstm", "skip", "output"), ())])
    assert table.operations == Operations.of(["lstm", "skip"])
    with pytest.raises(UnknownNameError, match="'lstm'"):
        ArchitectureTable.of(list(table), TOY_OPERATIONS)


@pytest.mark.parametrize("row", [0, 3, 11, -1, -12, np.int64(5), np.int32(-2), np.uint8(7)])
def test_an_integer_gives_an_architecture(row):
    assert TABLE[row] == ROWS[row]


@pytest.mark.parametrize("row", [12, -13, np.int64(12), 10**9])
def test_a_row_out_of_range_is_an_index_error(row):
    with pytest.raises(IndexError):
        TABLE[row]


@pytest.mark.parametrize(
    "rows",
    [
        slice(None),
        slice(2, 7),
        slice(None, None, -1),
        slice(10, 2, -3),
        slice(5, 100),
        slice(7, 7),
        slice(-3, None),
    ],
)
def test_a_slice_gives_a_table(rows):
    assert list(TABLE[rows]) == ROWS[rows]
    assert isinstance(TABLE[rows], ArchitectureTable)
    assert TABLE[rows].operations == TABLE.operations


@pytest.mark.parametrize(
    "rows", [[0, 5, 5, 2], [-1, 0, -12], [], np.array([3, 1], dtype=np.int32), np.array([4], dtype=np.uint8)]
)
def test_integers_give_a_table(rows):
    assert list(TABLE[rows]) == [ROWS[row] for row in rows]


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=12, max_size=12))
def test_a_bool_array_gives_a_table(mask):
    expected = [row for row, chosen in zip(ROWS, mask, strict=True) if chosen]
    assert list(TABLE[np.array(mask)]) == expected
    assert list(TABLE[mask]) == expected


@pytest.mark.parametrize(
    "rows", [[0, 12], [-13], np.ones(11, dtype=bool), np.ones(13, dtype=bool), np.array([1.0]), "0"]
)
def test_rows_that_do_not_exist_are_an_index_error(rows):
    with pytest.raises(IndexError):
        TABLE[rows]


@pytest.mark.parametrize("rows", [np.zeros((2, 2), dtype=int), np.bool_(True), None])
def test_rows_must_have_one_axis(rows):
    with pytest.raises(IndexError):
        TABLE[rows]


@settings(deadline=None)
@given(st.lists(tables(), min_size=1, max_size=4))
def test_tables_are_joined_in_order(parts):
    assert list(ArchitectureTable.concatenate(parts)) == [row for part in parts for row in part]


def test_only_tables_over_one_vocabulary_are_joined():
    other = ArchitectureTable.of([ROWS[0]], Operations.of(["conv"]))
    with pytest.raises(TableError, match="only tables over one vocabulary can be joined"):
        ArchitectureTable.concatenate([TABLE, other])
    with pytest.raises(TableError, match="at least one is needed"):
        ArchitectureTable.concatenate([])


def test_the_digest_depends_on_the_graphs_their_order_and_the_vocabulary():
    tables_ = {
        "same": ArchitectureTable.of(ROWS, TOY_OPERATIONS),
        "taken apart": ArchitectureTable.concatenate([TABLE[:5], TABLE[5:]]),
        "reversed": TABLE[::-1],
        "shorter": TABLE[:-1],
        "meaning": ArchitectureTable(TABLE.columns, Operations(TOY_OPERATIONS.names)),
        "edge": ArchitectureTable.of(
            [*ROWS[1:], Architecture(("input", "output"), ((0, 1),))], TOY_OPERATIONS
        ),
    }
    digests = {name: table.digest() for name, table in tables_.items()}
    assert digests["same"] == digests["taken apart"] == TABLE.digest()
    assert len(set(digests.values())) == 5
    assert len(TABLE.digest()) == 64


def test_the_digest_of_a_table_is_the_same_on_every_machine():
    """Records hold digests: SHA-256 of the vocabulary as JSON and of the five little-endian arrays."""
    table = ArchitectureTable.of([Architecture(("input", "output"), ((0, 1),))])
    vocabulary = b'{"names": ["input", "output"], "identity": [], "zero": [], "parametric": []}'
    arrays = ("0000 0100", "0000000000000000 0200000000000000", "00000000", "01000000")
    last = "0000000000000000 0100000000000000"
    expected = hashlib.sha256(vocabulary + bytes.fromhex("".join((*arrays, last))))
    assert table.digest() == expected.hexdigest()


@settings(deadline=None, max_examples=30)
@given(tables(min_size=1))
def test_saved_and_loaded(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("tables") / "table.arrow"
    table.save(path)
    loaded = ArchitectureTable.load(path)
    assert list(loaded) == list(table)
    assert loaded.operations == table.operations
    assert loaded.digest() == table.digest()
    assert loaded.keys().tolist() == table.keys().tolist()
    assert list(loaded.collapsed()) == list(table.collapsed())


def test_a_loaded_table_is_mapped_and_not_copied(tmp_path):
    NASBench201().all().save(tmp_path / "table.arrow")
    before = pa.total_allocated_bytes()
    columns = ArchitectureTable.load(tmp_path / "table.arrow").columns
    assert pa.total_allocated_bytes() - before < 10_000
    assert columns.operation_ids.nbytes == 15_625 * 8 * 2
    assert not any(
        array.flags.owndata or array.flags.writeable
        for array in (columns.operation_ids, columns.sources, columns.targets, columns.node_offsets)
    )


def test_saving_leaves_one_file_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "deep" / "table.arrow"
    TABLE.save(path)
    TABLE[:3].save(path)
    assert [entry.name for entry in path.parent.iterdir()] == ["table.arrow"]
    assert len(ArchitectureTable.load(path)) == 3


def test_a_loaded_table_outlives_the_replacement_of_its_file(tmp_path):
    path = tmp_path / "table.arrow"
    TABLE.save(path)
    loaded = ArchitectureTable.load(path)
    TABLE[:1].save(path)
    assert list(loaded) == ROWS


def test_an_empty_table_is_saved_and_loaded(tmp_path):
    TABLE[:0].save(tmp_path / "empty.arrow")
    loaded = ArchitectureTable.load(tmp_path / "empty.arrow")
    assert len(loaded) == 0
    assert loaded.operations == TABLE.operations


def test_the_empty_table():
    empty = ArchitectureTable.of([])
    assert len(empty) == 0
    assert list(empty) == []
    assert len(empty[:]) == len(empty[[]]) == 0
    assert empty.keys().shape == (0,)
    assert empty.operations == Operations.of([])
    assert len(empty.digest()) == 64
    with pytest.raises(IndexError):
        empty[0]
    joined = ArchitectureTable.concatenate([TABLE[:0], TABLE, TABLE[:0]])
    assert list(joined) == ROWS


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 4096, b"arch,acc\nspam,1\n", b"ARROW1\0\0" * 50, b"PK\x03\x04" * 9]
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "foreign"
    path.write_bytes(content)
    with pytest.raises(TableError, match="foreign: not a whole archflow table"):
        ArchitectureTable.load(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(TableError, match="nowhere: not a whole archflow table"):
        ArchitectureTable.load(tmp_path / "nowhere")
    with pytest.raises(TableError, match="not a whole archflow table"):
        ArchitectureTable.load(tmp_path)


def run_on_damaged_files(tmp_path, damage):
    """Load damaged copies of a table and read all of it, in a process that a bad memory access would kill."""
    TABLE.save(tmp_path / "whole.arrow")
    code = f"""
import sys
from pathlib import Path
from archflow.errors import TableError
from archflow.graphs import ArchitectureTable

whole = Path("whole.arrow").read_bytes()
path = Path("damaged.arrow")
others, refused = [], 0
for damaged in {damage}:
    path.unlink(missing_ok=True)
    path.write_bytes(damaged)
    try:
        table = ArchitectureTable.load(path)
    except TableError:
        refused += 1
        continue
    except Exception as error:
        others.append(type(error).__name__)
        continue
    for array in vars(table.columns).values():
        array.sum()
print(refused, sorted(set(others)))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    if result.returncode < 0:
        pytest.fail(f"the process died of {signal.Signals(-result.returncode).name}")
    assert result.returncode == 0, result.stderr
    refused, others = result.stdout.strip().split(" ", 1)
    return int(refused), others


def test_a_truncated_file_is_refused_and_kills_nothing(tmp_path):
    refused, others = run_on_damaged_files(tmp_path, "[whole[:end] for end in range(0, len(whole), 16)]")
    assert others == "[]"
    assert refused == len(range(0, (tmp_path / "whole.arrow").stat().st_size, 16))


def test_a_file_with_a_hole_kills_nothing(tmp_path):
    damage = "[whole[:cut] + whole[cut + 512 :] for cut in range(8, len(whole) - 600, 64)]"
    refused, others = run_on_damaged_files(tmp_path, damage)
    assert others == "[]"
    assert refused > 0


def test_a_file_with_one_wrong_byte_kills_nothing(tmp_path):
    damage = "[whole[:at] + bytes([216]) + whole[at + 1 :] for at in range(len(whole))]"
    _, others = run_on_damaged_files(tmp_path, damage)
    assert others == "[]"


def foreign(path, columns, operations=TOY_OPERATIONS, batches=1):
    """Write an Arrow file with the metadata of a table and any columns."""
    table = pa.table(columns).replace_schema_metadata(
        {"archflow.operations": json.dumps(operations.to_json())}
    )
    with pa.ipc.new_file(str(path), table.schema) as writer:
        for _ in range(batches):
            writer.write_table(table)
    return path


def lists(rows, kind):
    return pa.array(rows, pa.large_list(kind))


GOOD = {
    "operations": lists([[0, 5], [0, 1, 5]], pa.int16()),
    "sources": lists([[0], [0, 1]], pa.int32()),
    "targets": lists([[1], [1, 2]], pa.int32()),
}


def test_a_table_of_another_program_in_the_same_form_is_read(tmp_path):
    table = ArchitectureTable.load(foreign(tmp_path / "t.arrow", GOOD))
    assert list(table) == [
        Architecture(("input", "output"), ((0, 1),)),
        Architecture(("input", "conv", "output"), ((0, 1), (1, 2))),
    ]


@pytest.mark.parametrize(
    "columns",
    [{"operations": GOOD["operations"]}, {"a": pa.array([1])}],
    ids=["missing columns", "other columns"],
)
def test_other_columns_are_refused(tmp_path, columns):
    with pytest.raises(TableError, match="not a whole archflow table"):
        ArchitectureTable.load(foreign(tmp_path / "t.arrow", columns))


def test_an_arrow_file_without_a_vocabulary_is_refused(tmp_path):
    table = pa.table(GOOD)
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(TableError, match="not a whole archflow table"):
        ArchitectureTable.load(tmp_path / "t.arrow")


@pytest.mark.parametrize("metadata", ["", "{", "[]", "{}", '{"names": ["conv"]}', "null", "\ud7ff"])
def test_a_damaged_vocabulary_is_refused(tmp_path, metadata):
    table = pa.table(GOOD).replace_schema_metadata({"archflow.operations": metadata})
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(TableError, match="not a whole archflow table"):
        ArchitectureTable.load(tmp_path / "t.arrow")


@pytest.mark.parametrize(
    "changes",
    [
        {"operations": pa.array(["a", "b"])},
        {"operations": lists([[0, None], [0, 1, 5]], pa.int16())},
        {"operations": lists([None, [0, 1, 5]], pa.int16())},
        {"operations": lists([[0, 99], [0, 1, 5]], pa.int16())},
        {"operations": lists([[0, -1], [0, 1, 5]], pa.int16())},
        {"operations": lists([[0.0, 5.0], [0.0, 1.0, 5.0]], pa.float64())},
        {"sources": lists([[7], [0, 1]], pa.int32())},
        {"targets": lists([[1, 1], [1, 2]], pa.int32())},
        {"sources": lists([[1], [0, 1]], pa.int32()), "targets": lists([[0], [1, 2]], pa.int32())},
        {"operations": lists([[0, 1], [0, 1, 5]], pa.int16())},
    ],
    ids=[
        "text",
        "missing id",
        "missing row",
        "id past the vocabulary",
        "negative id",
        "fractions",
        "edge to nowhere",
        "sources and targets of other lengths",
        "edge against the order",
        "no output",
    ],
)
def test_values_that_are_no_graphs_are_refused(tmp_path, changes):
    with pytest.raises(TableError, match=r"t\.arrow"):
        ArchitectureTable.load(foreign(tmp_path / "t.arrow", GOOD | changes))


def test_no_rows_are_lost_where_a_file_has_several_batches(tmp_path):
    table = ArchitectureTable.load(foreign(tmp_path / "t.arrow", GOOD, batches=2))
    assert len(table) == 4


@pytest.mark.skipif(os.name != "posix", reason="needs file permissions")
def test_a_saved_table_is_readable_by_others(tmp_path):
    TABLE.save(tmp_path / "t.arrow")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "t.arrow").stat().st_mode == (tmp_path / "plain").stat().st_mode
