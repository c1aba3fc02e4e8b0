"""Checkpoints: whole or refused. Every way to damage one gives one line that names the file."""

import hashlib
import json
import sys

import pytest
import torch
from torch import nn

from archflow.errors import ArchflowError, CheckpointError
from archflow.training import TrainingConfig, checkpoints, load_checkpoint, save_checkpoint
from archflow.training.checkpoints import (
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    with_prefix,
    without_prefix,
)
from archflow.training.loop import make_optimizer

TENSORS = {
    "encoder.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3) / 7,
    "encoder.bias": torch.tensor([1e-30, -0.0, float("inf")]),
    "labels.rows": torch.tensor([3, 1, 2], dtype=torch.int64),
    "scalar": torch.tensor(2.5, dtype=torch.float64),
    "nothing": torch.zeros(0, 4),
}
CONTENT = {"kind": "toy", "numbers": [1, 0.1, 1e-300, None], "nested": {"deep": {"text": "ü\n"}}}


@pytest.fixture
def folder(tmp_path):
    save_checkpoint(tmp_path / "checkpoint", TENSORS, CONTENT)
    return tmp_path / "checkpoint"


def weights_of(folder):
    (weights,) = folder.glob("weights-*.safetensors")
    return weights


def body_of(folder):
    return json.loads((folder / "checkpoint.json").read_text(encoding="utf-8"))


def write_body(folder, body):
    (folder / "checkpoint.json").write_text(json.dumps(body), encoding="utf-8")


def write_signed(folder, **changes):
    """Write a checkpoint.json with changed entries and the digest that fits them, as a forger would."""
    body = {name: value for name, value in body_of(folder).items() if name != "digest"} | changes
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    write_body(folder, {**body, "digest": hashlib.sha256(text.encode()).hexdigest()})


def refused(folder, *parts):
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    message = str(error.value)
    assert "\n" not in message
    for part in (str(folder), *parts):
        assert part in message
    return message


def assert_same(tensors, expected):
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].dtype == tensor.dtype, name
        assert torch.equal(tensors[name], tensor), name


# Good ones


def test_everything_comes_back(folder):
    tensors, content = load_checkpoint(folder)
    assert_same(tensors, TENSORS)
    assert content == CONTENT
    assert tensors["encoder.bias"].signbit().tolist() == [False, True, False]


def test_a_checkpoint_is_two_files_and_no_pickle(folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["checkpoint.json", weights_of(folder).name]
    assert body_of(folder)["content"] == CONTENT


def test_it_may_be_moved(folder, tmp_path):
    moved = folder.rename(tmp_path / "elsewhere")
    assert_same(load_checkpoint(moved)[0], TENSORS)


def test_gradients_and_views_are_saved_as_plain_tensors(tmp_path):
    square = torch.arange(9.0).reshape(3, 3)
    save_checkpoint(tmp_path, {"view": square.T, "trained": nn.Parameter(square)}, {})
    assert_same(load_checkpoint(tmp_path)[0], {"view": square.T.contiguous(), "trained": square})


def test_replacing_removes_the_old_weights(folder):
    old = weights_of(folder)
    save_checkpoint(folder, {"other": torch.ones(2)}, {"version": 2})
    assert not old.exists()
    tensors, content = load_checkpoint(folder)
    assert_same(tensors, {"other": torch.ones(2)})
    assert content == {"version": 2}
    assert len(list(folder.iterdir())) == 2


def test_the_same_weights_with_other_content_stay(folder):
    save_checkpoint(folder, TENSORS, {"version": 2})
    tensors, content = load_checkpoint(folder)
    assert_same(tensors, TENSORS)
    assert content == {"version": 2}


def test_other_files_in_the_folder_stay(folder):
    (folder / "notes.txt").write_text("mine")
    save_checkpoint(folder, {"other": torch.ones(2)}, {})
    assert (folder / "notes.txt").read_text() == "mine"


# Crashes


def test_a_crash_between_weights_and_json_leaves_the_old_checkpoint(folder, monkeypatch):
    def crash(path, value):
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoints, "write_json", crash)
    with pytest.raises(OSError, match="no space left"):
        save_checkpoint(folder, {"other": torch.ones(2)}, {"version": 2})
    monkeypatch.undo()
    assert len(list(folder.glob("weights-*"))) == 2  # the new weights are there, but nothing names them
    tensors, content = load_checkpoint(folder)
    assert_same(tensors, TENSORS)
    assert content == CONTENT
    save_checkpoint(folder, {"other": torch.ones(2)}, {"version": 3})
    assert load_checkpoint(folder)[1] == {"version": 3}
    assert len(list(folder.iterdir())) == 2  # the next save clears up


