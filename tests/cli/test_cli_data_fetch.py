"""`archflow data list` and `archflow data fetch`."""
# ruff: noqa: F811 - fixtures that are imported

import json

import pyarrow.parquet as pq
import pytest

from archflow.datasets.published import PUBLISHED
from toy_table import CONTENT, OTHER, entry_of, only_this_machine, server, waits  # noqa: F401


@pytest.fixture
def cache(server, monkeypatch, tmp_path):
    """The folder that tables are fetched into, from the server, by commands without options."""
    monkeypatch.setenv("ARCHFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ARCHFLOW_MIRROR", server.address)
    return tmp_path / "cache"


@pytest.fixture
def only_toys(cache, server, monkeypatch):
    """Leave two toy tables in the registry."""
    second = entry_of(OTHER, name="toy2", file="toy2.json")
    toys = {"toy": PUBLISHED["toy"], "toy2": second}
    monkeypatch.setattr("archflow.datasets.published.PUBLISHED", toys)
    server.files["toy2.json"] = OTHER


def rows_of(outcome):
    header, *rows = (line.split("\t") for line in outcome.out.splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_list(run, cache):
    rows = {row["name"]: row for row in rows_of(run("data list"))}
    assert list(rows) == list(PUBLISHED)
    assert rows["nasbench201"]["space"] == "nasbench201"
    assert rows["nasbench201"]["rows"] == "15625"
    assert rows["nasbench201"]["MB"] == "2.7"
    assert rows["nasbench_macro"]["licence"] == "Apache-2.0"
    assert {row["fetched"] for row in rows.values()} == {"no"}
    run("data fetch toy")
    fetched = {row["name"] for row in rows_of(run("data list")) if row["fetched"] == "yes"}
    assert fetched == {"toy"}
    assert {row["fetched"] for row in rows_of(run("data list --folder", cache / "other"))} == {"no"}


def test_list_as_json(run, cache, tmp_path):
    tables = json.loads(run("data list --json -").out)["tables"]
    toy = tables[-1]
    assert toy.pop("sha256") == PUBLISHED["toy"].sha256
    assert toy == {
        "name": "toy",
        "space": "nasbench_macro",
        "rows": 3,
        "size": len(CONTENT),
        "licence": "none",
        "about": "a toy",
        "url": PUBLISHED["toy"].url,
        "path": str(cache / "toy.parquet"),
        "fetched": False,
    }
    outcome = run("data list --json", tmp_path / "list.json")
    assert len(rows_of(outcome)) == len(tables)
    assert (
        json.loads((tmp_path / "list.json").read_text())["tables"]
        == json.loads(run("data list --json -").out)["tables"]
    )


def test_fetch(run, cache, server):
    outcome = run("data fetch toy")
    assert rows_of(outcome) == [{"name": "toy", "path": str(cache / "toy.parquet")}]
    assert outcome.err == "toy: fetched\n"
    assert pq.read_table(cache / "toy.parquet").num_rows == 3
    outcome = run("data fetch toy toy")
    assert outcome.err == "toy: fetched already\n"
    assert len(server.requests) == 1
    assert run("data fetch toy --overwrite").err == "toy: fetched\n"
    assert len(server.requests) == 2


@pytest.mark.usefixtures("only_toys")
def test_fetch_all(run, cache):
    run("data fetch toy2")
    outcome = run("data fetch --all --json -")
    assert outcome.err == "toy: fetched\ntoy2: fetched already\n"
    assert json.loads(outcome.out) == {
        "tables": [
            {"name": "toy", "path": str(cache / "toy.parquet"), "fetched": True},
            {"name": "toy2", "path": str(cache / "toy2.parquet"), "fetched": False},
        ]
    }


def test_a_folder_and_a_mirror(run, cache, server, monkeypatch, tmp_path):
    address = server.address
    monkeypatch.setenv("ARCHFLOW_MIRROR", "http://127.0.0.1:9/nowhere")
    (row,) = rows_of(run("data fetch toy --mirror", address, "--folder", tmp_path / "mine"))
    assert row["path"] == str(tmp_path / "mine" / "toy.parquet")
    assert not cache.exists()


@pytest.mark.usefixtures("only_toys")
def test_sources(run, refused, cache, server, tmp_path):
    (tmp_path / "toy.json").write_bytes(CONTENT)
    (tmp_path / "toy2.json").write_bytes(OTHER)
    run("data fetch --all --source", tmp_path)
    run("data fetch toy2 --overwrite --source", tmp_path / "toy2.json")
    assert server.requests == []
    refused("data fetch toy toy2 --source", tmp_path / "toy.json", code=2, parts=["one file for 2 tables"])
    refused(
        "data fetch toy --overwrite --source",
        tmp_path / "toy2.json",
        code=1,
        parts=["not the published file"],
    )
    assert pq.read_table(cache / "toy.parquet").num_rows == 3  # what was there is kept


def test_errors(run, refused, cache, server, waits, tmp_path):
    refused("data fetch", code=2, parts=["name the tables to fetch, or pass --all"])
    refused("data fetch toy --all", code=2, parts=["name the tables to fetch, or pass --all"])
    refused("data fetch toy tory", code=2, parts=["unknown table 'tory'", "Did you mean 'toy'?"])
    refused("data fetch ../toy", code=2, parts=["unknown table '../toy'"])
    refused("data fetch toy --mirror spam", code=2, parts=["mirror 'spam' is no address"])
    refused("data fetch toy --mirror http://127.0.0.1 --source .", code=2, parts=["exclude each other"])
    refused("data fetch toy --source", tmp_path / "none", code=1, parts=["there is no such file"])
    (tmp_path / "there.json").touch()
    refused("data fetch toy --json", tmp_path / "there.json", code=2, parts=["exists already"])
    refused("data list --json", tmp_path / "there.json", code=2, parts=["exists already"])
    assert server.requests == []
    assert not cache.exists()
    refused("data fetch toy --mirror http://127.0.0.1:9", code=1, parts=["cannot be reached", "--source"])
    server.files.clear()
    refused("data fetch toy", code=1, parts=["404"])


def test_a_failure_keeps_the_tables_before_it(run, only_toys, cache, server):
    server.files["toy2.json"] = CONTENT.replace(b"89.5", b"77.7")
    outcome = run("data fetch --all", code=1)
    assert outcome.err.startswith("toy: fetched\narchflow: ")
    assert "SHA-256" in outcome.err
    assert [path.name for path in cache.iterdir()] == ["toy.parquet"]


def test_ctrl_c_says_how_to_go_on(run, cache, server, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("archflow.datasets.download.ResumingDownloader._tell", lambda self: press())
        outcome = run("data fetch toy", code=1)
    assert (
        outcome.err
        == "archflow: stopped; what arrived of toy is kept, and the same command goes on from there\n"
    )
    run("data fetch toy")


def press():
    raise KeyboardInterrupt
