"""A YAML file in place of a space's name, through every command."""

import csv
import json

import numpy as np
import pytest

from archflow.spaces import from_yaml

HEAD = """\
name: my_space
operations: {conv: parametric, pool: plain, skip: identity, none: zero}
attributes: [channels]
"""
SHAPES = {
    "chain": "chain:\n- conv: {channels: [16, 32]}\n- choices: [conv, pool, skip]\n  repeat: 2\n",
    "edges": "cell:\n  choices: [conv, skip, none]\n  edges: [0>1, 0>2, 1>2]\n",
    "nodes": "cell:\n  choices: [conv, pool, none]\n"
    "  nodes: {a: {from: input}, b: {from: input}, c: {from: [a, b]}}\n",
    "free": "free: true\n",
}
GRAPHS = [
    f"input,{first},{second},output;0>1,1>2,2>3;channels=0,{size},0,0"
    for first in ("conv", "pool")
    for second in ("conv", "skip", "none")
    for size in (8, 16)
]


@pytest.fixture(params=SHAPES)
def file(request, tmp_path, monkeypatch):
    """The file of each shape, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_space.yaml").write_text(HEAD + SHAPES[request.param])
    return request.param


@pytest.fixture
def texts(file):
    """The texts of twelve architectures."""
    space = from_yaml("my_space.yaml")
    if file == "free":
        return GRAPHS
    return [space.format(architecture) for architecture in space.sample(12, np.random.default_rng(0))]


@pytest.fixture
def results(table, texts):
    return table("results.csv", arch=texts, acc=np.random.default_rng(1).normal(90, 3, size=12))


@pytest.fixture
def own(run, results):
    """Run a command on the file."""

    def command(words, code=0):
        return run(f"{words} --space my_space.yaml", code=code)

    return command


def arch_of(path):
    with path.open(newline="") as lines:
        return [row["arch"] for row in csv.DictReader(lines)]


def test_data_check(own, texts):
    record = json.loads(own("data check results.csv --json -").out)
    assert (record["space"], record["rows"], record["good_rows"]) == ("my_space", 12, 12)


def test_evaluate(own):
    record = json.loads(own("evaluate --table results.csv --target acc --labels 6 --seeds 2 --json - "
                            "--method onehot-rf").out)  # fmt: skip
    assert record["space"] == "my_space"
    assert len(record["runs"]) == 2


def test_pretrain_encode_fit_and_rank(own, file, texts, tmp_path):
    """The whole way with one pre-trained encoder; the table stands in for a space that has no end."""
    own("pretrain --table results.csv --epochs 1 --width 8 --out encoder")
    own("encode --table results.csv --pretrained encoder --out vectors.csv")
    assert arch_of(tmp_path / "vectors.csv") == texts
    own("fit --labels results.csv --target acc --method fgp-gin --pretrained encoder --out model")
    own("rank --model model --candidates results.csv --out ranking.csv")
    assert sorted(arch_of(tmp_path / "ranking.csv")) == sorted(texts)
    content = json.loads((tmp_path / "model" / "checkpoint.json").read_text())["content"]
    assert content["space"] == "my_space"


def test_encode_by_the_surrogate(own, texts, tmp_path):
    own("encode --table results.csv --out vectors.csv")
    assert arch_of(tmp_path / "vectors.csv") == texts


@pytest.mark.parametrize("what", ["--all", "--sample 5"])
def test_rank_all_or_a_sample(own, file, refused, tmp_path, what):
    words = f"rank --labels results.csv --target acc --method onehot-rf {what} --out ranking.csv"
    if file == "free":
        refused(f"{words} --space my_space.yaml", code=2, parts=["give a table of candidates"])
        return
    own(words)
    space = from_yaml("my_space.yaml")
    ranked = arch_of(tmp_path / "ranking.csv")
    assert len(set(ranked)) == len(ranked) == (space.size if what == "--all" else 5)
    assert all(space.format(space.parse(text)) == text for text in ranked)


def test_rank_with_a_fresh_encoder(own, file, tmp_path):
    """No encoder is shipped for the space, so that one is pre-trained."""
    candidates = "--candidates results.csv" if file == "free" else "--all"
    words = "rank --labels results.csv --target acc --method fgp-gin --pretrain-epochs 1 --out r.csv"
    own(f"{words} {candidates}")
    assert (tmp_path / "r.csv").exists()


def test_pretrain_on_all_or_a_sample(own, file, refused):
    for name, what in (("whole", "--all"), ("drawn", "--sample 6")):
        words = f"pretrain {what} --epochs 1 --width 8 --out {name}"
        if file == "free":
            refused(f"{words} --space my_space.yaml", code=2, parts=["give a table of candidates"])
        else:
            own(words)


def test_label_says_that_there_are_no_networks(file, refused):
    parts = ["sampled; give a table"] if file == "free" else ["my_space", "no networks"]
    refused("label --space my_space.yaml --count 2 --out labels.csv", code=2, parts=parts)


def test_spaces_shows_it(own, file):
    record = json.loads(own("spaces --json -").out)
    space = from_yaml("my_space.yaml")
    assert (record["space"], record["architectures"]) == ("my_space", space.size)
    assert record["operations"] == space.operations.to_json()
    assert space.format(space.parse(record["example"])) == record["example"]
    shown = dict(line.split("\t", 1) for line in own("spaces").out.splitlines())
    assert shown["architectures"] == ("no end" if file == "free" else str(space.size))
    assert (shown["example"], shown["attributes"]) == (record["example"], "channels")
    meanings = {"conv": "parametric", "pool": "plain", "skip": "identity", "none": "zero"}
    assert {name: shown[name] for name in meanings} == meanings


# What is refused

COMMANDS = {
    "evaluate": "evaluate --table results.csv --target acc --labels 6 --method random --json OUT",
    "fit": "fit --labels results.csv --target acc --method random --out OUT",
    "rank": "rank --labels results.csv --target acc --candidates results.csv --method random --out OUT.csv",
    "encode": "encode --table results.csv --out OUT.csv",
    "pretrain": "pretrain --table results.csv --epochs 1 --width 8 --out OUT",
    "check": "data check results.csv",
    "label": "label --count 2 --out OUT.csv",
    "spaces": "spaces",
}
every_command = pytest.mark.parametrize("command", COMMANDS)


@pytest.fixture
def chain_results(tmp_path, table, monkeypatch):
    """A good table and a good file in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_space.yaml").write_text(HEAD + SHAPES["chain"])
    cells = from_yaml("my_space.yaml").all()
    space = from_yaml("my_space.yaml")
    return table("results.csv", arch=[space.format(cell) for cell in cells], acc=np.arange(float(len(cells))))


