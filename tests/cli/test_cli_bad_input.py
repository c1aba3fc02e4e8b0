"""Every bad table and checkpoint, through every command that reads one: one line, and nothing written."""

import json
import math
import pickle

import numpy as np
import pytest

from archflow.encoders import EncoderConfig
from archflow.graphs import Operations
from archflow.predictors import METHODS
from archflow.pretrain import PretrainConfig, pretrain
from archflow.spaces.free import Free
from archflow.testing import toy_table
from archflow.training import TrainingConfig

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
UNKNOWN = CELL.replace("avg_pool_3x3", "max_pool_3x3")
OTHER_SPACE = '{"matrix":[[0,1],[0,0]],"ops":["input","output"]}'

# How each command reads a table of one space; GOOD stands for a good table.
READERS = {
    "evaluate": "evaluate --table BAD --target acc --labels 6 --method random --seeds 1 --json OUT.json",
    "fit": "fit --labels BAD --target acc --method random --out OUT",
    "rank labels": "rank --labels BAD --target acc --candidates GOOD --method random --out OUT.csv",
    "rank candidates": "rank --labels GOOD --target acc --candidates BAD --method random --out OUT.csv",
    "encode": "encode --table BAD --out OUT.parquet",
    "pretrain": "pretrain --table BAD --epochs 1 --width 8 --out OUT",
}
LEARNERS = ("evaluate", "fit", "rank labels")
every_reader = pytest.mark.parametrize("reader", READERS)
every_learner = pytest.mark.parametrize("reader", LEARNERS)


@pytest.fixture
def reject(refused, tmp_path, measured, free_measured):
    """Run a reader on a bad table, check the error, and that nothing was written."""

    def check(reader, bad, *parts, space="nasbench201", code=1, more=()):
        good = free_measured if space == "free" else measured
        words = {"BAD": str(bad), "GOOD": str(good)}
        name, *rest = [
            words.get(word, str(tmp_path / "made" / word) if word.startswith("OUT") else word)
            for word in READERS[reader].split()
        ]
        message = refused(name, "--space", space, *rest, *more, code=code, parts=parts)
        assert message.count("\n") == 1
        assert not (tmp_path / "made").exists()
        return message

    return check


# The file


@every_reader
def test_a_missing_file(reject, tmp_path, reader):
    reject(reader, tmp_path / "no.csv", tmp_path / "no.csv", "there is no such file")


@every_reader
def test_an_empty_file(reject, tmp_path, reader):
    (tmp_path / "empty.parquet").touch()
    reject(reader, tmp_path / "empty.parquet", tmp_path / "empty.parquet", "empty (0 bytes)")


@every_reader
def test_a_truncated_parquet(reject, table, cells, reader):
    path = table("cut.parquet", arch=cells, acc=np.arange(24.0))
    path.write_bytes(path.read_bytes()[:-100])
    reject(reader, path, path, "not a whole Parquet file")


@every_reader
def test_a_file_of_another_kind(reject, tmp_path, reader):
    path = tmp_path / "results.pickle"
    path.write_bytes(pickle.dumps({"arch": [CELL]}))
    reject(reader, path, path, ".parquet or .csv")


@every_reader
def test_no_arch_column(reject, table, cells, reader):
    path = table("t.csv", cell=cells, acc=np.arange(24.0))
    reject(reader, path, path, "no column 'arch'", "cell, acc")


@every_reader
def test_no_rows(reject, table, reader):
    path = table("t.csv", arch=[], acc=[])
    reject(reader, path, path, "no rows")


# Its rows


@every_reader
def test_an_unknown_operation(reject, table, cells, reader):
    path = table("t.csv", arch=[*cells[:7], UNKNOWN], acc=np.arange(8.0))
    reject(
        reader, path, path, "row 8", UNKNOWN[:40], "unknown operation 'max_pool_3x3'", "avg_pool_3x3",
        "Did you mean", "--skip-bad",
    )  # fmt: skip


@every_reader
def test_text_of_another_space(reject, table, cells, reader):
    path = table("t.csv", arch=[cells[0], OTHER_SPACE, *cells[1:6]], acc=np.arange(7.0))
    reject(reader, path, path, "row 2", OTHER_SPACE[:30], "not a NAS-Bench-201 string; the form is")


