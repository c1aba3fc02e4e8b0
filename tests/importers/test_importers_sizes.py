"""Channels, positions, parameters and flops of single operators, worked out by hand."""

import numpy as np
import pytest

from archflow.importers import OperatorGraph
from archflow.importers.operators import elements
from archflow.importers.sizes import attention_numbers
from importers.onnx_graphs import model, node


def numbers_of(network):
    """Return the attributes of the nodes between input and output, without zeros."""
    rows = [{} for _ in network.architecture.operations]
    for name, values in network.architecture.attributes:
        for row, value in zip(rows, values, strict=True):
            if value:
                row[name] = value
    return rows[1:-1]


CASES = {
    "conv": (
        node("Conv", "x w b", "y", strides=[2, 2], pads=[1, 1, 1, 1]),
        {"x": (1, 3, 8, 8)},
        {"w": (16, 3, 3, 3), "b": (16,)},
        # 4 x 4 positions of 16 channels, 27 products each
        {"channels": 16, "positions": 16, "kernel": 3, "stride": 2, "dilation": 1, "groups": 1}
        | {"parameters": 16 * 27 + 16, "flops": 2 * 16 * 16 * 27},
    ),
    "depthwise": (
        node("Conv", "x w", "y", group=6, dilations=[2, 2]),
        {"x": (1, 6, 9, 9)},
        {"w": (6, 1, 3, 3)},
        {"channels": 6, "positions": 25, "kernel": 3, "stride": 1, "dilation": 2, "groups": 6}
        | {"parameters": 54, "flops": 2 * 25 * 6 * 9},
    ),
    "oblong": (
        node("Conv", "x w", "y", pads=[0, 3, 0, 3]),
        {"x": (1, 2, 4, 4)},
        {"w": (2, 2, 1, 7)},
        {
            "channels": 2,
            "positions": 16,
            "kernel": np.float32(7**0.5),
            "stride": 1,
            "dilation": 1,
            "groups": 1,
        }
        | {"parameters": 28, "flops": 2 * 16 * 28},
    ),
    "transposed": (
        node("ConvTranspose", "x w", "y", strides=[2, 2]),
        {"x": (1, 4, 3, 3)},
        {"w": (4, 5, 2, 2)},
        # each of the 3 x 3 x 4 numbers is spread over 5 channels of 2 x 2
        {"channels": 5, "positions": 36, "kernel": 2, "stride": 2, "dilation": 1, "groups": 1}
        | {"parameters": 80, "flops": 2 * 36 * 20},
    ),
    "linear": (
        node("Gemm", "x w b", "y", transB=1),
        {"x": (1, 8)},
        {"w": (3, 8), "b": (3,)},
        {"channels": 3, "positions": 1, "parameters": 27, "flops": 48},
    ),
    "linear of tokens": (
        node("MatMul", "x w", "y"),
        {"x": (1, 5, 8)},
        {"w": (8, 3)},
        {"channels": 3, "positions": 5, "parameters": 24, "flops": 2 * 5 * 24},
    ),
    "linear over tokens": (
        node("MatMul", "w x", "y"),
        {"x": (1, 5, 8)},
        {"w": (3, 5)},
        {"channels": 3, "positions": 8, "parameters": 15, "flops": 2 * 3 * 5 * 8},
    ),
    "experts": (
        node("MatMul", "x w", "y"),
        {"x": (4, 5, 8)},
        {"w": (4, 8, 3)},
        {"channels": 3, "positions": 20, "parameters": 96, "flops": 2 * 4 * 5 * 8 * 3},
    ),
    "einsum": (
        node("Einsum", "x w", "y", equation="bij,jkl->bikl"),
        {"x": (1, 5, 8)},
        {"w": (8, 2, 3)},
        {"channels": 6, "positions": 5, "parameters": 48, "flops": 2 * 5 * 48},
    ),
    "lstm": (
        node("LSTM", "x w r b", "y", hidden_size=4, direction="bidirectional"),
        {"x": (7, 1, 6)},
        {"w": (2, 16, 6), "r": (2, 16, 4), "b": (2, 32)},
        {"channels": 8, "positions": 7, "parameters": 192 + 128 + 64, "flops": 2 * 7 * (192 + 128)},
    ),
    "pool": (
        node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        {"x": (1, 4, 8, 8)},
        {},
        {"channels": 4, "positions": 16, "kernel": 3, "stride": 2, "dilation": 1},
    ),
    "norm": (
        node("LayerNormalization", "x w b", "y"),
        {"x": (1, 5, 8)},
        {"w": (8,), "b": (8,)},
        {"channels": 8, "positions": 5, "parameters": 16},
    ),
}


