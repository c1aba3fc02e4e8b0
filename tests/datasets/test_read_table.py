"""What read_table returns for good tables: rows, gaps, duplicates, round trips."""

import hashlib
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.datasets import read_table, read_texts, write_table
from archflow.errors import TableError, UsageError
from archflow.spaces.free import Free
from archflow.spaces.nasbench201 import NASBench201

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(params=[".parquet", ".csv"])
def suffix(request):
    return request.param


def test_a_table_comes_back_as_it_was_written(tmp_path, space, cells, suffix):
    path = tmp_path / f"t{suffix}"
    accuracy = np.linspace(50, 93.7, len(cells)) / 3
    write_table(
        path, {"arch": cells, "acc": accuracy, "params": range(len(cells)), "note": ["x"] * len(cells)}
    )
    table = read_table(str(path), space, target="acc")
    assert len(table) == len(cells)
    assert table.texts == cells
    assert [space.format(a) for a in table.architectures] == cells
    assert table.rows.tolist() == list(range(1, len(cells) + 1))
    assert table.rows.dtype == np.int64
    assert sorted(table.columns) == ["acc", "params"]
    assert table.values is table.columns["acc"]
    assert table.values.tobytes() == accuracy.tobytes()  # exact, through text too
    assert table.columns["params"].dtype == np.float64
    assert (table.skipped, table.n_unlabelled, table.n_merged) == ((), 0, 0)
    assert table.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_values_need_a_target(tmp_path, space, cells, suffix):
    write_table(tmp_path / f"t{suffix}", {"arch": cells, "acc": range(len(cells))})
    table = read_table(tmp_path / f"t{suffix}", space)
    assert table.target is None
    with pytest.raises(UsageError, match="without a target"):
        _ = table.values


def test_gaps_are_nan_and_unlabelled_rows_are_counted(tmp_path, space, cells, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, {"arch": cells[:4], "acc": [1.5, None, 3.5, None], "latency": [None, 2, None, 4]})
    table = read_table(path, space, target="acc")
    assert table.rows.tolist() == [1, 3]
    assert table.values.tolist() == [1.5, 3.5]
    assert np.isnan(table.columns["latency"]).all()
    assert table.n_unlabelled == 2
    whole = read_table(path, space)
    assert len(whole) == 4
    assert whole.n_unlabelled == 0
    assert np.isnan(whole.columns["acc"]).tolist() == [False, True, False, True]


def test_nan_in_another_column_is_no_problem(tmp_path, space, cells, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, {"arch": cells[:2], "acc": [1.0, 2.0], "proxy": [math.nan, math.inf]})
    assert np.isnan(read_table(path, space, target="acc").columns["proxy"][0])


def test_without_a_target_duplicates_stay(tmp_path, space, cells, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, {"arch": [cells[0]] * 3, "acc": [1.0, 2.0, 1.0]})
    assert read_table(path, space).rows.tolist() == [1, 2, 3]


def test_equal_duplicates_are_merged(tmp_path, space, cells, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, {"arch": [cells[1], cells[2], f" {cells[1]}"], "acc": [1.0, 2.0, 1.0], "s": [5, 6, 7]})
    table = read_table(path, space, target="acc")
    assert table.rows.tolist() == [1, 2]
    assert len(table.architectures) == 2
    assert table.n_merged == 1
    assert table.columns["s"].tolist() == [5, 6]


def test_conflicting_duplicates_name_rows_values_and_the_way_out(tmp_path, space, cells, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, {"arch": [cells[1], cells[2], cells[1]], "acc": [1.5, 2.0, 2.5]})
    for skip_bad in (False, True):
        with pytest.raises(TableError) as error:
            read_table(path, space, target="acc", skip_bad=skip_bad)
        message = str(error.value)
        for part in (str(path), "rows 1 and 3", cells[1][:40], "acc", "1.5 and 2.5", "duplicates='mean'"):
            assert part in message
        assert "\n" not in message


