"""Every way a table can be bad: one line that names the file, the row, the value and the rule."""

import math
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archflow.datasets import read_table, read_texts, write_table
from archflow.errors import TableError, UnknownNameError


def message_of(path, space, *parts, target="acc", **options):
    """Read a table that must be refused; check that the message is one line with the file and all parts."""
    with pytest.raises(TableError) as error:
        read_table(path, space, target, **options)
    message = str(error.value)
    assert "\n" not in message
    for part in (str(path), *parts):
        assert part in message
    return message


@pytest.fixture(params=[".parquet", ".csv"])
def suffix(request):
    return request.param


@pytest.fixture
def path(tmp_path, suffix):
    return tmp_path / f"t{suffix}"


def test_missing_file(path, space):
    message_of(path, space, "no such file")


def test_directory(path, space):
    path.mkdir()
    message_of(path, space, "directory")


def test_empty_file(path, space):
    path.touch()
    message_of(path, space, "empty (0 bytes)")


def test_unreadable_file(path, space, cells, monkeypatch):
    write_table(path, {"arch": cells})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("archflow.datasets.sources.sha256_of", refuse)
    message_of(path, space, "cannot be read", "Permission denied")


@pytest.mark.parametrize("name", ["t.json", "t.csv.gz", "t"])
def test_other_suffixes(tmp_path, space, name):
    (tmp_path / name).write_text("arch\n")
    message_of(tmp_path / name, space, ".parquet or .csv")


def test_no_rows(path, space):
    write_table(path, {"arch": [], "acc": []})
    message_of(path, space, "no rows")


def test_no_arch_column_lists_the_columns_there_are(path, space):
    write_table(path, {"cell": ["a"], "acc": [1.0]})
    message_of(path, space, "no column 'arch'", "cell, acc")
    with pytest.raises(TableError, match="no column 'arch'"):
        read_texts(path)


def test_no_target_column_lists_the_numeric_ones_and_suggests(path, space, cells):
    write_table(path, {"arch": cells[:1], "accuracy": [1.0], "latency": [1.0], "note": ["x"]})
    message = message_of(
        path, space, "'acuracy'", "accuracy, latency", "Did you mean 'accuracy'?", target="acuracy"
    )
    assert "note" not in message


def test_no_numeric_column_at_all(path, space, cells):
    write_table(path, {"arch": cells[:1]})
    message_of(path, space, "no column 'acc'", "nor any other numeric column")


def test_text_target(path, space, cells):
    write_table(path, {"arch": cells[:2], "acc": ["high", "low"]})
    message_of(path, space, "column 'acc' is not numeric")
    message_of(path, space, "column 'arch' is not numeric", target="arch")


def test_bool_target(tmp_path, space, cells):
    write_table(tmp_path / "t.parquet", {"arch": cells[:2], "acc": [True, False]})
    message_of(tmp_path / "t.parquet", space, "column 'acc' is not numeric; it holds bool")


def test_architectures_that_are_no_text(tmp_path, space):
    write_table(tmp_path / "t.parquet", {"arch": [None, 2012100], "acc": [1.0, 2.0]})
    message_of(tmp_path / "t.parquet", space, "column 'arch' holds int64", "row 2: 2012100")


def test_empty_architecture(path, space, cells):
    for nothing in (None, "", "  "):
        write_table(path, {"arch": [cells[0], nothing], "acc": [1.0, 2.0]})
        message_of(path, space, "row 2", "arch is empty")


def test_text_that_does_not_parse(path, space, cells):
    bad = cells[1].replace("nor_conv", "conv").replace("skip_connect", "skipp").replace("none", "nothing")
    write_table(path, {"arch": [cells[0], bad, "x", cells[2]], "acc": [1.0, 2.0, 3.0, 4.0]})
    message_of(
        path, space, "row 2", f"'{bad[:50]}", "unknown operation", "1 more rows are bad", "skip_bad=True"
    )
    message_of(path, space, "row 2", target=None)


def test_long_values_are_cut_and_line_breaks_do_not_show(path, space, cells):
    write_table(path, {"arch": [cells[0], "spam\n" * 200], "acc": [1.0, 2.0]})
    assert len(message_of(path, space, "row 2", "spam\\nspam", "...'")) < 300 + len(str(path))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_targets_that_are_not_finite(path, space, cells, value):
    write_table(path, {"arch": cells[:3], "acc": [1.0, None, value]})
    message_of(path, space, "row 3", f"acc is {value}", "finite")
    table = read_table(path, space, "acc", skip_bad=True)
    assert table.rows.tolist() == [1]
    assert table.n_unlabelled == 1
    assert len(table.skipped) == 1
    assert table.skipped[0].startswith("row 3: acc is ")


def test_skip_bad_keeps_the_good_rows_and_says_what_it_left_out(path, space, cells):
    texts = [cells[0], "spam", cells[1], None, cells[2], "eggs"]
    write_table(path, {"arch": texts, "acc": [1.0, 2.0, math.nan, 4.0, 5.0, None]})
    table = read_table(path, space, "acc", skip_bad=True)
    assert table.rows.tolist() == [1, 5]
    assert table.values.tolist() == [1.0, 5.0]
    assert [text.split(":")[0] for text in table.skipped] == ["row 2", "row 3", "row 4"]
    assert table.n_unlabelled == 1  # row 6: nothing was measured, so its text does not matter
    everything = read_table(path, space, skip_bad=True)
    assert everything.rows.tolist() == [1, 3, 5]
    assert len(everything.skipped) == 3


