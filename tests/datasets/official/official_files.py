"""Official files in small, written from the published descriptions and not with the readers' code."""

import base64
import bz2
import json
import pickle
import struct

OPERATIONS = "input,conv3x3-bn-relu,maxpool3x3,output"
MATRIX = "0110000100010000"  # input to both operations, both to the output
TEXT = (
    '{"matrix":[[0,1,1,0],[0,0,0,1],[0,0,0,1],[0,0,0,0]],'
    '"ops":["input","conv3x3-bn-relu","maxpool3x3","output"]}'
)
CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|none~2|"


def crc32c(data):
    """CRC-32C, a bit at a time."""
    checksum = 0xFFFFFFFF
    for octet in data:
        checksum ^= octet
        for _ in range(8):
            checksum = checksum >> 1 ^ (0x82F63B78 if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF


def masked_crc32c(data):
    checksum = crc32c(data)
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) % 2**32)


def tfrecord(*records):
    content = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        content += length + masked_crc32c(length) + record + masked_crc32c(record)
    return content


def varint(value):
    content = b""
    while value > 0x7F:
        content += bytes([value & 0x7F | 0x80])
        value >>= 7
    return content + bytes([value])


def evaluation(epoch, seconds, val, test):
    fields = {1: epoch, 2: seconds, 3: 0.25, 4: val, 5: test}
    doubles = [bytes([f << 3 | 1]) + struct.pack("<d", v) for f, v in fields.items() if v is not None]
    return b"".join(doubles)


def metrics_message(*evaluations, params=42):
    content = b"".join(b"\x0a" + varint(len(one)) + one for one in evaluations)
    if params is not None:
        content += b"\x10" + varint(params)
    return content + b"\x19" + struct.pack("<d", 123.0)


def record_101(*, key="0" * 32, epochs=108, matrix=MATRIX, ops=OPERATIONS, metrics=None, **values):
    """A record of NAS-Bench-101, measured as `training` says or with a given message."""
    metrics = training(epochs, **values) if metrics is None else metrics
    return json.dumps([key, epochs, matrix, ops, base64.b64encode(metrics).decode()]).encode()


def training(epochs=108, *, val=0.5, test=0.25, half=0.125, seconds=64.0, params=42):
    return metrics_message(
        evaluation(0.0, 0.0, 0.1, 0.1),
        evaluation(epochs / 2, 32.0, half, half / 2),
        evaluation(float(epochs), seconds, val, test),
        params=params,
    )


def result_301(**changes):
    """A result of NAS-Bench-301, as the file in the authors' repository, without what is not read."""
    prefix = "NetworkSelectorDatasetInfo:darts:"
    edges = {
        "normal": {
            0: "skip_connect", 1: "sep_conv_3x3", 2: "sep_conv_3x3", 3: "skip_connect",
            5: "dil_conv_3x3", 7: "dil_conv_5x5", 10: "sep_conv_3x3", 11: "skip_connect",
        },
        "reduce": {
            0: "max_pool_3x3", 1: "avg_pool_3x3", 2: "skip_connect", 3: "dil_conv_5x5",
            6: "sep_conv_3x3", 7: "sep_conv_5x5", 11: "sep_conv_3x3", 12: "dil_conv_3x3",
        },
    }  # fmt: skip
    inputs = {"normal": ("0_1", "0_2", "1_2"), "reduce": ("0_1", "1_2", "2_3")}
    config = {f"{prefix}edge_{cell}_{edge}": op for cell in edges for edge, op in edges[cell].items()}
    config |= {f"{prefix}inputs_node_{c}_{3 + i}": text for c in inputs for i, text in enumerate(inputs[c])}
    config |= {f"{prefix}layers": 20, f"{prefix}init_channels": 50, "OptimizerSelector:optimizer": "sgd"}
    config |= {prefix + name: value for name, value in changes.pop("config", {}).items()}
    result = {
        "final_metric_score": -97.68,
        "optimized_hyperparamater_config": {k: v for k, v in config.items() if v is not None},
        "budget": 1500,
        "info": [{"train_accuracy": 86.64, "val_accuracy": 97.68, "model_parameters": 6369358}],
        "test_accuracy": 97.54,
        "runtime": 365136,
    } | changes
    return {name: value for name, value in result.items() if value is not None}


def training_201(dataset, budget, accuracies, **changes):
    """A training of NATS-Bench, the state of `ResultsCount`; accuracies by evaluation set."""
    last = {f"{name}@{budget - 1}": value for name, value in accuracies.items()}
    earlier = {f"{name}@{epoch}": 1.0 for name in accuracies for epoch in range(budget - 1)}
    return {
        "name": dataset,
        "net_state_dict": None,
        "train_acc1es": dict.fromkeys(range(budget), 99.0),
        "arch_config": {"channel": 16, "num_cells": 5, "arch_str": CELL, "class_num": 10},
        "params": 0.5,
        "flop": 80.25,
        "seed": "777",
        "epochs": budget,
        "latency": [0.015625],
        "eval_names": list(accuracies),
        "eval_acc1es": earlier | last,
        "eval_times": {},
    } | changes


def state_201(arch, trainings, index=0):
    """The results of an architecture with one budget, the state of `ArchResults`."""
    seeds = {}
    for dataset, seed in trainings:
        seeds.setdefault(dataset, []).append(seed)
    return {
        "arch_index": index,
        "arch_str": arch,
        "all_results": dict(trainings),
        "dataset_seed": seeds,
        "clear_net_done": True,
    }


def results_201(arch=CELL, budgets=(12, 200), index=0, names=None, **changes):
    """What a file of an archive holds; validation 60, 70 and test 80 percent, other data sets lower."""
    results = {}
    for budget, name in zip(budgets, names or [f"{b:02d}" for b in budgets], strict=True):
        trainings = {
            ("cifar10-valid", 777): training_201(
                "cifar10-valid", budget, {"x-valid": 60.0, "ori-test": 1.0}, **changes
            ),
            ("cifar10-valid", 888): training_201(
                "cifar10-valid", budget, {"x-valid": 70.0, "ori-test": 1.0}, **changes
            ),
            ("cifar10", 777): training_201("cifar10", budget, {"ori-test": 80.0}, **changes),
            ("cifar100", 777): training_201(
                "cifar100", budget, {"x-valid": 40.0, "x-test": 41.0, "ori-test": 40.5}, **changes
            ),
            ("ImageNet16-120", 777): training_201(
                "ImageNet16-120", budget, {"x-valid": 20.0, "x-test": 21.0, "ori-test": 20.5}, **changes
            ),
        }
        results[name] = state_201(arch, trainings, index)
    return results


def write_pickle(path, value):
    path.write_bytes(bz2.compress(pickle.dumps(value, protocol=4)))
    return path