def test_a_crash_while_writing_weights_leaves_the_old_checkpoint(folder, monkeypatch):
    def crash(self, payload):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", crash)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(folder, {"other": torch.ones(2)}, {"version": 2})
    monkeypatch.undo()
    assert load_checkpoint(folder)[1] == CONTENT
    assert len(list(folder.iterdir())) == 2  # the half-written file is gone


def test_content_that_json_cannot_hold_leaves_the_old_checkpoint(folder):
    with pytest.raises((TypeError, ValueError)):
        save_checkpoint(folder, TENSORS, {"loss": float("nan")})
    with pytest.raises(TypeError):
        save_checkpoint(folder, TENSORS, {"tensor": torch.ones(1)})
    assert load_checkpoint(folder)[1] == CONTENT


# Damage


def test_no_checkpoint(tmp_path):
    refused(tmp_path, "no checkpoint here", "checkpoint.json")
    refused(tmp_path / "nowhere", "no checkpoint here")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "no checkpoint here")


def test_the_error_is_a_value_error_of_the_family(tmp_path):
    with pytest.raises(ValueError, match="no checkpoint") as error:
        load_checkpoint(tmp_path)
    assert isinstance(error.value, ArchflowError)


def test_weights_cut_off_at_every_length(folder):
    weights = weights_of(folder)
    content = weights.read_bytes()
    for length in range(0, len(content), 29):
        weights.write_bytes(content[:length])
        refused(folder, weights.name, "cut off or damaged")


def test_one_flipped_bit_anywhere_in_the_weights(folder):
    weights = weights_of(folder)
    content = weights.read_bytes()
    for position in range(0, len(content), 17):
        damaged = bytearray(content)
        damaged[position] ^= 1
        weights.write_bytes(damaged)
        refused(folder, weights.name, "cut off or damaged")


def test_weights_missing(folder):
    weights = weights_of(folder)
    weights.unlink()
    refused(folder, weights.name, "cannot be read")


def test_weights_replaced_by_a_folder(folder):
    weights = weights_of(folder)
    weights.unlink()
    weights.mkdir()
    refused(folder, weights.name, "cannot be read")


def test_something_else_signed_as_weights(folder):
    (folder / "weights-x.safetensors").write_bytes(b"not tensors")
    write_signed(
        folder, weights="weights-x.safetensors", weights_sha256=hashlib.sha256(b"not tensors").hexdigest()
    )
    refused(folder, "weights-x.safetensors", "cannot be read")


def changed_number(body):
    body["content"]["numbers"][1] = 0.2


def changed_text(body):
    body["content"]["kind"] = "other"


def added_key(body):
    body["content"]["more"] = 1


def removed_content_key(body):
    del body["content"]["nested"]


def changed_format(body):
    body["format"] = 2


def changed_digest(body):
    body["digest"] = "0" * 64


def number_for_digest(body):
    body["digest"] = 7


def other_weights_digest(body):
    body["weights_sha256"] = "0" * 64


@pytest.mark.parametrize(
    "edit",
    [
        changed_number, changed_text, added_key, removed_content_key, changed_format, changed_digest,
        number_for_digest, other_weights_digest,
    ],
    ids=lambda edit: edit.__name__,
)  # fmt: skip
def test_json_edited_by_hand(folder, edit):
    body = body_of(folder)
    edit(body)
    write_body(folder, body)
    refused(folder, "checkpoint.json", "changed after archflow wrote it")


def test_json_reformatted_is_still_the_same(folder):
    body = body_of(folder)
    (folder / "checkpoint.json").write_text(json.dumps(dict(reversed(body.items())), indent=7))
    assert load_checkpoint(folder)[1] == CONTENT


@pytest.mark.parametrize("key", ["digest", "weights", "weights_sha256", "content"])
def test_json_with_a_key_removed(folder, key):
    body = body_of(folder)
    del body[key]
    write_body(folder, body)
    refused(folder, "checkpoint.json", f"not a checkpoint, or damaged ('{key}')")


