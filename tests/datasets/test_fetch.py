"""Fetching: a published table arrives whole or not at all, from a mirror or a source."""
# ruff: noqa: F811 - fixtures that are imported

import functools
import hashlib
import io
import logging
import os
import pickle
from pathlib import Path

import pooch
import pyarrow.parquet as pq
import pytest

from archflow.datasets.fetch import cache_folder, fetch, fetched_path
from archflow.datasets.published import PUBLISHED
from archflow.datasets.published_readers import read_graph
from archflow.errors import UnknownNameError, UsageError
from file_server import serving
from toy_table import (  # noqa: F401
    ARRIVING,
    CONTENT,
    OTHER,
    PART,
    TOY,
    WHOLE,
    check,
    drop,
    entry_of,
    message_of,
    names_in,
    only_this_machine,
    server,
    toy,
    waits,
)


def test_a_table_arrives(toy, server, waits, tmp_path):
    told = []
    path = toy(report=lambda *progress: told.append(progress))
    assert path == tmp_path / "cache" / WHOLE == fetched_path("toy", tmp_path / "cache")
    check(path)
    (headers,) = server.requests
    assert "Range" not in headers
    assert headers["Accept-Encoding"] == "identity"
    assert told[0] == (0, len(CONTENT) >> 10, "KiB")
    assert told[-1] == (len(CONTENT) >> 10, len(CONTENT) >> 10, "KiB")
    assert sorted(told) == told
    assert len(told) > 4
    assert waits == []


def test_pooch_keeps_quiet_and_its_settings(toy, monkeypatch):
    written, logger = io.StringIO(), pooch.get_logger()
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(written)])
    level = logger.level
    toy()
    assert written.getvalue() == ""
    assert logger.level == level


def test_a_table_that_is_there_is_left_alone(toy, server, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / WHOLE).write_text("mine")
    assert toy().read_text() == "mine"
    assert server.requests == []
    check(toy(overwrite=True))
    assert len(server.requests) == 1


def test_leftovers_that_do_not_fit(toy, server, tmp_path):
    (tmp_path / "cache" / ARRIVING).mkdir(parents=True)
    part = tmp_path / "cache" / PART
    part.write_bytes(CONTENT + b" ")
    check(toy())
    assert server.ranges == [None]
    part.parent.mkdir()
    part.write_bytes(OTHER[:100_000])
    message_of(toy, TOY, "it was removed", overwrite=True)
    check(toy(overwrite=True))
    assert server.ranges == [None, "bytes=100000-", None]


def test_what_a_killed_run_left_is_swept_up(toy, tmp_path):
    (tmp_path / "cache" / ARRIVING).mkdir(parents=True)
    (tmp_path / "cache" / ARRIVING / "tmp12345").touch()  # the temporary file of pooch
    check(toy())


def test_a_whole_leftover_needs_no_request(toy, server, tmp_path):
    (tmp_path / "cache" / ARRIVING).mkdir(parents=True)
    (tmp_path / "cache" / PART).write_bytes(CONTENT)
    check(toy())
    assert server.requests == []


def test_ctrl_c_keeps_what_arrived(toy, server, tmp_path):
    def press(done, *_):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="stopped; what arrived of toy is kept"):
        toy(report=press)
    assert names_in(tmp_path / "cache") == [ARRIVING]
    kept = (tmp_path / "cache" / PART).stat().st_size
    assert 0 < kept < len(CONTENT)
    check(toy())
    assert server.ranges == [None, f"bytes={kept}-"]


def test_a_full_disk(toy, server, tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        message_of(toy, tmp_path / "cache", "cannot be written", "File too large")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert names_in(tmp_path / "cache") == [ARRIVING]
    kept = (tmp_path / "cache" / PART).stat().st_size
    assert 0 < kept <= 100_000
    check(toy())
    assert server.ranges == [None, f"bytes={kept}-"]


def test_a_disk_that_is_full_at_the_end(toy, server, monkeypatch, tmp_path):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("archflow.datasets.tables.pq.write_table", fail)
        message_of(toy, tmp_path / "cache", "cannot be written (No space left on device)")
    check(toy())
    assert len(server.requests) == 1


def test_a_folder_that_is_none(toy, server, tmp_path):
    (tmp_path / "cache").touch()
    message_of(toy, tmp_path / "cache", "cannot be written")
    assert server.requests == []


def test_a_file_that_does_not_hold_what_it_should(toy, server, monkeypatch, tmp_path):
    content = b'{"02012100": {"mean_acc": 250}}'
    monkeypatch.setitem(PUBLISHED, "toy", entry_of(content))
    server.files["toy.json"] = content
    message_of(toy, "has no 'std'")
    assert names_in(tmp_path / "cache") == []


class Malice:
    def __reduce__(self):
        return os.mkdir, ("mark",)


def test_a_malicious_pickle_with_the_right_digest_runs_nothing(server, monkeypatch, tmp_path):
    content = pickle.dumps({0: {"perf": Malice()}})
    entry = entry_of(content, "evil", "nasbench_graph", 1, "evil.bench", read_graph)
    monkeypatch.setitem(PUBLISHED, "evil", entry)
    server.files["evil.bench"] = content
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    message_of(functools.partial(fetch, "evil", tmp_path / "cache", mirror=server.address), "mkdir")
    assert names_in(tmp_path / "work") == []  # where the pickle would have made a folder
    assert names_in(tmp_path / "cache") == []
    pickle.loads(content)
    assert names_in(tmp_path / "work") == ["mark"]  # so the test would have seen it


@pytest.mark.parametrize("name", ["nasbench", "../toy", "/etc/passwd", "toy/../toy", "", "toy\0"])
def test_names_come_from_the_registry_alone(toy, server, tmp_path, name):
    with pytest.raises(UnknownNameError, match="unknown table"):
        fetch(name, tmp_path / "cache", mirror=server.address)
    assert server.requests == []
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "mirror",
    ["", "spam", "127.0.0.1:80", "ftp://127.0.0.1", "file:///tmp", "http://", "http://[", "http://a/?b"],
)
def test_mirrors_that_are_none(toy, tmp_path, mirror):
    with pytest.raises(UsageError, match="is no address; the form is https://HOST/FOLDER"):
        toy(mirror=mirror)
    assert names_in(tmp_path) == []


