"""NAS-Bench-101 records: what comes out, and every way a record can be bad."""

import base64
import json
import math
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from official_files import (
    OPERATIONS,
    TEXT,
    evaluation,
    metrics_message,
    record_101,
    tfrecord,
    training,
)

from archflow.datasets import read_table, write_table
from archflow.datasets.official import nasbench101, read_nasbench101, read_official
from archflow.datasets.official import tfrecord as records
from archflow.errors import UsageError
from archflow.spaces import NASBench101

NEEDS_TABLES = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)
OTHER = {"key": "f" * 32, "matrix": "0100001000010000"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "nasbench.tfrecord"


def write(path, *contents):
    path.write_bytes(tfrecord(*contents))
    return path


def test_repeats_of_a_cell_are_averaged_for_each_budget(path):
    write(
        path,
        record_101(val=0.5, test=0.25, half=0.125, seconds=60.0),
        record_101(**OTHER, params=43),
        record_101(val=0.75, test=0.75, half=0.375, seconds=70.0),
        record_101(epochs=4, val=0.1),
    )
    table = read_nasbench101(path)
    assert table.space == "nasbench101"
    assert len(table) == 2
    assert table.n_skipped == 0
    columns = {name: list(values) for name, values in table.columns.items()}
    assert columns == {
        "arch": [TEXT, TEXT.replace("[0,1,1,0],[0,0,0,1]", "[0,1,0,0],[0,0,1,0]")],
        "cifar10_val_acc_4ep": [10.0, None],
        "cifar10_test_acc_4ep": [25.0, None],
        "cifar10_val_acc_4ep_half": [12.5, None],
        "cifar10_test_acc_4ep_half": [6.25, None],
        "train_seconds_4ep": [64.0, None],
        "repeats_4ep": [1, 0],
        "cifar10_val_acc_108ep": [62.5, 50.0],
        "cifar10_test_acc_108ep": [50.0, 25.0],
        "cifar10_val_acc_108ep_half": [25.0, 12.5],
        "cifar10_test_acc_108ep_half": [12.5, 6.25],
        "train_seconds_108ep": [65.0, 64.0],
        "repeats_108ep": [2, 1],
        "params": [42, 43],
        "hash": ["0" * 32, "f" * 32],
    }


def test_the_table_can_be_written_and_read_back(path, tmp_path):
    write(path, record_101(), record_101(**OTHER, epochs=4))
    out = tmp_path / "t.parquet"
    write_table(out, read_nasbench101(path).columns)
    table = read_table(out, NASBench101(), "cifar10_val_acc_4ep")
    assert table.rows.tolist() == [2]
    assert table.values.tolist() == [50.0]
    assert table.n_unlabelled == 1


@NEEDS_TABLES
def test_cells_of_the_real_table_come_back(path):
    """Real matrices, operations, hashes and numbers, through our own writer of the format."""
    table = read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench101.parquet", NASBench101())
    cells = [json.loads(text) for text in table.texts[:200]]
    space, accuracies = NASBench101(), table.columns["cifar10_val_acc_108ep"][:200]
    hashes = [space.official_hash(space.parse(text)) for text in table.texts[:200]]
    params = table.columns["params"][:200].astype(int).tolist()
    write(
        path,
        *(
            record_101(
                key=key,
                matrix="".join(str(one) for row in cell["matrix"] for one in row),
                ops=",".join(cell["ops"]),
                val=accuracy / 100,
                params=count,
            )
            for key, cell, accuracy, count in zip(hashes, cells, accuracies, params, strict=True)
        ),
    )
    columns = read_nasbench101(path).columns
    assert columns["arch"] == table.texts[:200]
    assert columns["hash"] == hashes
    np.testing.assert_allclose(columns["cifar10_val_acc_108ep"], accuracies, rtol=1e-12)
    np.testing.assert_array_equal(columns["params"], params)
    np.testing.assert_array_equal(columns["params"], space.parameters(table.architectures[:200]))


def official_message(evaluations, params, total):
    """Serialise with Google's library, from the authors' `model_metrics.proto`."""
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2")
    from google.protobuf import descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="nasbench", syntax="proto2")
    kinds = descriptor_pb2.FieldDescriptorProto
    data = file.message_type.add(name="EvaluationData")
    names = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
    for number, name in enumerate(names, start=1):
        data.field.add(name=name, number=number, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL)
    data.field.add(name="checkpoint_path", number=6, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    whole = file.message_type.add(name="ModelMetrics")
    whole.field.add(
        name="evaluation_data",
        number=1,
        type=kinds.TYPE_MESSAGE,
        label=kinds.LABEL_REPEATED,
        type_name=".nasbench.EvaluationData",
    )
    whole.field.add(name="trainable_parameters", number=2, type=kinds.TYPE_INT32, label=kinds.LABEL_OPTIONAL)
    whole.field.add(name="total_time", number=3, type=kinds.TYPE_DOUBLE, label=kinds.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    make = message_factory.GetMessageClass(pool.FindMessageTypeByName("nasbench.ModelMetrics"))
    message = make(trainable_parameters=params, total_time=total)
    for values in evaluations:
        message.evaluation_data.add(**dict(zip((*names, "checkpoint_path"), values, strict=True)))
    return message.SerializeToString()


@given(
    values=st.lists(st.floats(0, 1), min_size=4, max_size=4),
    seconds=st.floats(0, 1e6),
    params=st.integers(0, 2**31 - 1),
    checkpoint=st.text(max_size=200),
)
def test_messages_of_the_official_library_are_read(values, seconds, params, checkpoint):
    val, test, half_val, half_test = values
    message = official_message(
        [
            (0.0, 0.0, 0.1, 0.1, 0.1, checkpoint),
            (54.0, 1.0, 0.9, half_val, half_test, checkpoint),
            (108.0, seconds, 1.0, val, test, checkpoint),
        ],
        params,
        9.0,
    )
    read = nasbench101._training(base64.b64encode(message).decode(), 108)
    assert read == (params, (100 * val, 100 * test, 100 * half_val, 100 * half_test, seconds))


def broken(**changes):
    row = (
        dict(zip(("key", "epochs", "matrix", "ops", "metrics"), json.loads(record_101()), strict=True))
        | changes
    )
    return json.dumps(list(row.values())).encode()


def message(*evaluations, **options):
    return record_101(metrics=metrics_message(*evaluations, **options))


START, HALF, END = (
    evaluation(0.0, 0.0, 0.1, 0.1),
    evaluation(54.0, 1.0, 0.5, 0.5),
    evaluation(108.0, 2.0, 1, 1),
)

BAD = {
    "no JSON": (b"\x00\x01", "not JSON"),
    "not UTF-8": (b'["\xff"]', "not JSON"),
    "an object": (b"{}", "a list of five was expected, not a dict"),
    "four entries": (b"[1, 2, 3, 4]", "a list of five"),
    "deep nesting": (b"[" * 60_000, "nested too deeply"),
    "hash of another form": (broken(key="xyz"), "the hash is 'xyz'; it must be 32 hexadecimal"),
    "hash of another type": (broken(key=[1]), "the hash is a list"),
    "epochs of zero": (broken(epochs=0), "epochs is 0"),
    "epochs in words": (broken(epochs="108"), "epochs is '108'"),
    "epochs that are true": (broken(epochs=True), "epochs is True"),
    "matrix with a two": (broken(matrix="0200"), "the matrix is '0200'; it must be n times n digits"),
    "matrix of three digits": (broken(matrix="010"), "n times n"),
    "empty matrix": (broken(matrix=""), "n times n"),
    "matrix of numbers": (broken(matrix=[0, 1]), "must be texts"),
    "matrix below the diagonal": (broken(matrix="0110000101010000"), "architecture"),
    "unknown operation": (broken(ops=OPERATIONS.replace("max", "min")), "unknown operation 'minpool3x3'"),
    "too few operations": (broken(ops="input,output"), "architecture"),
    "no base64": (broken(metrics="A"), "not base64"),
    "no message": (broken(metrics=""), "trainable_parameters is None"),
    "end of group": (record_101(metrics=b"\x0c"), "wire type 4"),
    "unfinished number": (record_101(metrics=b"\x10\x80"), "end inside a number"),
    "endless number": (record_101(metrics=b"\x10" + b"\x80" * 11), "more than ten bytes"),
    "field beyond the end": (record_101(metrics=b"\x0a\x7f"), "ends beyond them"),
    "truncated message": (record_101(metrics=training()[:-3]), "ends beyond them"),
    "no params": (message(START, HALF, END, params=None), "trainable_parameters is None"),
    "params below zero": (message(START, HALF, END, params=2**64 - 1), "below 2^31"),
    "two evaluations": (message(HALF, END), "2 evaluations"),
    "four evaluations": (message(START, HALF, HALF, END), "4 evaluations"),
    "end at another epoch": (message(START, HALF, HALF), "the last evaluation is of epoch 54"),
    "half at another epoch": (message(START, START, END), "the second evaluation is of epoch 0"),
    "epoch that is NaN": (message(START, HALF, evaluation(math.nan, 1.0, 1, 1)), "epoch nan"),
    "accuracy of NaN": (record_101(val=math.nan), "validation_accuracy is nan; it must be between 0 and 1"),
    "accuracy in percent": (record_101(test=94.0), "test_accuracy is 94.0; it must be between 0 and 1"),
    "half accuracy below zero": (record_101(half=-0.5), "validation_accuracy is -0.5"),
    "endless seconds": (record_101(seconds=math.inf), "training_time is inf; it must be 0 or more"),
    "no accuracy": (message(START, HALF, evaluation(108.0, 2.0, None, 1)), "no validation_accuracy"),
    "accuracy in another wire type": (
        message(START, HALF, evaluation(108.0, 2.0, None, 1) + b"\x25" + struct.pack("<f", 0.5)),
        "no validation_accuracy",
    ),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_bad_records(path, refused, content):
    content, part = content
    write(path, record_101(**OTHER), content, record_101())
    refused(path, "record 2: ", part, "--skip-bad")
    table = read_official(path, skip_bad=True)
    assert table.columns["hash"] == ["f" * 32, "0" * 32]
    assert table.n_skipped == 1
    assert table.skipped[0].startswith("record 2: ")


def test_a_later_record_of_a_cell_must_agree(path, refused):
    for change in ({"matrix": OTHER["matrix"]}, {"params": 7}):
        write(path, record_101(), record_101(**change))
        refused(path, "record 2", "another cell or params")
        assert read_official(path, skip_bad=True).columns["repeats_108ep"].tolist() == [1]


def test_unknown_fields_of_a_message_are_passed_over(path):
    more = b"\xa0\x06\x01" + b"\x7a\x03abc" + b"\x7d" + bytes(4)  # fields 100, 15 and 15
    write(path, record_101(metrics=more + training()))
    assert read_official(path).columns["cifar10_val_acc_108ep"].tolist() == [50.0]


def test_too_many_budgets(path, refused, monkeypatch):
    monkeypatch.setattr(nasbench101, "MOST_BUDGETS", 2)
    write(path, *(record_101(epochs=epochs) for epochs in (4, 12, 36, 4)))
    refused(path, "record 3", "36 epochs: more than 2 different budgets")


def test_a_damaged_record_costs_itself_and_a_damaged_length_the_rest(path, refused):
    content = bytearray(tfrecord(record_101(), record_101(**OTHER), record_101()))
    second = len(tfrecord(record_101()))
    content[second + 40] ^= 1
    path.write_bytes(content)
    refused(path, "record 2: its data does not match its checksum")
    table = read_official(path, skip_bad=True)
    assert (len(table), table.columns["repeats_108ep"].tolist()) == (1, [2])
    content[second] ^= 1
    path.write_bytes(content)
    refused(path, "record 2: its length does not match its checksum")
    assert read_official(path, skip_bad=True).columns["repeats_108ep"].tolist() == [1]


def test_truncated_file(path, refused):
    path.write_bytes(tfrecord(record_101(), record_101())[:-1])
    refused(path, "record 2: the file ends inside it")
    assert read_official(path, skip_bad=True).columns["repeats_108ep"].tolist() == [1]


def test_nothing_to_read(path, refused):
    path.touch()
    refused(path, "none of the 0 entries can be used")
    path.write_text("something else, and not short")
    refused(path, "record 1", "no TFRecord file")
    refused(path, "none of the 1 entries can be used; the first bad one is record 1", skip_bad=True)


def test_many_bad_records_are_counted_but_not_all_kept(path):
    write(path, record_101(), *[b"[]"] * 150)
    table = read_official(path, skip_bad=True)
    assert table.n_skipped == 150
    assert len(table.skipped) == 100


def test_there_is_one_task(path, refused):
    write(path, record_101())
    refused(path, "NAS-Bench-101 has one task", error=UsageError, task="cifar10")


def test_memory_is_that_of_the_cells_and_not_of_the_records(path, monkeypatch):
    """Records are read in blocks: no more of them than a block holds are alive at once."""
    monkeypatch.setattr(records, "_BLOCK", 4096)
    path.write_bytes(tfrecord(record_101()) * 500)
    sizes = []
    original = records._frames
    monkeypatch.setattr(records, "_frames", lambda block: sizes.append(len(block)) or original(block))
    table = read_nasbench101(path)
    assert table.columns["repeats_108ep"].tolist() == [500]
    assert max(sizes) < 4096 + len(tfrecord(record_101()))
