"""Vocabularies: ids, meaning, and what they refuse."""

import json

import numpy as np
import pytest

from archflow.errors import InvalidArchitectureError, UnknownNameError
from archflow.graphs import Operations
from archflow.testing import TOY_OPERATIONS

ENDS = ("input", "output")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": (*ENDS, "conv", "conv")}, "operation 'conv' is listed twice in the vocabulary"),
        ({"names": ("output",)}, "the vocabulary needs an operation named 'input'"),
        ({"names": ("input", "conv")}, "the vocabulary needs an operation named 'output'"),
        ({"names": ENDS, "identity": frozenset({"skip"})}, "identity operation 'skip' must be in the vocab"),
        (
            {"names": ENDS, "zero": frozenset({"input"})},
            "zero operation 'input' must be .* no input or output",
        ),
        ({"names": ENDS, "parametric": frozenset({"output"})}, "parametric operation 'output' must be"),
        (
            {"names": (*ENDS, "a"), "zero": frozenset({"a"}), "identity": frozenset({"a"})},
            "operation 'a' is zero and so neither identity nor parametric",
        ),
        (
            {"names": (*ENDS, "a"), "zero": frozenset({"a"}), "parametric": frozenset({"a"})},
            "operation 'a' is zero and so neither identity nor parametric",
        ),
    ],
)
def test_every_rule_has_its_message(arguments, message):
    with pytest.raises(InvalidArchitectureError, match=message):
        Operations(**arguments)


def test_an_id_is_the_position_of_the_name():
    assert [TOY_OPERATIONS.id(name) for name in TOY_OPERATIONS.names] == list(range(len(TOY_OPERATIONS)))
    assert len(TOY_OPERATIONS) == 6


def test_an_unknown_name_gets_the_choices_and_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown operation 'pol'; .*conv.*Did you mean 'pool'"):
        TOY_OPERATIONS.id("pol")


def test_masks():
    mask = TOY_OPERATIONS.mask(["none", "input"])
    assert mask.dtype == np.bool_
    assert mask.tolist() == [True, False, False, False, True, False]
    assert not TOY_OPERATIONS.mask([]).any()
    with pytest.raises(UnknownNameError):
        TOY_OPERATIONS.mask(["nothing"])


def test_meaning_by_name():
    operations = Operations.of(["none", "conv", "output", "skip_connect", "conv", "zero", "identity", "skip"])
    assert operations.names == (
        "input",
        "conv",
        "identity",
        "none",
        "skip",
        "skip_connect",
        "zero",
        "output",
    )
    assert operations.identity == {"identity", "skip", "skip_connect"}
    assert operations.zero == {"none", "zero"}
    assert operations.parametric == {"conv"}


def test_meaning_can_be_given_to_other_names():
    operations = Operations.of(["none", "wire", "cut"], identity=["wire", "absent"], zero=["cut"])
    assert operations.identity == {"wire"}
    assert operations.zero == {"cut"}
    assert operations.parametric == {"none"}


def test_no_names_at_all():
    assert Operations.of([]).names == ENDS


def test_json_and_back():
    text = json.dumps(TOY_OPERATIONS.to_json())
    assert Operations.from_json(json.loads(text)) == TOY_OPERATIONS


def test_vocabularies_are_equal_by_content():
    again = Operations.from_json(TOY_OPERATIONS.to_json())
    assert hash(again) == hash(TOY_OPERATIONS)
    again.id("conv")  # fills a cache, which must not count
    assert again == TOY_OPERATIONS
    assert Operations.of(["conv"]) != Operations.of(["conv"], zero=["conv"])
