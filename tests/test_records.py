import json
from datetime import UTC, datetime
from importlib import metadata

import pytest

from archflow.errors import CheckpointError
from archflow.records import RunRecord, versions


@pytest.fixture
def record():
    return RunRecord(
        config={"method": "auto", "labels": 40, "nested": {"form": "pruned"}},
        seeds={"labels": 3},
        data_digest="ab" * 32,
        scores={"kendall_tau": 0.7, "precision_at": {"1": 0.5}},
        cost={"fit_seconds": 1.5},
    )


def test_a_record_survives_json(record):
    assert RunRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_a_record_is_dated_and_says_what_ran(record):
    age = datetime.now(UTC) - datetime.fromisoformat(record.created)
    assert 0 <= age.total_seconds() < 60
    assert record.created.endswith("+00:00")
    assert record.versions == versions()


def test_versions_name_what_decides_the_numbers():
    import numpy
    import torch

    found = versions()
    assert list(found) == ["python", "archflow", "torch", "numpy"]
    assert found["numpy"] == numpy.__version__
    assert found["torch"] == torch.__version__


def test_versions_of_other_packages_can_be_asked_for():
    assert versions("scikit-learn") == versions() | {"scikit-learn": metadata.version("scikit-learn")}


def test_versions_of_what_is_not_installed(monkeypatch):
    monkeypatch.setattr("archflow.records.PACKAGES", ("archflow-is-not-called-this",))
    assert versions()["archflow-is-not-called-this"] == "not installed"


def test_a_run_without_a_table(record):
    value = record.to_json() | {"data_digest": None}
    assert RunRecord.from_json(value).data_digest is None


@pytest.mark.parametrize("name", ["config", "seeds", "versions", "data_digest", "scores", "cost", "created"])
def test_a_missing_key_is_named(record, name):
    value = record.to_json()
    del value[name]
    with pytest.raises(CheckpointError, match=f"missing keys: {name}; unknown keys: none"):
        RunRecord.from_json(value)


def test_an_unknown_key_is_named(record):
    with pytest.raises(CheckpointError, match="missing keys: none; unknown keys: sores"):
        RunRecord.from_json(record.to_json() | {"sores": {}})


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("config", [1], r"config must be an object, not \[1\]"),
        ("scores", None, "scores must be an object, not None"),
        ("data_digest", 5, "data_digest must be text or null, not 5"),
        ("created", "yesterday", "created must be an ISO time, not 'yesterday'"),
        ("created", None, "created must be an ISO time, not None"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(record, name, value, message):
    with pytest.raises(CheckpointError, match=message):
        RunRecord.from_json(record.to_json() | {name: value})


def test_something_else_than_an_object():
    with pytest.raises(CheckpointError, match="must be a JSON object, not list"):
        RunRecord.from_json([])