def test_the_mirror_of_the_environment(toy, server, monkeypatch):
    monkeypatch.setenv("ARCHFLOW_MIRROR", "http://127.0.0.1:9/nowhere")
    check(toy())  # the argument counts more
    monkeypatch.setenv("ARCHFLOW_MIRROR", f"{server.address}/")
    check(toy(mirror=None, overwrite=True))
    assert len(server.requests) == 2
    monkeypatch.setenv("ARCHFLOW_MIRROR", "spam")
    with pytest.raises(UsageError, match="mirror 'spam' is no address"):
        toy(mirror=None, overwrite=True)


@pytest.mark.parametrize("of_folder", [False, True])
def test_a_source(toy, server, tmp_path, of_folder):
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "toy.json"
    file.write_bytes(CONTENT)
    check(toy(source=file.parent if of_folder else file, mirror=None))
    assert file.read_bytes() == CONTENT
    assert server.requests == []


def test_sources_that_are_not_the_published_file(toy, tmp_path):
    file = tmp_path / "mine.json"
    from_source = functools.partial(toy, source=file, mirror=None)
    message_of(from_source, file, "there is no such file", PUBLISHED["toy"].url)
    message_of(
        functools.partial(from_source, source=tmp_path), tmp_path / "toy.json", "there is no such file"
    )
    file.write_bytes(OTHER)
    message_of(from_source, file, TOY, hashlib.sha256(OTHER).hexdigest(), PUBLISHED["toy"].url)
    file.write_bytes(b"spam")
    message_of(from_source, file, "4 bytes instead of the expected")
    file.unlink()
    os.mkfifo(file)
    message_of(from_source, file, "there is no such file")
    assert names_in(tmp_path) == ["mine.json"]


def test_without_a_mirror_the_published_address_is_asked(toy, tmp_path):
    message = message_of(toy, "cannot be reached", "download it by hand", mirror=None)
    assert message.startswith(f"{PUBLISHED['toy'].url}: ")


def test_a_source_and_a_mirror(toy, tmp_path):
    with pytest.raises(UsageError, match="exclude each other"):
        toy(source=tmp_path)


def test_the_folder_by_default(toy, monkeypatch, tmp_path):
    assert cache_folder() == Path(pooch.os_cache("archflow"))
    monkeypatch.setenv("ARCHFLOW_CACHE", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere"
    path = fetch("toy", mirror=toy.keywords["mirror"])
    assert path == tmp_path / "elsewhere" / WHOLE == fetched_path("toy")
    check(path)
    monkeypatch.setenv("ARCHFLOW_CACHE", "~/tables")
    assert cache_folder() == Path.home() / "tables"


@pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ or not (Path(os.environ["ARCHFLOW_DATA"]).parent / "raw").is_dir(),
    reason="the published files are not shipped; set ARCHFLOW_DATA to a folder beside one called raw",
)
@pytest.mark.usefixtures("only_this_machine")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_files_from_a_mirror(name, tmp_path, waits):
    data = Path(os.environ["ARCHFLOW_DATA"])
    file = PUBLISHED[name].file
    with serving({file: (data.parent / "raw" / file).read_bytes()}) as mirror:
        mirror.failures.append(drop(1_000_000))
        path = fetch(name, tmp_path, mirror=mirror.address)
    assert mirror.ranges[0] is None
    assert mirror.ranges[1] is not None
    assert names_in(tmp_path) == [f"{name}.parquet"]
    fetched, expected = (pq.read_table(table) for table in (path, data / f"{name}.parquet"))
    common = [column for column in expected.column_names if column in fetched.column_names]
    assert len(common) >= 2
    for column in common:
        assert fetched[column].to_pylist() == expected[column].to_pylist()