@pytest.mark.parametrize(("proto", "inputs", "weights", "expected"), CASES.values(), ids=CASES)
def test_single_operators(read, proto, inputs, weights, expected):
    network = read(model([proto], inputs=inputs, weights=weights))
    assert numbers_of(network) == [expected]
    assert network.report.parameters == expected.get("parameters", 0)
    assert network.report.flops == expected.get("flops", 0)
    assert network.report.unknown_sizes == 0


def test_attention_as_one_operator(read):
    """Four heads of 4 for the queries, two for keys and values, each shared by two of them."""
    proto = node("Attention", "q k v", "y", q_num_heads=4, kv_num_heads=2)
    inputs = {"q": (1, 5, 16), "k": (1, 7, 8), "v": (1, 7, 8)}
    network = read(model([proto], inputs=inputs, opset=23))
    assert numbers_of(network)[-1] == {
        "channels": 16,
        "positions": 5,
        "heads": 4,
        "flops": 2 * 4 * 5 * 7 * (4 + 4),
    }


def test_attention():
    numbers = attention_numbers((1, 4, 5, 8), (1, 2, 7, 8), (1, 2, 7, 3))
    assert numbers == {"heads": 4, "channels": 12, "flops": 2 * 4 * 5 * 7 * (8 + 3)}
    assert attention_numbers((1, 4, None, 8), (1, 2, 7, 8), (1, 2, 7, 3)) == {"heads": 4, "channels": 12}
    assert attention_numbers((1, 4, 5, 8), None, None) == {"heads": 4}
    assert attention_numbers((5, 8), None, None) == attention_numbers(None, None, None) == {}


def test_channels_follow_the_data(read):
    """Of a convolution through an activation, a slice, a concatenation and into tokens."""
    nodes = [
        node("Conv", "x w", "a"),
        node("Relu", "a", "b"),
        node("Split", "b", "c d", axis=1),
        node("Sigmoid", "c", "e"),
        node("Concat", "e b", "f", axis=1),
        node("Reshape", "f tokens", "g"),
        node("Transpose", "g", "h", perm=[0, 2, 1]),
        node("Tanh", "h", "i"),
        node("ReduceMean", "i", "y", axes=[1], keepdims=0),
    ]
    weights = {"w": (8, 3, 1, 1), "tokens": np.array([0, 0, -1])}
    network = read(model(nodes, inputs={"x": (1, 3, 5, 5)}, weights=weights))
    assert network.architecture.operations[1:-1] == (
        "conv",
        "relu",
        "slice",
        "sigmoid",
        "concatenate",
        "tanh",
        "mean",
    )
    rows = numbers_of(network)
    assert [row["channels"] for row in rows] == [8, 8, 4, 4, 12, 12, 12]
    assert [row["positions"] for row in rows] == [25, 25, 25, 25, 25, 25, 1]


def test_tokens_beside_each_other_are_positions(read):
    nodes = [node("Concat", "w x", "a", axis=1), node("Gather", "a first", "y", axis=1)]
    network = read(model(nodes, inputs={"x": (1, 5, 8)}, weights={"w": (1, 1, 8), "first": np.array(0)}))
    assert numbers_of(network) == [
        {"channels": 8, "positions": 6, "parameters": 8},
        {"channels": 8, "positions": 1},
    ]


def test_inputs_of_whole_numbers_have_positions_alone(read):
    network = read(
        model([node("Gather", "w x", "y")], inputs={"x": (1, 7)}, integers=["x"], weights={"w": (20, 6)})
    )
    assert dict(network.architecture.attributes) == {
        "channels": (0, 6, 0),
        "parameters": (0, 120, 0),
        "positions": (7, 7, 0),
    }


def test_unknown_sizes_are_counted_and_leave_numbers_out():
    graph = OperatorGraph("drawn")
    graph.add_input("x", None)
    graph.add_constant("w", (4, 3, 3, 3), parameters=108)
    graph.add("conv", ["x", "w"], ["a"], numbers={"kernel": 3, "channels": 4})
    graph.add("relu", ["a"], ["y"])
    graph.add_output("y")
    network = graph.to_network()
    assert numbers_of(network) == [{"channels": 4, "kernel": 3, "parameters": 108}, {"channels": 4}]
    assert network.report.unknown_sizes == 2
    assert "2 nodes of unknown size" in str(network.report)


def test_shared_weights_count_once(read):
    nodes = [
        node("Transpose", "w", "v"),
        node("MatMul", "x w", "a"),
        node("MatMul", "a v", "y"),
    ]
    network = read(model(nodes, inputs={"x": (1, 8)}, weights={"w": (8, 4)}))
    assert [row["parameters"] for row in numbers_of(network) if "parameters" in row] == [32]
    assert network.report.parameters == 32


def test_elements():
    assert elements((2, 3)) == 6
    assert elements(()) == 1
    assert elements((2, None)) is None
    assert elements(None) is None
