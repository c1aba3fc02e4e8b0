"""JSON as the spaces read it: plain values, one line about what is wrong, no matter how large or deep."""

import pytest

from archflow.errors import InvalidArchitectureError
from archflow.spaces.json_text import decode, encode


def test_values_come_back_without_spaces():
    value = {"a": [1, 0.5, True, None], "b": {"c": "d"}}
    assert encode(value) == '{"a":[1,0.5,true,null],"b":{"c":"d"}}'
    assert decode(f" \n{encode(value)}\t", 100) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[1] [2]", "not JSON"),
        ("9" * 5_000, "not JSON"),
        ("[" * 9_000, "not JSON"),
        ("x" * 10_001, "text of 10001 characters; this space reads at most 10000"),
        ('{"a":1,"b":{"c":1,"d":2,"c":3}}', "key 'c' appears twice in one object"),
        (f'{{"{"k" * 500}":1,"{"k" * 500}":2}}', "key 'k{80}'... appears twice"),
    ],
)
def test_other_texts_are_refused(text, message):
    with pytest.raises(InvalidArchitectureError, match=message) as caught:
        decode(text, 10_000)
    assert len(str(caught.value)) < 200
