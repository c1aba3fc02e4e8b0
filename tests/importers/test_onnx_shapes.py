"""Shapes and small constants are what running the operator gives, in every operator set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from onnx.reference import ReferenceEvaluator

from archflow.importers import OperatorGraph
from archflow.importers.onnx_graph import fill
from importers.onnx_graphs import NEWEST, model, node

IMAGE = {"x": (2, 6, 9, 11)}
TOKENS = {"x": (2, 5, 8)}
SERIES = {"x": (5, 2, 6)}


def array(*numbers):
    return np.array(numbers, dtype=np.int64)


# (node, inputs, weights, oldest operator set, newest operator set)
CASES = [
    (node("Conv", "x w", "y"), IMAGE, {"w": (4, 6, 3, 3)}, 11, NEWEST),
    (node("Conv", "x w", "y", strides=[2, 3], pads=[1, 0, 2, 1]), IMAGE, {"w": (4, 6, 3, 3)}, 11, NEWEST),
    (node("Conv", "x w", "y", dilations=[2, 2], group=3), IMAGE, {"w": (3, 2, 3, 3)}, 11, NEWEST),
    (node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2]), IMAGE, {"w": (4, 6, 3, 3)}, 11, NEWEST),
    (node("Conv", "x w", "y", auto_pad="VALID"), IMAGE, {"w": (4, 6, 3, 3)}, 11, NEWEST),
    (node("Conv", "x w", "y", pads=[1, 1]), {"x": (2, 6, 9)}, {"w": (4, 6, 3)}, 11, NEWEST),
    (node("ConvTranspose", "x w", "y", strides=[2, 2]), IMAGE, {"w": (6, 4, 3, 3)}, 11, NEWEST),
    (
        node("ConvTranspose", "x w", "y", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
        IMAGE,
        {"w": (6, 4, 3, 3)},
        11,
        NEWEST,
    ),
    (
        node("ConvTranspose", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2]),
        IMAGE,
        {"w": (6, 4, 3, 3)},
        11,
        NEWEST,
    ),
    (node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2]), IMAGE, {}, 11, NEWEST),
    (node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), IMAGE, {}, 12, NEWEST),
    (node("MaxPool", "x", "y", kernel_shape=[3, 3], dilations=[2, 2]), IMAGE, {}, 11, NEWEST),
    (
        node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        IMAGE,
        {},
        11,
        NEWEST,
    ),
    (node("GlobalAveragePool", "x", "y"), IMAGE, {}, 11, NEWEST),
    (node("GlobalMaxPool", "x", "y"), IMAGE, {}, 11, NEWEST),
    (node("MatMul", "x w", "y"), TOKENS, {"w": (8, 3)}, 11, NEWEST),
    (node("MatMul", "x w", "y"), TOKENS, {"w": (8,)}, 11, NEWEST),
    (node("MatMul", "w x", "y"), TOKENS, {"w": (5,)}, 11, NEWEST),
    (node("MatMul", "w x", "y"), TOKENS, {"w": (7, 1, 4, 5)}, 11, NEWEST),
    (node("Gemm", "x w b", "y"), {"x": (5, 8)}, {"w": (8, 3), "b": (3,)}, 11, NEWEST),
    (node("Gemm", "x w", "y", transA=1, transB=1), {"x": (8, 5)}, {"w": (3, 8)}, 11, NEWEST),
    (node("Einsum", "x w", "y", equation="bij, jk -> bki"), TOKENS, {"w": (8, 3)}, 12, NEWEST),
    (node("Reshape", "x s", "y"), TOKENS, {"s": array(0, -1)}, 11, NEWEST),
    (node("Reshape", "x s", "y"), TOKENS, {"s": array(2, 5, 2, 4)}, 11, NEWEST),
    (node("Flatten", "x", "y"), TOKENS, {}, 11, NEWEST),
    (node("Flatten", "x", "y", axis=-1), TOKENS, {}, 11, NEWEST),
    (node("Transpose", "x", "y"), TOKENS, {}, 11, NEWEST),
    (node("Transpose", "x", "y", perm=[2, 0, 1]), TOKENS, {}, 11, NEWEST),
    (node("Squeeze", "x", "y", axes=[1]), {"x": (2, 1, 8, 1)}, {}, 11, 12),
    (node("Squeeze", "x a", "y"), {"x": (2, 1, 8, 1)}, {"a": array(-1)}, 13, NEWEST),
    (node("Squeeze", "x", "y"), {"x": (2, 1, 8, 1)}, {}, 11, NEWEST),
    (node("Unsqueeze", "x", "y", axes=[0, 2]), TOKENS, {}, 11, 12),
    (node("Unsqueeze", "x a", "y"), TOKENS, {"a": array(-1, 1)}, 13, NEWEST),
    (node("Expand", "x s", "y"), {"x": (2, 1, 8)}, {"s": array(3, 1, 5, 1)}, 11, NEWEST),
    (node("Tile", "x s", "y"), TOKENS, {"s": array(1, 2, 3)}, 11, NEWEST),
    (node("Pad", "x s", "y"), TOKENS, {"s": array(0, 1, 2, 3, 0, 1)}, 11, NEWEST),
    (node("Pad", "x s  a", "y"), TOKENS, {"s": array(1, 2, 3, 4), "a": array(-1, 0)}, 18, NEWEST),
    (node("Concat", "x w x", "y", axis=1), TOKENS, {"w": (2, 1, 8)}, 11, NEWEST),
    (node("Concat", "x x", "y", axis=-1), TOKENS, {}, 11, NEWEST),
    (node("Split", "x", "y z", axis=2), TOKENS, {}, 11, 17),
    (node("Split", "x", "y z", axis=1, split=[2, 3]), TOKENS, {}, 11, 12),
    (node("Split", "x s", "y z", axis=1), TOKENS, {"s": array(1, 4)}, 13, NEWEST),
    (node("Split", "x", "y z", axis=1, num_outputs=2), TOKENS, {}, 18, NEWEST),
    (
        node("Slice", "x a b c d", "y"),
        IMAGE,
        {"a": array(1), "b": array(99), "c": array(-1), "d": array(3)},
        11,
        NEWEST,
    ),
    (node("Slice", "x a b", "y"), IMAGE, {"a": array(0, -4), "b": array(1, -1)}, 11, NEWEST),
    (
        node("Slice", "x a b c d", "y"),
        IMAGE,
        {"a": array(-1), "b": array(-(2**63)), "c": array(2), "d": array(-2)},
        11,
        NEWEST,
    ),
    (node("Gather", "x i", "y", axis=1), TOKENS, {"i": np.array(2)}, 11, NEWEST),
    (node("Gather", "x i", "y", axis=-1), TOKENS, {"i": np.array([[0, 1, 2]])}, 11, NEWEST),
    (node("GatherND", "x i", "y"), TOKENS, {"i": np.array([[0, 1], [1, 1]])}, 11, NEWEST),
    (node("GatherND", "x i", "y", batch_dims=1), TOKENS, {"i": np.array([[0], [1]])}, 12, NEWEST),
    (node("GatherElements", "x i", "y", axis=1), TOKENS, {"i": np.zeros((2, 1, 8), np.int64)}, 11, NEWEST),
    (node("Resize", "x  s", "y"), IMAGE, {"s": np.float32([1, 1, 2, 2.5])}, 11, NEWEST),
    (node("Resize", "x   s", "y"), IMAGE, {"s": array(2, 6, 5, 7)}, 11, NEWEST),
    (node("TopK", "x k", "y z", axis=1), TOKENS, {"k": array(3)}, 11, NEWEST),
    (node("ArgMax", "x", "y", axis=-1, keepdims=0), TOKENS, {}, 11, NEWEST),
    (node("ArgMin", "x", "y"), TOKENS, {}, 11, NEWEST),
    (node("ReduceMean", "x", "y", axes=[1, -1]), TOKENS, {}, 11, 17),
    (node("ReduceMean", "x a", "y", keepdims=0), TOKENS, {"a": array(-2)}, 18, NEWEST),
    (node("ReduceSum", "x a", "y"), TOKENS, {"a": array(0)}, 13, NEWEST),
    (node("ReduceMax", "x", "y", keepdims=0), TOKENS, {}, 11, NEWEST),
    (node("ReduceSum", "x", "y", noop_with_empty_axes=1), TOKENS, {}, 13, NEWEST),
    (node("LayerNormalization", "x w", "y"), TOKENS, {"w": (8,)}, 17, NEWEST),
    (node("BatchNormalization", "x w w w w", "y"), IMAGE, {"w": (6,)}, 11, NEWEST),
    (node("Softmax", "x", "y"), TOKENS, {}, 11, NEWEST),
    (node("Clip", "x", "y"), TOKENS, {}, 11, NEWEST),
    (node("Add", "x w", "y"), TOKENS, {"w": (5, 1)}, 11, NEWEST),
    (node("Where", "c x w", "y"), TOKENS, {"w": (7, 1, 1, 1), "c": np.ones((5, 1), dtype=bool)}, 11, NEWEST),
    (node("DepthToSpace", "x", "y", blocksize=2), {"x": (1, 8, 3, 5)}, {}, 11, NEWEST),
    (node("SpaceToDepth", "x", "y", blocksize=2), {"x": (1, 3, 4, 6)}, {}, 11, NEWEST),
    (node("LSTM", "x w r", "y h c", hidden_size=4), SERIES, {"w": (1, 16, 6), "r": (1, 16, 4)}, 11, NEWEST),
    (node("RNN", "x w r", "y h", hidden_size=4), SERIES, {"w": (1, 4, 6), "r": (1, 4, 4)}, 11, NEWEST),
    (node("Attention", "x x x", "y", q_num_heads=2, kv_num_heads=2), TOKENS, {}, 23, NEWEST),
    (node("Attention", "x k k", "y"), {"x": (1, 4, 5, 8), "k": (1, 2, 7, 8)}, {}, 23, NEWEST),
    (node("GridSample", "x g", "y"), IMAGE, {"g": (2, 3, 4, 2)}, 16, NEWEST),
]


def inferred(proto):
    graph = OperatorGraph("case")
    fill(graph, proto.graph)
    return graph.shapes


@pytest.mark.parametrize(("proto", "inputs", "weights", "oldest", "newest"), CASES)
def test_shapes_are_those_of_what_is_computed(proto, inputs, weights, oldest, newest):
    outputs = list(proto.output)
    for opset in {oldest, newest}:
        whole = model([proto], inputs=inputs, outputs=" ".join(outputs), weights=weights, opset=opset)
        rng = np.random.default_rng(0)
        data = {name: rng.normal(size=shape).astype(np.float32) for name, shape in inputs.items()}
        computed = ReferenceEvaluator(whole).run(None, data)
        shapes = inferred(whole)
        for name, value in zip(outputs, computed, strict=True):
            assert shapes[name] == value.shape, f"{proto.op_type} in operator set {opset}"


@pytest.mark.parametrize(
    ("options", "whole", "last"),
    [
        ({"direction": "bidirectional"}, (5, 2, 2, 4), (2, 2, 4)),
        ({"direction": "reverse"}, (5, 1, 2, 4), (1, 2, 4)),
        ({"layout": 1}, (5, 2, 1, 4), (5, 1, 4)),
    ],
)
def test_recurrent_layers(options, whole, last):
    """In the directions and layout that onnx's reference does not run; by the operators' reference."""
    proto = node("GRU", "x w r", "y h", hidden_size=4, **options)
    shapes = inferred(model([proto], inputs=SERIES, weights={"w": (), "r": ()}))
    assert (shapes["y"], shapes["h"]) == (whole, last)


def test_windows_that_begin_in_the_padding_are_left_out():
    """Padded to 8, 9 and 10, in steps of 2; the ninth number is padding, where no window may begin."""
    sizes = {}
    for size in (6, 7, 8):
        proto = node("MaxPool", "x", "y", kernel_shape=[2], strides=[2], pads=[1, 1], ceil_mode=1)
        sizes[size] = inferred(model([proto], inputs={"x": (1, 1, size)}))["y"][2]
    assert sizes == {6: 4, 7: 4, 8: 5}


COMPUTED = [
    node("Shape", "x", "s"),
    node("Gather", "s zero", "n"),
    node("Gather", "s one", "c"),
    node("Mul", "c two", "c2"),
    node("Div", "c2 two", "c3"),
    node("Unsqueeze", "n axis", "n1"),
    node("Concat", "n1 c3 rest", "target", axis=0),
    node("Reshape", "x target", "flat"),
    node("Concat", "n1 rest rest", "wanted", axis=0),
    node("ConstantOfShape", "three", "ones", value=helper.make_tensor("v", 7, [1], [1])),
    node("Equal", "wanted rest", "is_open"),
    node("Where", "is_open ones wanted", "sizes"),
    node("Expand", "token sizes", "y"),
    node("Slice", "s two end", "positions"),
    node("Range", "zero c one", "places"),
    node("Cast", "places", "numbers", to=1),
]


@pytest.mark.parametrize(("batch", "flat"), [(1, (1, 6, 16)), ("batch", None)])
def test_shapes_that_the_network_computes_are_followed(batch, flat):
    """As exporters write x.flatten(2) and token.expand(len(x), -1, -1)."""
    weights = {"zero": np.array(0), "one": np.array(1), "axis": array(0), "rest": array(-1)}
    weights |= {"two": array(2), "three": array(3), "end": array(2**63 - 1), "token": (1, 1, 8)}
    whole = model(COMPUTED, inputs={"x": (batch, 6, 4, 4)}, outputs="flat y", weights=weights)
    shapes = inferred(whole)
    assert shapes.get("flat") == flat
    if flat:
        assert shapes["y"] == (1, 1, 8)
        assert shapes["positions"] == (2,)
        assert shapes["places"] == shapes["numbers"] == (6,)


@settings(max_examples=150)
@given(
    st.sampled_from(("Add", "Sub", "Mul", "Max", "Min", "Div", "Equal", "Less", "Greater")),
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.integers(1, 6),
)
def test_small_constants_are_what_is_computed(operator, left, right):
    """Seen in the shape that they give to a tensor; 9 is added, so that each is a size."""
    nodes = [
        node(operator, "left right", "a"),
        node("Cast", "a", "b", to=7),
        node("Add", "b nine", "c"),
        node("Concat", "x x", "y", axis=0),
    ]
    weights = {"left": array(*left), "right": array(right), "nine": array(9)}
    whole = model(nodes, inputs={"x": (1,)}, outputs="c y", weights=weights)
    computed, _ = ReferenceEvaluator(whole).run(None, {"x": np.ones(1, np.float32)})
    whole.graph.node.append(node("Expand", "x c", "z"))
    assert inferred(whole)["z"] == tuple(computed)


@pytest.mark.parametrize(
    "proto",
    [
        node("Conv", "x", "y"),
        node("Conv", "x x", "y", strides=[0, 0]),
        node("Conv", "x x", "y", kernel_shape=[99, 99]),
        node("Conv", "x x", "y", pads=[1]),
        node("MaxPool", "x", "y"),
        node("Reshape", "x bad", "y"),
        node("Reshape", "x x", "y"),
        node("Transpose", "x", "y", perm=[7]),
        node("Concat", "x bad", "y", axis=9),
        node("Split", "x bad", "y z", axis=1),
        node("Slice", "x one one one zero", "y"),
        node("Expand", "x bad", "y"),
        node("Tile", "x bad", "y"),
        node("ConstantOfShape", "huge", "y"),
        node("Range", "zero one zero", "y"),
        node("Einsum", "x x", "y", equation="...i,ij"),
        node("Einsum", "x", "y"),
        node("Resize", "x", "y"),
        node("TopK", "x bad", "y", axis=50),
        node("LSTM", "x", "y"),
        node("MatMul", "x", "y"),
    ],
    ids=lambda proto: proto.op_type,
)
def test_what_does_not_fit_has_no_shape(proto):
    weights = {"bad": array(3, -7), "huge": array(2**40, 2**40), "zero": array(0), "one": array(1)}
    shapes = inferred(model([proto], inputs={"x": (1, 3, 8, 8)}, weights=weights))
    assert shapes.get("y") is None


def test_a_filling_that_is_no_tensor_keeps_its_shape():
    proto = model([node("ConstantOfShape", "s", "y", value=3)], weights={"s": array(2, 4)})
    assert inferred(proto)["y"] == (2, 4)


@settings(max_examples=200)
@given(st.integers(0, 9), st.integers(-12, 12), st.integers(-12, 12), st.sampled_from([-3, -2, -1, 1, 2, 3]))
def test_slices_are_those_of_numpy(size, start, end, step):
    weights = {"a": array(start), "b": array(end), "c": array(1), "d": array(step)}
    whole = model([node("Slice", "x a b c d", "y")], inputs={"x": (2, size)}, weights=weights)
    assert inferred(whole)["y"] == np.zeros((2, size))[:, start:end:step].shape
