"""Which format a path is in, and what all readers share."""

import json

import pytest
from official_files import CELL, record_101, result_301, results_201, tfrecord, write_pickle

from archflow.datasets.official import FORMATS, format_of, read_official
from archflow.errors import UnknownNameError, UsageError
from archflow.spaces.darts import DARTS
from archflow.spaces.nasbench101 import NASBench101
from archflow.spaces.nasbench201 import NASBench201

SPACES = {space.name: space for space in (DARTS(), NASBench101(), NASBench201())}


@pytest.fixture
def files(tmp_path):
    """A path of each format."""
    (tmp_path / "nasbench.tfrecord").write_bytes(tfrecord(record_101()))
    for folder in ("archive", "nb_301/rs"):
        (tmp_path / folder).mkdir(parents=True)
    write_pickle(tmp_path / "archive" / "000000.pickle.pbz2", results_201())
    (tmp_path / "nb_301" / "rs" / "results_0.json").write_text(json.dumps(result_301()))
    scores = {"cifar10": {"(4, 0, 3, 1, 4, 3)": {"snip": 1.0}}}
    (tmp_path / "zc_nasbench201.json").write_text(json.dumps(scores))
    return {
        "nasbench101": tmp_path / "nasbench.tfrecord",
        "nats_bench": tmp_path / "archive",
        "nasbench301": tmp_path / "nb_301",
        "zero_cost": tmp_path / "zc_nasbench201.json",
    }


def test_every_format_is_told_by_its_path(files):
    assert set(files) == set(FORMATS)
    for name, path in files.items():
        assert format_of(path) == name
        assert FORMATS[name].about
    assert format_of(files["nasbench301"] / "rs" / "results_0.json") == "nasbench301"
    assert format_of(files["nats_bench"] / "000000.pickle.pbz2") == "nats_bench"
    assert format_of(files["nats_bench"] / "NAS-Bench-201-v1_1-096897.pth") == "nats_bench"


def test_every_format_gives_architectures_that_their_space_reads(files):
    for name, path in files.items():
        told = []
        table = read_official(str(path), progress=lambda *step, told=told: told.append(step[:2]))
        assert len(table) == 1
        SPACES[table.space].parse(table.columns["arch"][0])
        assert told[-1] == ((0, 0) if name == "nasbench101" else (1, 1))  # MiB, or entries


def test_a_name_goes_before_the_path(files, tmp_path):
    path = files["nasbench101"].rename(tmp_path / "records")
    assert len(read_official(path, "nasbench101")) == 1


def test_nothing_tells_the_format(tmp_path, refused):
    for path in (tmp_path, tmp_path / "notes.txt"):
        if path != tmp_path:
            path.touch()
        refused(path, path, "nothing tells the format", "nasbench101, nats_bench", error=UsageError)


def test_errors_that_all_share(files, tmp_path, refused):
    path = files["zero_cost"]
    refused(tmp_path / "missing", "there is no such file or folder")
    refused(path, "Did you mean 'nasbench101'", error=UnknownNameError, format="nasbench10")
    refused(path, "the format zero_cost has no option colour", error=UsageError, colour=1)
    refused(files["nats_bench"], "no option space", error=UsageError, space="nasbench201")


def test_a_file_that_cannot_be_read(files, refused, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    refused(files["nasbench101"], "cannot be read (Permission denied)")


def test_files_under_another_format(files, refused):
    for name in FORMATS:
        for other, path in files.items():
            if name != other:
                options = {"space": "nasbench201"} if name == "zero_cost" else {}
                refused(path, format=name, **options)
    refused(files["nats_bench"], "a folder or device", format="nasbench101")
    assert CELL in read_official(files["nats_bench"]).columns["arch"]
