"""The folder of finished parts: what it remembers, and what it refuses."""

import json

import pytest

from archflow.errors import CheckpointError, TableError, UsageError
from archflow.predictors.streaming.parts import CandidateFile, files_in
from archflow.predictors.streaming.state import State, model_digest, survey, unfinished

PARTS = list(CandidateFile("f.parquet", (10, 10, 10), "d", True).parts(10))
RESULT = {"skipped": 0, "values": [0.1, 1 / 3]}


@pytest.fixture
def state(tmp_path):
    with State.opened(tmp_path / "out.parts") as state:
        yield state


def test_what_is_finished_stays_finished(state):
    assert state.result(PARTS[0]) is None
    state.finish(PARTS[0], RESULT)
    assert state.result(PARTS[0]) == RESULT == state.require_result(PARTS[0])
    assert state.result(PARTS[1]) is None
    with pytest.raises(CheckpointError, match="rows 11 to 20 is gone"):
        state.require_result(PARTS[1])


def test_a_damaged_result_is_not_finished(state):
    state.finish(PARTS[0], RESULT)
    (file,) = state.path.glob("part-*.json")
    whole = json.loads(file.read_text())
    for content in ("", "{", "[]", json.dumps({**whole, "result": {**RESULT, "values": [2]}})):
        file.write_text(content)
        assert state.result(PARTS[0]) is None


def test_results_of_other_parts_are_forgotten(state):
    told = []
    state.finish(PARTS[0], RESULT)
    state.finish(PARTS[1], RESULT)
    left = unfinished(state, PARTS[1:], skip_bad=False, tell=told.append)
    assert left == [PARTS[2]]
    assert told == [
        "1 finished part of files that changed since or are gone: done again",
        f"1 of 2 parts finished already, by {state.path}",
    ]
    assert state.result(PARTS[0]) is None


def test_parts_with_bad_rows_are_done_again_where_these_must_stop(state):
    state.finish(PARTS[0], {"skipped": 2})
    assert unfinished(state, PARTS[:1], skip_bad=True, tell=print) == []
    assert unfinished(state, PARTS[:1], skip_bad=False, tell=print) == PARTS[:1]
    assert unfinished(state, PARTS[:1], skip_bad=True, tell=print, whole=lambda *_: False) == PARTS[:1]


def test_another_run_is_refused(state):
    run = {"predictor": "a" * 64, "top": 3, "weights": None}
    state.require_run(run)
    state.require_run(run)
    with pytest.raises(UsageError, match=r"another top \(3 there, 4 here\); .*delete the folder"):
        state.require_run({**run, "top": 4})
    with pytest.raises(UsageError, match="with another predictor; "):
        state.require_run({**run, "predictor": "b" * 64})
    state.forget_run()
    state.require_run({**run, "top": 4})
    (state.path / "run.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"run\.json: is damaged"):
        state.require_run(run)


def test_two_at_once_are_refused(state):
    with pytest.raises(UsageError, match="another archflow works in"), State.opened(state.path):
        pass


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "note").write_text("keep")
    for path in (tmp_path / "mine", tmp_path / "mine" / "note"):
        with pytest.raises(UsageError), State.opened(path):
            pass
    assert (tmp_path / "mine" / "note").read_text() == "keep"


def test_half_written_files_are_swept_up(tmp_path):
    with State.opened(tmp_path / "s") as state:
        (state.path / ".part-1.json.x.partial").touch()
    with State.opened(tmp_path / "s") as state:
        assert not list(state.path.glob("*.partial"))
        state.remove()
    assert not (tmp_path / "s").exists()


def test_the_digest_of_a_model_is_what_it_predicts_with(fit, tmp_path):
    folders = {}
    for name, options in {"a": {}, "again": {}, "seed": {"seed": 1}, "way": {"minimize": True}}.items():
        fit(**options).save(tmp_path / name)
        folders[name] = model_digest(tmp_path / name)
    assert folders["a"] == folders["again"]
    assert len(set(folders.values())) == 3


def test_a_survey_names_damaged_files(folder):
    (folder / "b.parquet").write_bytes(b"spam")
    with pytest.raises(TableError, match=r"b\.parquet: not a whole .*--skip-bad"):
        survey(files_in(folder), skip_bad=False)
    files, bad = survey(files_in(folder), skip_bad=True)
    assert [file.name for file in files] == ["a.parquet", "c.parquet"]
    assert list(bad) == ["b.parquet"]
