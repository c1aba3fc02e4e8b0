"""Protocols as values: their order, their parts and how labels are split."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archflow.benchmark import Protocol, read_protocol
from archflow.benchmark.protocol import Selection, split_rows
from archflow.datasets import paper_split
from archflow.errors import CheckpointError, UsageError


@pytest.fixture
def protocol(protocol_file):
    return read_protocol(protocol_file())


def test_it_survives_json(protocol):
    value = json.loads(json.dumps(protocol.to_json(), allow_nan=False))
    again = Protocol.from_json(value)
    assert again.to_json() == protocol.to_json()
    assert list(again.combinations()) == list(protocol.combinations())


def test_other_json_is_refused(protocol):
    value = protocol.to_json()
    for bad in ({**value, "more": 1}, {key: value[key] for key in value if key != "labels"}, {"spaces": 1}):
        with pytest.raises(CheckpointError, match="not a benchmark protocol"):
            Protocol.from_json(bad)


def test_whole_comparisons_come_first(protocol):
    order = list(protocol.combinations())
    assert len(order) == 12
    assert order[:3] == [("digits", "1%", name, 21, 21) for name in protocol.methods]
    assert {permutation for *_, permutation in order[:6]} == {21}


def test_quick_is_a_part_of_the_whole(protocol):
    quick = list(protocol.quick.of(protocol).combinations())
    assert quick == [one for one in protocol.combinations() if one[1] == "1%" and one[4] == 21]
    assert Selection().of(protocol).to_json() == protocol.to_json()


@given(
    rows=st.integers(100, 3000), share=st.sampled_from(["10%", "50%", "100%"]), seed=st.sampled_from([21, 5])
)
def test_a_share_splits_as_the_paper_does(rows, share, seed):
    mine, theirs = split_rows(rows, share, seed, 40), paper_split(rows, seed, float(share[:-1]) / 100, 40)
    for part in ("labelled", "validation", "test"):
        np.testing.assert_array_equal(getattr(mine, part), getattr(theirs, part))


@given(rows=st.integers(100, 3000), data=st.data())
def test_a_number_of_labels_is_that_many(rows, data):
    count = data.draw(st.integers(4, rows // 2))
    split = split_rows(rows, str(count), 2021, 40)
    assert len(split.labelled) == count
    assert len(np.unique(np.concatenate([split.labelled, split.validation, split.test]))) == (
        count + 40 + rows - rows // 2 - 40
    )


@pytest.mark.parametrize(
    ("rows", "labels", "reason"),
    [
        (1200, "0.5%", "0.5% labels are 3 of the 600 rows in the training pool; at least 4 are needed"),
        (1200, "3", "3 labels are 3 of"),
        (1200, "601", "601 labels: the training pool has 600 rows, half of 1200"),
        (60, "50%", "60 architectures are too few for 40 validation rows"),
        (1, "50%", "0 of the 1 row"),
    ],
)
def test_labels_that_do_not_fit(rows, labels, reason):
    with pytest.raises(UsageError, match=reason):
        split_rows(rows, labels, 21, 40)
