"""The tables of a protocol: where they are looked up, the proxy's join, and what is missing."""

import os
from pathlib import Path

import numpy as np
import pytest

from archflow.benchmark import read_protocol
from archflow.benchmark.data import read_data
from archflow.datasets import digits_table, write_table
from archflow.errors import TableError, UsageError


@pytest.fixture
def read(protocol_file, tmp_path):
    """Read the tables of the tiny protocol after some replacements."""

    def build(*replacements, folder=None):
        path = protocol_file(*replacements)
        return read_data(read_protocol(path), path, folder)["digits"]

    return build


@pytest.fixture
def cells(space):
    return space.sample(200, np.random.default_rng(5))


OWN = ("table: digits, target: valid_acc", "table: own.csv, target: acc")
MORE = (("[1%, 30]", "[10%, 30]"), ("[1%]", "[10%]"))
"""A share of labels that suits a small table."""


def write_own(folder, space, cells, **columns):
    folder.mkdir(exist_ok=True)
    texts = [space.format(cell) for cell in cells]
    write_table(folder / "own.csv", {"arch": texts, **columns})
    return texts


def test_the_embedded_table(read):
    data = read()
    assert len(data.values) == len(digits_table())
    assert data.proxy is None
    assert data.identity() == {
        "rows": 1200,
        "table": digits_table().digest,
        "graphs": digits_table().architectures.digest(),
        "proxy": None,
    }


def test_another_column_of_the_embedded_table(read):
    np.testing.assert_array_equal(
        read(("valid_acc}", "train_seconds}")).values, digits_table().columns["train_seconds"]
    )
    with pytest.raises(TableError, match="no column 'accuracy'"):
        read(("valid_acc}", "accuracy}"))
    with pytest.raises(TableError, match="of space nasbench201, not nasbench101"):
        read(("nasbench201", "nasbench101"))


def test_tables_are_looked_up_in_the_folder_the_environment_and_beside(
    read, space, cells, tmp_path, monkeypatch
):
    monkeypatch.setenv("ARCHFLOW_DATA", str(tmp_path / "environment"))
    for number, place in enumerate(("", "environment", "given")):
        write_own(tmp_path / place, space, cells, acc=np.arange(200.0) + number)
        folder = tmp_path / "given" if place == "given" else None
        assert read(OWN, *MORE, folder=folder).values[0] == number


def test_a_fetched_table_is_found(read, space, cells, tmp_path, monkeypatch):
    monkeypatch.delenv("ARCHFLOW_DATA", raising=False)
    monkeypatch.setenv("ARCHFLOW_CACHE", str(tmp_path / "cache"))
    write_own(tmp_path / "cache", space, cells, acc=np.arange(200.0))
    assert len(read(OWN, *MORE).values) == 200


def test_a_missing_table_says_where_it_was_looked_for(read, tmp_path, monkeypatch):
    monkeypatch.setenv("ARCHFLOW_CACHE", str(tmp_path / "cache"))
    with pytest.raises(TableError) as error:
        read(("table: digits", "table: nasbench201.parquet"), folder=tmp_path / "given")
    for part in ("nasbench201.parquet", tmp_path / "given", "--data", "archflow data fetch nasbench201"):
        assert str(part) in str(error.value)


def test_a_missing_column_is_named(read, space, cells, tmp_path):
    write_own(tmp_path, space, cells, acc=np.arange(200.0))
    with pytest.raises(TableError, match=r"own.csv.*'accuracy'"):
        read(("table: digits, target: valid_acc", "table: own.csv, target: accuracy"))


def test_a_constant_target_is_refused(read, space, cells, tmp_path):
    write_own(tmp_path, space, cells, acc=np.ones(200))
    with pytest.raises(TableError, match=r"own.csv, column acc: .*constant"):
        read(OWN)


@pytest.mark.parametrize("labels", ["0.1%", "601", "3"])
def test_labels_that_do_not_fit_the_table(read, labels):
    with pytest.raises(UsageError, match=rf"tiny.yaml: table digits: {labels} labels"):
        read(("[1%, 30]", f"[1%, {labels}]"))


