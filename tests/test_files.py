"""Atomic writing: a whole new file or the old one, never half, and nothing left behind."""

import hashlib
import json
import os
import stat

import pytest

from archflow.errors import OutputExistsError, UsageError
from archflow.files import atomic_path, locked, require_absent, sha256_of, write_json


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_block_that_ends_well_leaves_one_whole_file(tmp_path):
    path = tmp_path / "new" / "deeper" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert temporary.parent == path.parent
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names_in(path.parent) == ["file.txt"]


def test_until_the_block_ends_the_old_file_is_there(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["file.txt"]


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced elsewhere")
def test_who_reads_the_old_file_reads_it_to_the_end(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with path.open() as reader:
        with atomic_path(path) as temporary:
            temporary.write_text("new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail_half_way():
        with atomic_path(path) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        fail_half_way()
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file.txt"]


def test_a_block_that_raises_makes_no_file(tmp_path):
    with pytest.raises(RuntimeError), atomic_path(tmp_path / "file.txt"):
        raise RuntimeError
    assert names_in(tmp_path) == []


def test_a_folder_in_the_way_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "file.txt" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match=r"file\.txt"), atomic_path(tmp_path / "file.txt") as temporary:
        temporary.write_text("x")
    assert names_in(tmp_path) == ["file.txt"]
    assert names_in(tmp_path / "file.txt") == ["inside"]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / "file.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"  # the outer block ends last
    assert names_in(tmp_path) == ["file.txt"]


@pytest.mark.skipif(os.name != "posix", reason="needs file permissions")
def test_files_get_the_usual_mode(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "file.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "ä"]}, [], "text", {"nested": {"empty": {}}}])
def test_json_comes_back(tmp_path, value):
    write_json(tmp_path / "value.json", value)
    text = (tmp_path / "value.json").read_text(encoding="utf-8")
    assert json.loads(text) == value
    assert text.endswith("\n")


@pytest.mark.parametrize(
    ("value", "error"), [({"a": float("nan")}, ValueError), ([float("inf")], ValueError), ({1, 2}, TypeError)]
)
def test_what_is_not_json_is_refused_and_the_old_file_stays(tmp_path, value, error):
    path = tmp_path / "value.json"
    write_json(path, "old")
    with pytest.raises(error):
        write_json(path, value)
    assert json.loads(path.read_text()) == "old"
    assert names_in(tmp_path) == ["value.json"]


def test_the_digest_of_a_file(tmp_path):
    """The published SHA-256 of the empty message, and of a file of more than one block."""
    (tmp_path / "empty").write_bytes(b"")
    assert sha256_of(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    content = bytes(range(256)) * 5_000
    (tmp_path / "large").write_bytes(content)
    assert sha256_of(tmp_path / "large") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("make", ["touch", "mkdir"])
def test_an_existing_output_is_refused_unless_allowed(tmp_path, make):
    path = tmp_path / "out"
    require_absent(path)
    getattr(path, make)()
    with pytest.raises(OutputExistsError, match=r"out exists already; choose another path or allow over"):
        require_absent(path)
    with pytest.raises(FileExistsError, match=r"another path or pass --overwrite$"):
        require_absent(path, way_out="pass --overwrite")
    require_absent(path, overwrite=True)


def test_a_folder_is_locked_for_others_and_free_again(tmp_path):
    def work():
        with locked(tmp_path, "archflow"):
            return True

    with locked(tmp_path, "archflow"), pytest.raises(UsageError, match=r"another archflow works in .*; wait"):
        work()
    assert work()