def test_conflicting_duplicates_are_averaged_on_demand(tmp_path, space, cells, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(
        path,
        {
            "arch": [cells[1], cells[2], cells[1], cells[2], cells[3], cells[1]],
            "acc": [1.0, 0.1, 3.0, 0.1, 8.0, 5.0],
            "s": [None, 0.3, 4.0, None, None, 6.0],
        },
    )
    table = read_table(path, space, target="acc", duplicates="mean")
    assert table.rows.tolist() == [1, 2, 5]
    assert table.texts == cells[1:4]
    assert table.values.tolist() == [3.0, 0.1, 8.0]
    assert table.columns["s"].tolist()[:2] == [5.0, 0.3]
    assert math.isnan(table.columns["s"][2])
    assert table.n_merged == 3


def test_read_texts_leaves_out_empty_cells(tmp_path, cells, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, {"arch": [cells[0], None, "not an architecture"], "acc": [1, 2, 3]})
    assert read_texts(path) == [cells[0], "not an architecture"]


def test_read_texts_leaves_out_what_a_space_cannot_parse(tmp_path, space, cells, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(path, {"arch": [cells[0], None, "not an architecture", cells[0], cells[1]]})
    assert read_texts(path, space) == [cells[0], cells[0], cells[1]]


def test_a_free_table_with_a_bad_row(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    texts = ["input,conv,output;0>1,1>2", "input,pool,output;0>", "input,skip,output;0>1,1>2"]
    write_table(path, {"arch": texts, "acc": [1.0, 2.0, 3.0]})
    free = Free.of_texts(read_texts(path, Free()))
    assert free.operations.names == ("input", "conv", "skip", "output")
    assert read_table(path, free, "acc", skip_bad=True).texts == [texts[0], texts[2]]
    with pytest.raises(TableError, match=r"row 2: arch 'input,pool,output;0>'"):
        read_table(path, free, "acc")


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.int64(), [3, None], [3.0, None]),
        (pa.uint8(), [3, 250], [3.0, 250.0]),
        (pa.int64(), [2**60 + 1, 1], [2.0**60, 1.0]),
        (pa.float32(), [0.5, None], [0.5, None]),
        (pa.float16(), [0.5, None], [0.5, None]),
        (pa.decimal128(9, 3), ["1.125", None], [1.125, None]),
        (pa.null(), [None, None], [None, None]),
    ],
)
def test_every_parquet_number_becomes_float64(tmp_path, space, cells, kind, values, expected):
    if kind == pa.float16():
        values = np.array(values, dtype=np.float64).astype(np.float16)
        column = pa.array(values, mask=np.isnan(values))
    elif pa.types.is_decimal(kind):
        column = pa.array(values).cast(kind)
    else:
        column = pa.array(values, type=kind)
    pq.write_table(pa.table({"arch": cells[:2], "x": column}), tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet", space).columns["x"]
    assert read.dtype == np.float64
    assert [None if math.isnan(v) else v for v in read.tolist()] == expected


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_every_parquet_text_can_hold_architectures(tmp_path, space, cells, kind):
    chunks = pa.chunked_array([pa.array(cells[:3]).cast(kind), pa.array(cells[3:5]).cast(kind)])
    pq.write_table(pa.table({"arch": chunks}), tmp_path / "t.parquet", row_group_size=2)
    assert read_table(tmp_path / "t.parquet", space).texts == cells[:5]


def test_csv_as_spreadsheets_write_it(tmp_path, space, cells):
    path = tmp_path / "T.CSV"
    lines = ["\ufeffname, arch ,acc", f'a,"{cells[0]}", 1.5 ', "", f"b,{cells[1]},", f"c,{cells[2]},2e1", ""]
    path.write_bytes("\r\n".join(lines).encode())
    table = read_table(path, space, target="acc")
    assert table.rows.tolist() == [1, 3]  # blank lines are no rows
    assert table.values.tolist() == [1.5, 20.0]
    assert list(table.columns) == ["acc"]


def test_digits_of_an_architecture_stay_text(tmp_path):
    write_table(tmp_path / "t.csv", {"arch": ["02012100", "00000000"]})
    assert read_texts(tmp_path / "t.csv") == ["02012100", "00000000"]


def test_quoted_json_comes_back_from_csv(tmp_path):
    texts = ['{"op":"a,b",\n"n":[1,2]}', 'plain "quoted"', "trailing\r"]
    write_table(tmp_path / "t.csv", {"arch": texts, "acc": [1, 2, 3]})
    assert read_texts(tmp_path / "t.csv") == texts


def test_a_row_of_gaps_is_still_a_row(tmp_path, space, cells):
    path = tmp_path / "t.csv"
    write_table(path, {"arch": [cells[0], None, "", cells[1]]})
    assert read_table(path, space, skip_bad=True).rows.tolist() == [1, 4]
    assert path.read_text() == f'arch\n{cells[0]}\n""\n""\n{cells[1]}\n'


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=10))
def test_floats_survive_both_formats(tmp_path_factory, values):
    space = NASBench201()
    texts = [space.format(a) for a in space.all()[: len(values)]]
    for name in ("t.csv", "t.parquet"):
        path = tmp_path_factory.mktemp("floats") / name
        write_table(path, {"arch": texts, "acc": values})
        assert read_table(path, space, target="acc").values.tobytes() == np.array(values).tobytes()


def test_write_table_refuses_what_is_no_table(tmp_path):
    for name in ("t.csv", "t.parquet"):
        path = tmp_path / name
        with pytest.raises(UsageError, match=r"one length; they have \{'arch': 1, 'acc': 2\}"):
            write_table(path, {"arch": ["a"], "acc": [1, 2]})
        with pytest.raises(UsageError, match="one length"):
            write_table(path, {})
        with pytest.raises(UsageError, match="column 'acc' cannot be written"):
            write_table(path, {"arch": ["a", "b"], "acc": [1, "x"]})
        assert not path.exists()
    with pytest.raises(TableError, match=r"must end in \.parquet or \.csv, not '\.tsv'"):
        write_table(tmp_path / "t.tsv", {"arch": ["a"]})
    assert list(tmp_path.iterdir()) == []
