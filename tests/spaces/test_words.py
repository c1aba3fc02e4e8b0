"""Names, and numbers as short as they can be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.errors import UsageError, short
from archflow.spaces.words import (
    is_number,
    is_word,
    listed,
    read_number,
    require_own_name,
    require_plain_name,
    unknown,
    write_number,
)

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


# Numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (16.0, "16"), (-7.0, "-7"), (0.1, "0.1"), (0.5, "0.5"), (1e-3, "0.001"), (1e-5, "1e-5"),
        (16_777_215.0, "16777215"), (4e9, "4000000000"), (1e16, "1e+16"), (1e20, "1e+20"),
        (1e-45, "1e-45"), (3.4028234663852886e38, "3.4028235e+38"),
    ],
)  # fmt: skip
def test_numbers_are_written_short(value, text):
    assert write_number(float(np.float32(value))) == text
    assert np.float32(read_number(text)) == np.float32(value)


@given(FLOATS | st.integers(-(2**31), 2**31).map(float))
def test_what_is_written_is_read_as_the_same_float32(value):
    value = float(np.float32(value))
    text = write_number(value)
    assert float(np.float32(read_number(text))) == value
    digits = text.partition("e")[0].replace(".", "").strip("-0")
    assert len(digits) <= 9  # more are never needed to tell float32 numbers apart
    assert not text.endswith(".0")


@pytest.mark.parametrize(
    "text",
    ["", " 1", "1 ", "1_000", "0x10", "nan", "inf", "-inf", "1e", "e5", ".", "+", "--1", "1.2.3", "\u0663",
     "1e999", "3.5e38", "9" * 100, "1" * 5_000, "1e-9999", "1,5"],
)  # fmt: skip
def test_what_is_no_number(text):
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("text", "value"), [("16", 16), ("+1.50", 1.5), ("-.5", -0.5), ("5.", 5), ("1E3", 1000)]
)
def test_other_ways_to_write_a_number(text, value):
    assert read_number(text) == value


def test_what_counts_as_a_number():
    good = (0, -3, 0.5, np.float32(2), np.int64(7), 10**38)
    assert all(is_number(value) for value in good)
    bad = (True, None, "3", math.nan, math.inf, 1e39, 10**400, [3], 3j)
    assert not any(is_number(value) for value in bad)


# Names


def test_words():
    assert is_word("conv=3", frozenset(",;>"))
    assert not any(is_word(text, frozenset(",;>")) for text in ("", "a b", "a,b", "a\tb", "a\0", "\ud800"))
    assert require_plain_name("operation", "sep-conv.3x3") == "sep-conv.3x3"
    for name in ("", "a b", "a(b", "a=b", "a|b", "x" * 81):
        with pytest.raises(UsageError, match=r"^operation '.* must be 1 to 80 printable characters"):
            require_plain_name("operation", name)


def test_a_space_of_ones_own_needs_its_own_name():
    assert require_own_name("my_space") == "my_space"
    for name in ("", "a b", "a-b", "../up", "3x", "é", "x" * 81, "a\n"):
        with pytest.raises(UsageError, match="a word of letters, digits and _"):
            require_own_name(name)
    for name in ("nasbench201", "free", "NASBench201", "onnx"):
        with pytest.raises(UsageError, match=f"has a space named '{name.lower()}'; give yours another"):
            require_own_name(name)


# What errors say


def test_messages_stay_short():
    assert short("abc") == "'abc'"
    assert len(short("x" * 1_000_000)) < 100
    assert listed(["a", "b"]) == "a, b"
    assert listed([f"n{number}" for number in range(9)]) == "n0, n1, n2, n3, n4, n5, n6, n7, ..."
    assert len(listed(["x" * 10_000] * 10_000)) < 1_000


def test_an_unknown_name_is_told_from_the_choices():
    assert unknown("choice", "a", []) == "unknown choice 'a'; there are none"
    assert unknown("operation", "cnv", ["conv", "pool"]).endswith(
        "choose from: conv, pool. Did you mean 'conv'?"
    )
    many = [f"conv{number}" for number in range(5_000)]
    message = unknown("operation", "cnv4", many)
    assert message.startswith("unknown operation 'cnv4'; choose from 5000: conv0, conv1, ")
    assert message.endswith(" Did you mean 'conv4'?")
    assert len(unknown("operation", "x" * 1_000_000, many)) < 1_000