@every_reader
def test_an_empty_architecture(reject, table, cells, reader):
    path = table("t.csv", arch=[*cells[:5], None], acc=np.arange(6.0))
    reject(reader, path, path, "row 6", "arch is empty")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("input,conv,pool,output;0>1,1>2,2>1,2>3", ["node 1 (conv)", "cycle", "must be acyclic"]),
        ("input,conv,output;0>1,1>1,1>2", ["node 1 (conv)", "cycle"]),
        ("conv,pool,output;0>1,1>2", ["no node is named 'input'", "at least one input"]),
        ("input,output,output;0>1,0>2", ["nodes 1, 2 are named 'output'", "exactly one output"]),
        ("input,conv;0>1", ["no node is named 'output'", "exactly one output"]),
        ("input,conv,output;0>1,1>7", ["edge 1>7", "node 7, which does not exist", "nodes are 0 to 2"]),
        ("input,conv,output;0>1,-1>2", ["edge '-1>2' is not source>target"]),
        ("input,conv,output", ["0 semicolons"]),
        ("input,output,conv;0>1,1>2", ["edge 1>2 leaves the output"]),
        ("conv,input,output;0>1,1>2", ["edge 0>1 enters an input"]),
        (CELL, ["semicolons"]),
    ],
    ids=["cycle", "loop", "no input", "two outputs", "no output", "missing node", "negative node", "no edges",
         "out of the output", "into the input", "other space"],
)  # fmt: skip
@every_reader
def test_graphs_that_are_none(reject, table, reader, text, parts):
    good = ["input,conv,output;0>1,1>2", "input,pool,output;0>1,1>2", "input,output;0>1"]
    path = table("t.csv", arch=[*good, text], acc=np.arange(4.0))
    reject(reader, path, path, "row 4", text[:25], *parts, space="free")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@every_learner
def test_a_target_that_is_not_finite(reject, table, cells, reader, value):
    path = table("t.parquet", arch=cells, acc=[*range(9), value, *range(14)])
    reject(reader, path, path, "row 10", f"acc is {value}", "must be a finite number")


@pytest.mark.parametrize("value", [-math.inf, math.inf])
def test_a_proxy_that_is_not_finite(reject, table, cells, value):
    path = table("t.parquet", arch=cells, acc=[*range(9), value, *range(14)])
    reject("pretrain", path, path, "row 10", f"acc is {value}", "finite", more=["--proxy", "acc"])


@every_learner
def test_a_target_that_is_text(reject, table, cells, reader):
    path = table("t.csv", arch=cells, acc=["high", "low"] * 12)
    reject(reader, path, path, "column 'acc' is not numeric", "'high'")


@every_learner
def test_no_such_target(reject, table, cells, reader):
    path = table("t.csv", arch=cells, accu=np.arange(24.0), latency=np.arange(24.0))
    reject(reader, path, path, "unknown numeric column 'acc'", "accu, latency", "Did you mean 'accu'?")


def test_no_such_proxy(reject, measured):
    reject(
        "pretrain", measured, measured, "unknown numeric column 'costs'", "acc, cost", "Did you mean 'cost'?",
        more=["--proxy", "costs"],
    )  # fmt: skip


@every_learner
def test_duplicates_that_contradict_each_other(reject, table, cells, reader):
    path = table("t.csv", arch=[*cells[:8], cells[2]], acc=np.arange(9.0))
    reject(reader, path, path, "rows 3 and 9", cells[2][:30], "different acc, 2.0 and 8.0", "mean")


@pytest.mark.parametrize("reader", ["fit", "rank labels"])
def test_fewer_than_four_labels(reject, table, cells, reader):
    path = table("t.csv", arch=cells[:3], acc=[1.0, 2.0, 3.0])
    reject(reader, path, "3 labels are too few; at least 4 are needed")


def test_fewer_than_four_labels_of_a_larger_table(reject, measured):
    reject("evaluate", measured, "3 labels are too few; at least 4 are needed", more=["--labels", "3"])


@every_learner
def test_a_constant_target(reject, table, cells, reader):
    path = table("t.csv", arch=cells, acc=[7.5] * 24)
    reject(reader, path, "all 24 labels are 7.5; a constant ranks nothing")


@pytest.mark.parametrize("accuracy", [[1.0, 2.0, 3.0], [7.5] * 24], ids=["too few", "constant"])
@every_learner
def test_errors_about_labels_name_the_file_and_the_column(reject, table, cells, reader, accuracy):
    path = table("t.csv", arch=cells[: len(accuracy)], acc=accuracy)
    reject(reader, path, path, "acc")


def test_a_constant_target_to_minimise_is_shown_as_it_is(reject, table, cells):
    path = table("t.csv", arch=cells, acc=[7.5] * 24)
    reject("fit", path, "all 24 labels are 7.5", more=["--minimize"])


def test_more_labels_than_rows(reject, measured):
    reject(
        "evaluate", measured, "20 labels leave too few of 16 rows to score", "label at most 14", code=2,
        more=["--labels", "20"],
    )  # fmt: skip


# Names


@every_reader
def test_an_unknown_space(reject, measured, reader):
    reject(
        reader, measured, "unknown space 'nasbench202'", "nasbench101, nasbench201", "Did you mean",
        space="nasbench202", code=2,
    )  # fmt: skip


