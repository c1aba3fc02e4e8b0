"""The names of imported operations: complete, printable, documented."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import UnknownNameError
from archflow.graphs import Architecture
from archflow.importers import ATTRIBUTES, MEANINGS, onnx_operators, patterns, unknown_operation, vocabulary
from archflow.importers.vocabulary import (
    ACTIVATIONS,
    CONVOLUTIONS,
    FUSED,
    MAX_NAME,
    NAMES,
    NEGATE,
    NORMS,
    VIEW,
    clip_kind,
    convolution_kind,
    mean_kind,
    side,
)
from archflow.spaces import Free

PAGE = Path(__file__).parents[2] / "docs" / "importers.md"


def test_names_are_unique_words():
    names = [meaning.name for meaning in MEANINGS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names)
    assert NAMES.issuperset((*CONVOLUTIONS, *NORMS, *ACTIVATIONS))
    assert NAMES.isdisjoint((VIEW, NEGATE, "input", "output", *FUSED))


def test_every_kind_that_onnx_operators_become_is_in_the_vocabulary():
    kinds = {rule for rule in onnx_operators._OPERATORS.values() if isinstance(rule, str)}
    kinds |= {rule for rule in onnx_operators._MICROSOFT_OPERATORS.values() if isinstance(rule, str)}
    assert kinds - NAMES == {NEGATE}
    assert set(patterns.RULES) - NAMES == {NEGATE}


def test_the_documentation_lists_every_name_and_attribute():
    text = PAGE.read_text()
    rows = dict(re.findall(r"^\| `([a-z0-9_]+)` \| (.+?) \|", text, re.MULTILINE))
    for meaning in MEANINGS:
        assert rows.get(meaning.name) == meaning.text, f"docs/importers.md must say what {meaning.name} does"
        row = next(line for line in text.splitlines() if line.startswith(f"| `{meaning.name}` |"))
        assert row.endswith("| yes |") == meaning.parametric
    assert set(ATTRIBUTES) <= set(rows)


def test_the_vocabulary():
    operations = vocabulary(
        ["com.own.Twist", "onnx.Det", "relu"], fuse=True, attributes=["kernel", "channels"]
    )
    assert operations.names[0] == "input"
    assert operations.names[-3:] == ("com.own.Twist", "onnx.Det", "output")
    assert operations.attributes == ("channels", "kernel")
    assert {"conv", "linear", "conv_relu", "onnx.Det", "attention"} <= operations.parametric
    assert operations.parametric.isdisjoint(("relu", "add", "softmax", "max_pool"))
    assert not operations.identity
    assert not operations.zero
    assert vocabulary().attributes == ATTRIBUTES
    assert not set(vocabulary().names) & set(FUSED)


def test_unknown_attributes_are_refused():
    with pytest.raises(UnknownNameError, match="channels"):
        vocabulary(attributes=["chanels"])


NAUGHTY = st.text(st.characters(codec=None) | st.sampled_from(string.printable + ',;>=<"|~'), max_size=300)


@given(NAUGHTY, NAUGHTY)
def test_unknown_operations_fit_every_text_format(domain, operator):
    name = unknown_operation(domain, operator)
    assert 0 < len(name) <= MAX_NAME
    assert name.isascii()
    assert name.isprintable()
    assert not set(name) & set(' ,;>=<"|~')
    assert name not in NAMES
    assert name not in ("input", "output", *FUSED)
    architecture = Architecture(("input", name, "output"), ((0, 1), (1, 2)))
    assert Free().parse(Free().format(architecture)) == architecture


def test_long_unknown_names_stay_apart():
    names = {unknown_operation("own", "x" * 100 + end) for end in "abc"}
    assert len(names) == 3
    assert unknown_operation("com.microsoft", "MoE") == "com.microsoft.MoE"
    assert unknown_operation("", "") == "unknown.unnamed"


def test_sides():
    assert side([3, 3]) == 3
    assert side([5]) == 5
    assert side([3, 3, 3]) == 3
    assert side([1, 7]) == pytest.approx(7**0.5)


def test_kinds():
    assert convolution_kind(1, 16) == "conv"
    assert convolution_kind(4, 16) == "conv"
    assert convolution_kind(16, 16) == "depthwise_conv"
    assert convolution_kind(1, 1) == "conv"
    assert convolution_kind(16, None) == "conv"
    assert convolution_kind(16, 16, transposed=True) == "transposed_conv"
    assert mean_kind([2, 3], 4) == mean_kind([-1, -2], 4) == "global_average_pool"
    assert mean_kind([2, 3, 4], 5) == "global_average_pool"
    assert mean_kind([1], 3) == mean_kind([2], 3) == mean_kind([1, 2], 4) == mean_kind([2], None) == "mean"
    assert clip_kind(0, None) == "relu"
    assert clip_kind(0, 6) == "relu6"
    others = [(0, float("nan")), (float("nan"), None), (-1, 1), (None, 6), (None, None)]
    assert {clip_kind(*bounds) for bounds in others} == {"clip"}
