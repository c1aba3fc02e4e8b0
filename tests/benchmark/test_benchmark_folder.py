"""The folder of a benchmark: what it keeps, what may change, and what is damaged."""

import json

import pytest

from archflow.benchmark.folder import BenchmarkFolder
from archflow.errors import CheckpointError, UsageError


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_it_is_opened_as_it_was_made(opened):
    made = opened()
    again = BenchmarkFolder.open(made.path)
    assert [run.id for run in again.plan()] == [run.id for run in made.plan()]
    assert again.records() == again.failures() == {}


def test_records_and_failures_are_kept(opened, record_of):
    folder = opened()
    first, second, *_ = folder.plan()
    folder.fail(first, "out of luck")
    folder.fail(second, "out of memory")
    folder.finish(first, record_of(first))
    assert folder.failures() == {second.id: "out of memory"}
    assert {name: record.to_json() for name, record in folder.records().items()} == {
        first.id: folder.records()[first.id].to_json()
    }
    assert folder.records()[first.id].config["method"] == "random"
    folder.forgive([second])
    assert folder.failures() == {}


def test_the_same_protocol_goes_on(opened):
    assert opened().path == opened().path


@pytest.mark.parametrize(
    "change",
    [
        ("permutations: [21, 2021]", "permutations: [5, 21, 2021]"),
        ("model_seeds: [21]", "model_seeds: [21, 2021]"),
        ("labels: [1%, 30]", "labels: [1%, 30, 40]"),
        ("  - random\n", "  - random\n  - onehot-rf\n"),
        ("quick: {labels: [1%], permutations: [21]}\n", ""),
    ],
)
def test_a_protocol_may_grow(opened, record_of, change):
    folder = opened()
    run = folder.plan()[1]
    folder.finish(run, record_of(run))
    grown = opened(change)
    assert list(grown.records()) == [run.id]
    assert {run.id for run in folder.plan()} <= {run.id for run in grown.plan()}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("name: tiny", "name: other"), "name is tiny there and other here"),
        (("permutations: [21, 2021]", "permutations: [21]"), "it has permutations 2021"),
        (("  - random\n", ""), "it has methods.random, which the protocol lacks"),
        (("30]", "40]"), "it has labels 30, which the protocol lacks"),
        (
            ("fine_tuning: {epochs: 2}", "fine_tuning: {epochs: 3}"),
            "methods.gin.digits.fine_tuning.training.epochs is 2 there and 3 here",
        ),
        (("model_seeds", "validation: 50\nmodel_seeds"), "validation is 40 there and 50 here"),
        (("valid_acc}", "parameters}"), "spaces.digits.target is valid_acc there and parameters here"),
        (("valid_acc}", "valid_acc, minimize: true}"), "spaces.digits.minimize is False there and True here"),
    ],
)
def test_another_protocol_is_refused_by_what_differs(opened, change, named):
    path = opened().path
    with pytest.raises(UsageError) as error:
        opened(change)
    assert f"{path} holds runs of another protocol" in str(error.value)
    assert named in str(error.value)
    assert "--out" in str(error.value)


def test_another_table_is_refused(opened):
    folder = opened()
    other = {"digits": {**folder.data["digits"], "table": "f" * 64}}
    with pytest.raises(UsageError, match=r"data.digits.table is [0-9a-f]{64} there and f{64} here"):
        BenchmarkFolder.create(folder.path, folder.protocol, other)


def test_other_folders_are_left_alone(opened, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        opened()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="a file, where a folder was expected"):
        opened(out="file")
    for folder in (tmp_path / "out", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="no benchmark here"):
            BenchmarkFolder.open(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 10_000, "\xff\x00"])
def test_a_damaged_protocol_is_refused(opened, text):
    folder = opened()
    (folder.path / "protocol.json").write_text(text, encoding="latin-1")
    for again in (lambda: BenchmarkFolder.open(folder.path), opened):
        with pytest.raises(CheckpointError, match=r"protocol\.json"):
            again()


def test_an_edited_protocol_is_refused(opened):
    folder = opened()
    edit(folder.path / "protocol.json", lambda value: value["protocol"].update(validation=41))
    with pytest.raises(CheckpointError, match="was edited"):
        opened()


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("scores"),
        lambda value: value["scores"].pop("kendall_tau"),
        lambda value: value["scores"].update(kendall_tau="high"),
        lambda value: value["scores"].update(kendall_tau=float("nan")),
        lambda value: value["scores"].update(precision_at=[1]),
        lambda value: value["cost"].update(fit_seconds=None),
        lambda value: value["config"].update(method="better"),
        lambda value: value["seeds"].update(model=3),
        lambda value: value.update(seeds={}),
        lambda value: value.update(config=7),
        lambda value: value.update(data_digest="0"),
    ],
)
def test_a_damaged_or_edited_record_is_named(opened, record_of, change):
    folder = opened()
    run = folder.plan()[0]
    folder.finish(run, record_of(run))
    file = folder.path / "runs" / f"{run.id}.json"
    edit(file, change)
    with pytest.raises(CheckpointError) as error:
        folder.records()
    assert str(file) in str(error.value)
    assert "delete it" in str(error.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 10_000])
def test_a_torn_record_is_named(opened, record_of, text):
    folder = opened()
    run = folder.plan()[0]
    folder.finish(run, record_of(run))
    (folder.path / "runs" / f"{run.id}.json").write_text(text)
    with pytest.raises(CheckpointError, match="delete it"):
        folder.records()


def test_a_record_of_another_protocol_is_named(opened, record_of):
    stranger = opened(("epochs: 2}\nmethods", "epochs: 3}\nmethods"), out="other").plan()[1]
    folder = opened()
    folder.finish(stranger, record_of(stranger))
    with pytest.raises(CheckpointError, match="not a run of this protocol"):
        folder.records()


def test_a_damaged_note_is_named(opened):
    folder = opened()
    run = folder.plan()[0]
    folder.fail(run, "x")
    (folder.path / "failed" / f"{run.id}.json").write_text("{")
    with pytest.raises(CheckpointError, match=run.id[:20]):
        folder.failures()


def test_two_processes_do_not_write_at_once(opened):
    folder = opened()
    busy = pytest.raises(UsageError, match="another archflow benchmark works in")
    with folder.locked(), busy, folder.locked():
        pass
    with folder.locked():
        pass