@every_learner
def test_an_unknown_method(reject, measured, reader):
    reject(
        reader, measured, "unknown method 'fgp-gim'; choose from: ", *METHODS, "Did you mean 'fgp-gin'?",
        code=2, more=["--method", "fgp-gim"],
    )  # fmt: skip


@pytest.mark.parametrize("reader", [*LEARNERS, "pretrain"])
def test_an_unknown_form(reject, measured, reader):
    reject(
        reader, measured, "unknown form 'prune'", "Did you mean 'pruned'?", code=2, more=["--form", "prune"]
    )


def test_an_unknown_encoder(reject, measured):
    reject(
        "pretrain", measured, "unknown encoder 'gim'", "gated_gcn, gin", "Did you mean 'gin'?", code=2,
        more=["--encoder", "gim"],
    )  # fmt: skip


@pytest.mark.parametrize("reader", [*LEARNERS, "pretrain"])
def test_a_device_that_is_not_there(reject, measured, reader):
    parts = ["device 'gpu' cannot be used here", "--device auto"]
    reject(reader, measured, *parts, code=2, more=["--device", "gpu"])


@every_reader
def test_meanings_for_a_space_that_knows_its_own(reject, measured, reader):
    for option in ("--identity", "--zero"):
        reject(reader, measured, "--identity and --zero are for space free", code=2, more=[option, "none"])


@every_learner
def test_pretraining_for_a_method_that_has_none(reject, measured, reader):
    reject(
        reader,
        measured,
        "--pretrain-epochs is for auto and the fgp methods",
        code=2,
        more=["--pretrain-epochs", "1"],
    )


def test_a_seed_that_the_forest_cannot_take(reject, measured):
    reject("fit", measured, "seed", code=2, more=["--method", "onehot-rf", "--seed", str(2**32)])


def test_a_weight_that_is_no_number(reject, measured):
    reject("pretrain", measured, "weight of objective 'flow'", code=2, more=["--objective", "flow=nan"])


# Checkpoints

USERS = {
    "evaluate": "evaluate --table GOOD --target acc --labels 6 --pretrained BAD --method fgp-gin --json OUT",
    "fit": "fit --labels GOOD --target acc --pretrained BAD --method fgp-gin --out OUT",
    "rank": "rank --labels GOOD --target acc --all --pretrained BAD --out OUT.csv --method fgp-gin",
    "encode": "encode --table GOOD --pretrained BAD --out OUT.csv",
    "rank model": "rank --model BAD --candidates GOOD --out OUT.csv",
}
every_user = pytest.mark.parametrize("user", USERS)


@pytest.fixture
def saved(run, encoder, measured, tmp_path):
    """Return a good checkpoint of the kind that a command uses: an encoder, or a fitted predictor."""

    def build(user):
        folder = tmp_path / "saved"
        if user == "rank model":
            run("fit --space nasbench201 --target acc --method fgp-gin", "--labels", measured,
                "--pretrained", encoder, "--out", folder)  # fmt: skip
        else:
            folder.mkdir()
            for path in encoder.iterdir():
                (folder / path.name).write_bytes(path.read_bytes())
        return folder

    return build


@pytest.fixture
def distrust(refused, tmp_path, measured):
    def check(user, bad, *parts, code=1, more=()):
        words = {"BAD": str(bad), "GOOD": str(measured)}
        name, *rest = [
            words.get(word, str(tmp_path / "made" / word) if word.startswith("OUT") else word)
            for word in USERS[user].split()
        ]
        message = refused(name, "--space", "nasbench201", *rest, *more, code=code, parts=parts)
        assert message.count("\n") == 1
        assert not (tmp_path / "made").exists()

    return check


@every_user
def test_weights_cut_off(saved, distrust, user):
    folder = saved(user)
    (weights,) = folder.glob("weights-*")
    weights.write_bytes(weights.read_bytes()[:-7])
    distrust(user, folder, weights, "is cut off or damaged")


@every_user
def test_weights_missing(saved, distrust, user):
    folder = saved(user)
    (weights,) = folder.glob("weights-*")
    weights.unlink()
    distrust(user, folder, weights, "cannot be read")


@every_user
def test_json_edited(saved, distrust, user):
    folder = saved(user)
    file = folder / "checkpoint.json"
    body = json.loads(file.read_text())
    body["content"]["config"]["seed"] = 99
    file.write_text(json.dumps(body))
    distrust(user, folder, file, "was changed after archflow wrote it", "restore it or train again")


@every_user
def test_json_cut_off(saved, distrust, user):
    folder = saved(user)
    file = folder / "checkpoint.json"
    file.write_text(file.read_text()[:200])
    distrust(user, folder, file, "not a checkpoint, or damaged")