def test_json_without_its_format(folder):
    body = body_of(folder)
    del body["format"]
    write_body(folder, body)
    refused(folder, "checkpoint.json")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"hello", b"{", b"[]", b"3", b"null", b'"text"', b'{"digest": 1}', b"\xff\xfe{}", b"\x00" * 40,
        b'{"digest": ' + b"1" * 5000 + b"}",
    ],
    ids=lambda content: repr(content[:14]),
)  # fmt: skip
def test_something_else_than_a_checkpoints_json(folder, content):
    (folder / "checkpoint.json").write_bytes(content)
    refused(folder, "checkpoint.json", "not a checkpoint, or damaged")


def test_json_cut_off_at_every_length(folder):
    file = folder / "checkpoint.json"
    content = file.read_bytes().rstrip()
    for length in range(0, len(content), 11):
        file.write_bytes(content[:length])
        refused(folder, "checkpoint.json", "not a checkpoint, or damaged")


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_json_nested_without_end(folder, opening):
    body = body_of(folder)
    text = json.dumps({**body, "content": "HERE"})
    for depth in (100_000, *range(sys.getrecursionlimit() - 200, sys.getrecursionlimit() + 20, 3)):
        closing = ("1" if opening != "[" else "") + ("]" if opening == "[" else "}") * depth
        (folder / "checkpoint.json").write_text(text.replace('"HERE"', opening * depth + closing))
        refused(folder, "checkpoint.json")


@pytest.mark.parametrize("number", [0, 2, 1.5, "1", None, [1]])
def test_a_foreign_format_number(folder, number):
    write_signed(folder, format=number)
    refused(folder, "checkpoint.json", f"has format {number}, but this archflow reads 1")


@pytest.mark.parametrize("path", ["../outside.safetensors", "{outside}", "sub/../../outside.safetensors"])
def test_a_weights_path_that_climbs_out_of_the_folder_reads_nothing_there(folder, tmp_path, path):
    outside = tmp_path / "outside.safetensors"
    outside.write_bytes(weights_of(folder).read_bytes())
    digest = hashlib.sha256(outside.read_bytes()).hexdigest()
    write_signed(folder, weights=path.format(outside=outside), weights_sha256=digest)
    message = refused(folder, "cannot be read")
    assert str(outside) not in message
    assert str(folder / "outside.safetensors") in message


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "/",
        "a\0b",
    ],
    ids=repr,
)  # fmt: skip
def test_a_weights_path_that_is_no_file(folder, name):
    write_signed(folder, weights=name)
    refused(folder, "cannot be read")


# Into a module


def test_load_weights_takes_exactly_what_fits():
    module, other = nn.Linear(3, 2), nn.Linear(3, 2)
    load_weights(module, other.state_dict(), "here")
    assert torch.equal(module.weight, other.weight)
    assert torch.equal(module.bias, other.bias)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.ones(2, 3)}, "here: the weights of 'bias' are missing"),
        ({}, "here: the weights of 'bias' are missing"),
        (
            {"weight": torch.ones(2, 3), "bias": torch.ones(2), "extra": torch.ones(1)},
            "here: holds weights 'extra' that the model has no place for",
        ),
        (
            {"weight": torch.ones(3, 2), "bias": torch.ones(2)},
            r"here: 'weight' has shape \(3, 2\), not \(2, 3\)",
        ),
    ],
)
def test_load_weights_names_what_does_not_fit_and_changes_nothing(tensors, message):
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    with pytest.raises(CheckpointError, match=message):
        load_weights(module, tensors, "here")
    assert torch.equal(module.weight, before)


def test_prefixes_invert_and_do_not_mix():
    one, other = {"a.b": torch.ones(1)}, {"b": torch.zeros(1)}
    together = {**with_prefix("model", one), **with_prefix("model2", other), "models": torch.ones(2)}
    assert list(together) == ["model.a.b", "model2.b", "models"]
    assert without_prefix("model", together) == one
    assert without_prefix("model2", together) == other
    assert without_prefix("nobody", together) == {}


def test_the_optimizers_state_survives_a_file(tmp_path):
    def stepped():
        module = nn.Linear(3, 2)
        return module, make_optimizer(module, TrainingConfig(1, 1))

    module, optimizer = stepped()
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    save_checkpoint(tmp_path, optimizer_tensors(optimizer), {})
    _, restored = stepped()
    assert optimizer_tensors(restored) == {}
    restore_optimizer(restored, load_checkpoint(tmp_path)[0])
    assert_same(optimizer_tensors(restored), optimizer_tensors(optimizer))
    assert float(optimizer_tensors(restored)["0.step"]) == 3