BAD_FILES = {
    "missing.yaml": (None, "missing.yaml: there is no such file"),
    "empty.yaml": ("", "empty.yaml: the file is empty"),
    "unknown.yml": (HEAD + "chian: [conv]", "unknown.yml: line 4: unknown key 'chian'"),
    "tag.yaml": (HEAD + "chain: !!python/object/apply:os.system [id]", "tag.yaml: line 4: tag"),
    "alias.yaml": (HEAD + "chain: &a [conv, *a]", "alias.yaml: line 4: anchor &a"),
    "deep.yaml": (HEAD + "chain: " + "[" * 100_000, "deep.yaml: line 4: lists and mappings are nested"),
    "operation.yaml": (HEAD + "chain: [cnv]", "operation.yaml: line 4: unknown operation 'cnv'"),
    "taken.yaml": (HEAD.replace("my_space", "nasbench201") + "chain: [conv]", "space named 'nasbench201'"),
}


@every_command
def test_a_bad_file_through_every_command(refused, tmp_path, chain_results, command):
    before = sorted(path.name for path in tmp_path.iterdir())
    for name, (text, part) in BAD_FILES.items():
        if text is not None:
            (tmp_path / name).write_text(text)
        message = refused(f"{COMMANDS[command]} --space {name}", code=2, parts=[part])
        assert message.count("\n") == 1
    made = {path.name for path in tmp_path.iterdir()} - set(BAD_FILES)
    assert sorted(made) == before


@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ("label", "spaces")])
def test_meanings_beside_a_file(refused, chain_results, command):
    words = f"{COMMANDS[command]} --space my_space.yaml --identity conv"
    refused(words, code=2, parts=["--identity and --zero are for space free; my_space.yaml knows"])


def test_a_text_of_another_space_in_the_table(refused, table, chain_results):
    table("results.csv", arch=["conv(channels=16),conv,pool", "conv,conv,cnv"], acc=[1.0, 2.0])
    words = COMMANDS["encode"]
    refused(
        f"{words} --space my_space.yaml", code=1,
        parts=["results.csv: row 2", "'conv,conv,cnv'", "position 1: unknown choice 'conv'"],
    )  # fmt: skip


def test_a_model_of_another_vocabulary(run, refused, tmp_path, chain_results):
    run("fit --space my_space.yaml --labels results.csv --target acc --method random --out model")
    text = (HEAD + SHAPES["chain"]).replace("none: zero", "zero: zero")
    (tmp_path / "my_space.yaml").write_text(text)
    refused(
        "rank --space my_space.yaml --model model --all --out r.csv", code=1,
        parts=["model: trained for another vocabulary", "'zero'"],
    )  # fmt: skip


def test_a_chain_may_grow_after_it_was_fitted(run, tmp_path, chain_results):
    run("fit --space my_space.yaml --labels results.csv --target acc --method onehot-rf --out model")
    (tmp_path / "my_space.yaml").write_text(HEAD + SHAPES["chain"].replace("repeat: 2", "repeat: 3"))
    run("rank --space my_space.yaml --model model --all --out r.csv")
    assert len(arch_of(tmp_path / "r.csv")) == 2 * 3**3


# One space by name


def test_spaces_of_archflow_are_shown_too(run):
    record = json.loads(run("spaces --space nasbench201 --json -").out)
    assert (record["space"], record["architectures"]) == ("nasbench201", 15_625)
    assert record["operations"]["zero"] == ["none"]
    assert record["example"].startswith("|")
    record = json.loads(run("spaces --space free --json -").out)
    assert (record["architectures"], record["operations"]) == (None, None)
    assert record["example"] == "input,conv,relu,output;0>1,1>2,2>3"
    assert "operation\tmeaning\nany\tby name" in run("spaces --space free").out


def test_a_number_of_architectures_beyond_reading(run, tmp_path):
    (tmp_path / "huge.yaml").write_text(HEAD + "chain: [{choices: [conv, pool, skip], repeat: 1000}]")
    assert "architectures\t1.32e+477" in run("spaces", "--space", tmp_path / "huge.yaml").out
    record = json.loads(run("spaces --json -", "--space", tmp_path / "huge.yaml").out)
    assert record["architectures"] == 3**1000