@every_user
def test_no_checkpoint_there(distrust, tmp_path, user):
    distrust(user, tmp_path / "nowhere", tmp_path / "nowhere", "no checkpoint here")


@every_user
def test_a_checkpoint_of_the_other_kind(saved, distrust, user):
    other = saved("encode" if user == "rank model" else "rank model")
    kinds = ("pretrained-encoder", "predictor")
    holds, wanted = kinds if user == "rank model" else kinds[::-1]
    distrust(user, other, other, f"holds a {holds}, not a {wanted}")


@every_user
def test_a_checkpoint_for_another_vocabulary(run, distrust, tmp_path, free_measured, user):
    folder = tmp_path / "free"
    if user == "rank model":
        run("fit --space free --target acc --method random", "--labels", free_measured, "--out", folder)
    else:
        toys = toy_table(8, operations=Operations.of(["conv", "pool"]))
        settings = PretrainConfig(encoder=EncoderConfig(width=8), training=TrainingConfig(1, 16))
        pretrain(Free(toys.operations), toys, settings, folder=folder, device="cpu")
    distrust(user, folder, folder, "trained for another vocabulary than the space's", "'avg_pool_3x3'")


def test_an_encoder_of_another_form(saved, distrust):
    form = PretrainConfig().form
    other = "as-written" if form == "collapsed" else "collapsed"
    distrust("fit", saved("fit"), "pre-trained encoder", form, other, code=2, more=["--form", other])


@pytest.mark.parametrize(
    ("method", "parts"),
    [("fgp-gated_gcn", ["pre-trained encoder", "gin"]), ("gin", ["does not pre-train", "fgp"])],
)
def test_an_encoder_for_another_method(saved, distrust, method, parts):
    distrust("fit", saved("fit"), "method", method, *parts, code=2, more=["--method", method])


# Outputs

WRITERS = {
    "encode": ("encode --table GOOD --out", "made.csv"),
    "fit": ("fit --labels GOOD --target acc --method random --out", "made"),
    "rank": ("rank --labels GOOD --target acc --candidates GOOD --method random --out", "made.csv"),
    "pretrain": ("pretrain --table GOOD --epochs 1 --width 8 --out", "made"),
    "label": ("label --count 2 --out", "made.csv"),
}
every_writer = pytest.mark.parametrize("writer", WRITERS)


def written(writer, good, out):
    name, *rest = [str(good) if word == "GOOD" else word for word in WRITERS[writer][0].split()]
    return [name, "--space", "nasbench201", *rest, out]


@every_writer
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_output_that_exists(refused, tmp_path, measured, writer, kind):
    out = tmp_path / WRITERS[writer][1]
    if kind == "file":
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    refused(*written(writer, measured, out), code=2, parts=[f"{out} exists already; choose another path"])
    assert (out if kind == "file" else out / "mine").read_text() == "mine"


@every_writer
def test_the_way_out_of_an_existing_output_exists(run, refused, tmp_path, measured, writer):
    """Whatever option the message offers is one that the command has."""
    out = tmp_path / WRITERS[writer][1]
    out.mkdir()
    message = refused(*written(writer, measured, out), code=2)
    offered = [word.strip(".,;") for word in message.split() if word.startswith("--")]
    shown = run(writer, "--help").out
    assert all(option in shown for option in offered)
    assert offered or "resume" in message


@pytest.mark.parametrize("writer", ["encode", "rank", "label"])
def test_an_output_of_no_known_kind(refused, tmp_path, measured, writer):
    outcome = refused(
        *written(writer, measured, tmp_path / "made.txt"),
        code=2 if writer == "label" else 1,
        parts=[tmp_path / "made.txt", ".parquet or .csv"],
    )
    assert outcome.count("\n") == 1
    assert not (tmp_path / "made.txt").exists()


@pytest.mark.parametrize("writer", ["encode", "fit", "rank", "pretrain"])
def test_an_output_where_no_folder_can_be(refused, tmp_path, measured, writer):
    (tmp_path / "file").write_text("mine")
    refused(*written(writer, measured, tmp_path / "file" / WRITERS[writer][1]), code=1, parts=["file"])
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("writer", ["encode", "fit", "rank"])
def test_an_output_may_be_replaced(run, tmp_path, measured, writer):
    out = tmp_path / WRITERS[writer][1]
    run(*written(writer, measured, out))
    run(*written(writer, measured, out), "--overwrite")
    assert out.exists()
    assert not list(tmp_path.glob(".*.partial"))


def test_a_table_is_never_written_in_part(run, tmp_path, measured, monkeypatch):
    """An interrupted write leaves neither the table nor anything beside it."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    outcome = run(*written("encode", measured, tmp_path / "made.csv"), code=1)
    monkeypatch.undo()
    assert outcome.err == "archflow: [Errno 28] No space left on device\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["measured.csv"]
