"""Reading a part in batches: every row once, bad ones named, damage noticed."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archflow.errors import TableError
from archflow.graphs.arrow import METADATA, to_arrow
from archflow.predictors.streaming.parts import files_in, inspect
from archflow.predictors.streaming.reading import read_part
from archflow.spaces.free import Free
from archflow.testing import toy_table


@pytest.mark.parametrize("chunk", [1, 4, 1000])
def test_all_rows_in_order_in_small_batches(folder, space, cells, texts, chunk):
    found, where, words = [], [], []
    for path in files_in(folder):
        for part in inspect(path).parts(10):
            for batch in read_part(path, part, space, chunk=chunk):
                assert 0 < len(batch.rows) <= chunk
                assert len(batch.rows) == len(batch.architectures)
                found += list(batch.architectures)
                where += [(path.name, row) for row in batch.rows.tolist()]
                words += batch.texts or [space.format(cell) for cell in batch.architectures]
    assert found == list(cells)
    assert words == texts
    counts = {"a.parquet": 40, "b.parquet": 20, "c.parquet": 30}
    assert where == [(name, row) for name, count in counts.items() for row in range(1, count + 1)]


def read(path, space, **options):
    return list(read_part(path, inspect(path).whole(), space, **options))


def test_bad_rows_are_named_or_left_out(folder, space, texts, write):
    path = folder / "a.parquet"
    write(path, [*texts[:5], "spam", *texts[5:9], None, " ", texts[9]], row_group_size=4)
    with pytest.raises(TableError, match=r"a\.parquet: row 6: arch 'spam': "):
        read(path, space, chunk=3)
    batches = read(path, space, chunk=3, skip_bad=True)
    rows = np.concatenate([batch.rows for batch in batches])
    assert rows.tolist() == [1, 2, 3, 4, 5, 7, 8, 9, 10, 13]
    messages = [message for batch in batches for message in batch.skipped]
    assert [message.partition(":")[0] for message in messages] == ["row 6", "row 11", "row 12"]


def test_operations_that_a_closed_space_does_not_know_are_bad_rows(tmp_path, write):
    path = tmp_path / "free.parquet"
    write(path, ["input,conv,output;0>1,1>2", "input,pool,output;0>1,1>2"])
    closed = Free.of_texts(["input,conv,output;0>1,1>2"])
    with pytest.raises(TableError, match=r"row 2.*'pool'"):
        read(path, closed)


def test_damage_between_the_ends(folder, space, damage):
    path = folder / "b.parquet"
    damage(path)
    with pytest.raises(TableError, match=r"b\.parquet: not a whole Parquet file"):
        read(path, space)


def test_a_file_that_changes_under_way(folder, space, texts, write):
    path = folder / "a.parquet"
    part = inspect(path).whole()
    write(path, texts[:10])
    with pytest.raises(TableError, match=r"a\.parquet: was changed while it was worked on"):
        next(read_part(path, part, space))


def test_graphs_of_another_vocabulary(tmp_path, space):
    table = toy_table(4)
    path = tmp_path / "toy.parquet"
    pq.write_table(to_arrow(table.columns, table.operations), path)
    with pytest.raises(TableError, match=r"toy\.parquet: .* another vocabulary than the space's"):
        read(path, space)


def test_graphs_that_break_a_rule(folder, space, cells):
    arrow = to_arrow(cells.columns, cells.operations)
    bad = arrow.set_column(
        1,
        "sources",
        pa.array([[99] * len(row) for row in arrow["sources"].to_pylist()], arrow["sources"].type),
    )
    pq.write_table(bad, folder / "c.parquet")
    with pytest.raises(TableError, match=r"c\.parquet: rows 1 to 7 are no graphs"):
        read(folder / "c.parquet", space, chunk=7)
    pq.write_table(arrow.replace_schema_metadata({METADATA: b"{}"}), folder / "c.parquet")
    with pytest.raises(TableError, match=r"c\.parquet"):
        read(folder / "c.parquet", space)


def test_text_that_is_no_utf8(folder, space):
    arch = pa.array([b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"arch": arch}), folder / "b.parquet")
    with pytest.raises(TableError, match=r"b\.parquet"):
        read(folder / "b.parquet", space)


def test_memory_does_not_grow_with_the_row_group(tmp_path, space, texts):
    """One row group of thirty megabytes is read in pieces of a fraction of that."""
    path = tmp_path / "large.parquet"
    rows = 300_000
    arch = pa.array([texts[0]] * rows)
    pq.write_table(
        pa.table({"arch": arch}), path, row_group_size=rows, use_dictionary=False, compression="none"
    )
    size = path.stat().st_size
    del arch
    before, most = pa.total_allocated_bytes(), 0
    for batch in read_part(path, inspect(path).whole(), space, chunk=1000):
        most = max(most, pa.total_allocated_bytes() - before)
        if batch.stop > 20_000:
            break
    assert most < size / 5