def test_nothing_left(path, space, cells):
    write_table(path, {"arch": ["spam", "eggs"], "acc": [1.0, 2.0]})
    message_of(path, space, "none of the 2 rows", "row 1", "'spam'", skip_bad=True)


@pytest.mark.parametrize("others", [{}, {"x": [1.0, 2.0]}])
def test_no_label_at_all(path, space, cells, others):
    write_table(path, {"arch": cells[:2], "acc": [None, None], **others})
    message_of(path, space, "none of the 2 rows", "'acc' is empty in all")


def test_unknown_way_to_treat_duplicates(path, space, cells):
    write_table(path, {"arch": cells[:2], "acc": [1.0, 2.0]})
    with pytest.raises(UnknownNameError, match=r"'men'.*error, mean.*Did you mean 'mean'"):
        read_table(path, space, "acc", duplicates="men")


def test_truncated_parquet_at_every_length(tmp_path, space, cells):
    write_table(tmp_path / "whole.parquet", {"arch": cells, "acc": range(len(cells))})
    content = (tmp_path / "whole.parquet").read_bytes()
    path = tmp_path / "t.parquet"
    for length in range(1, len(content), 7):
        path.write_bytes(content[:length])
        message_of(path, space, "not a whole Parquet file")


def test_damaged_parquet_is_refused_or_harmless(tmp_path, space, cells):
    """A flipped byte either gives a one-line TableError or changes nothing that is read."""
    path = tmp_path / "t.parquet"
    write_table(path, {"arch": cells, "acc": np.arange(len(cells)) / 7})
    content = path.read_bytes()
    whole = read_table(path, space, "acc")
    rng = random.Random(0)
    refused = []
    for position in rng.sample(range(len(content)), 150):
        damaged = bytearray(content)
        damaged[position] ^= rng.randrange(1, 256)
        path.write_bytes(damaged)
        try:
            table = read_table(path, space, "acc")
        except TableError as error:
            refused.append(str(error))
        else:
            assert table.texts == whole.texts
            assert table.values.tobytes() == whole.values.tobytes()
    assert len(refused) > 50
    assert all(message.startswith(f"{path}: ") and "\n" not in message for message in refused)


def test_other_content_under_a_parquet_name(tmp_path, space):
    (tmp_path / "t.parquet").write_text("arch,acc\nx,1\n")
    message_of(tmp_path / "t.parquet", space, "not a whole Parquet file")


def test_parquet_with_one_name_twice(tmp_path, space, cells):
    table = pa.Table.from_arrays([pa.array(cells[:1])] + [pa.array([1.0])] * 2, names=["arch", "acc", "acc"])
    pq.write_table(table, tmp_path / "t.parquet")
    message_of(tmp_path / "t.parquet", space, "column 'acc' occurs 2 times")


def csv_of(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_of_blank_lines(tmp_path, space):
    message_of(csv_of(tmp_path, "\n\n"), space, "no header row")


def test_csv_with_one_name_twice(tmp_path, space):
    message_of(csv_of(tmp_path, "arch,acc,acc\nx,1,2\n"), space, "column 'acc' occurs 2 times")


def test_csv_rows_of_another_width(tmp_path, space, cells):
    path = csv_of(tmp_path, f"arch,acc\n{cells[0]},1\n{cells[1]}\n{cells[2]},2,3\n{cells[3]},4\n")
    message_of(path, space, "row 2", "1 fields", "header has 2", "1 more rows are bad")
    table = read_table(path, space, "acc", skip_bad=True)
    assert table.rows.tolist() == [1, 4]
    assert [text.split(":")[0] for text in table.skipped] == ["row 2", "row 3"]
    message_of(
        csv_of(tmp_path, "arch,acc\nx\n"), space, "none of the 1 rows", "row 1: 1 fields", skip_bad=True
    )


def test_csv_target_that_is_no_number(tmp_path, space, cells):
    path = csv_of(tmp_path, f"arch,acc\n{cells[0]},1\n{cells[1]},crashed\n{cells[2]},2\n")
    message_of(path, space, "row 2", "acc is 'crashed'", "finite number")
    table = read_table(path, space, "acc", skip_bad=True)
    assert table.values.tolist() == [1.0, 2.0]
    assert list(read_table(path, space).columns) == []  # as no target, a column with text in it is no number


def test_csv_cut_inside_a_quoted_cell(tmp_path, space, cells):
    message_of(csv_of(tmp_path, f'arch,acc\n{cells[0]},1\n"{cells[1]}'), space, "row 2 is not CSV")


def test_csv_cell_beyond_the_limit(tmp_path, space):
    message_of(csv_of(tmp_path, f"arch,acc\n{'x' * 140_000},1\n"), space, "row 1", "field limit", "Parquet")


def test_csv_that_is_not_utf8(tmp_path, space):
    message_of(csv_of(tmp_path, b"arch,acc\nx,1\n\xff\xfe,2\n"), space, "line 3 is not UTF-8", "0xff")