def test_a_proxy_is_joined_by_graph(read, space, cells, tmp_path):
    texts = write_own(tmp_path, space, cells, acc=np.arange(200.0))
    order = np.random.default_rng(0).permutation(200)
    shuffled = {"arch": [texts[row] for row in order], "nwot": order.astype(float)}
    write_table(tmp_path / "proxies.csv", shuffled)
    joined = (OWN[0], f"{OWN[1]}, proxy: {{table: proxies.csv, column: nwot}}")
    data = read(joined, *MORE)
    np.testing.assert_array_equal(data.proxy, np.arange(200.0))
    assert data.identity()["proxy"] != read(OWN, *MORE).identity()["proxy"]


def test_equal_pruned_graphs_share_a_proxy(read, space, tmp_path):
    conv = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|{}~2|"
    pairs = [conv.format("none"), conv.format("avg_pool_3x3")]  # nothing arrives where the pooling is
    rest = [space.format(cell) for cell in space.sample(150, np.random.default_rng(1))]
    texts = list(dict.fromkeys([*pairs, *rest]))
    write_table(tmp_path / "own.csv", {"arch": texts, "acc": np.arange(float(len(texts)))})
    write_table(tmp_path / "p.csv", {"arch": texts[:1] + texts[2:], "nwot": [7.0, *np.zeros(len(texts) - 2)]})
    data = read((OWN[0], f"{OWN[1]}, proxy: {{table: p.csv, column: nwot}}"), *MORE)
    assert data.proxy[:2].tolist() == [7.0, 7.0]


JOINED = (OWN[0], f"{OWN[1]}, proxy: {{table: p.csv, column: nwot}}")


def test_an_architecture_without_a_proxy_is_refused(read, space, cells, tmp_path):
    texts = write_own(tmp_path, space, cells, acc=np.arange(200.0))
    write_table(tmp_path / "p.csv", {"arch": texts[:20], "nwot": np.arange(20.0)})
    with pytest.raises(TableError, match=r"p.csv: lacks \d+ of the 200 architectures of own.csv, such as"):
        read(JOINED)


def test_an_empty_proxy_is_a_gap(read, space, cells, tmp_path):
    texts = write_own(tmp_path, space, cells, acc=np.arange(200.0))
    write_table(tmp_path / "p.csv", {"arch": texts, "nwot": [None, *range(1, 200)]})
    assert np.flatnonzero(np.isnan(read(JOINED, *MORE).proxy)).tolist() == [0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([float("inf"), *range(1, 200)], "row 1: nwot is infinite"),
        (["x"] * 200, "column 'nwot' is not numeric"),
    ],
)
def test_a_proxy_that_is_no_number_is_refused(read, space, cells, tmp_path, values, reason):
    texts = write_own(tmp_path, space, cells, acc=np.arange(200.0))
    write_table(tmp_path / "p.csv", {"arch": texts, "nwot": values})
    with pytest.raises(TableError, match=reason):
        read(JOINED)


def test_a_missing_proxy_column_is_named(read, space, cells, tmp_path):
    texts = write_own(tmp_path, space, cells, acc=np.arange(200.0))
    write_table(tmp_path / "p.csv", {"arch": texts, "zen": np.arange(200.0)})
    with pytest.raises(TableError, match=r"p.csv.*'nwot'"):
        read(JOINED)


def test_graphs_of_the_free_space(read, tmp_path):
    texts = [
        f"input,{'conv,' * length}pool,output;" + ",".join(f"{n}>{n + 1}" for n in range(length + 2))
        for length in range(1, 121)
    ]
    write_table(tmp_path / "own.csv", {"arch": texts, "acc": np.arange(120.0)})
    data = read(OWN, ("space: nasbench201", "space: free"), *MORE)
    assert len(data.architectures) == 120


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
def test_the_published_proxies_cover_the_whole_space(protocol_file):
    """The table holds the 9,445 cells that differ once unreachable edges are dropped, of 15,625."""
    table = (
        "table: nasbench201.parquet, target: cifar10_test_acc, "
        "proxy: {table: nasbench201_proxies.parquet, column: nwot}"
    )
    path = protocol_file(("table: digits, target: valid_acc", table))
    data = read_data(read_protocol(path), path, Path(os.environ["ARCHFLOW_DATA"]))["digits"]
    assert data.proxy.shape == (15_625,)
    assert np.isfinite(data.proxy).all()
    groups = {}
    for key, value in zip(data.architectures.pruned().keys(), data.proxy, strict=True):
        groups.setdefault(key, set()).add(value)
    assert len(groups) == 8_765
    # Those that the table tells apart, and the mean for cells that it does not have.
    assert sum(map(len, groups.values())) <= 9_445 + len(groups)
