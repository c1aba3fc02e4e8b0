"""`archflow spaces`."""

import json

from archflow import spaces


def test_every_space_is_listed_with_its_size(run):
    lines = run("spaces").out.splitlines()
    assert lines[0] == "space\tarchitectures\tdescription"
    rows = dict(line.split("\t", 1) for line in lines[1:])
    assert list(rows) == [*spaces.SPACES, "onnx"]
    assert rows["nasbench201"].startswith("15625\t")
    assert rows["free"].startswith("no end\t")


def test_json_alone_on_stdout(run):
    outcome = run("spaces", "--json", "-")
    record = json.loads(outcome.out)
    assert {row["space"]: row["architectures"] for row in record["spaces"]} == {
        name: space.size for name, space in spaces.SPACES.items()
    } | {"onnx": None}
    assert outcome.err == ""


def test_json_to_a_file(run, tmp_path):
    run("spaces", "--json", tmp_path / "spaces.json")
    assert len(json.loads((tmp_path / "spaces.json").read_text())["spaces"]) == len(spaces.SPACES) + 1


def test_the_space_of_files_has_operations_only_with_its_files(refused):
    refused("spaces --space onnx", code=2, parts=["space onnx is a folder of files"])


def test_ctrl_c_is_one_line(refused, monkeypatch):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(spaces, "get", interrupted)
    assert refused("spaces --space free", code=1) == "archflow: stopped\n"
