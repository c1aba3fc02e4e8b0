"""Every ONNX operator becomes what the table says, with the inputs that are data or weights."""

import numpy as np
import onnx
import pytest

from archflow.importers import onnx_operators
from archflow.importers.vocabulary import NAMES, NEGATE
from importers.onnx_graphs import NEWEST, model, node

IMAGE, TOKENS = {"x": (1, 6, 8, 8)}, {"x": (2, 5, 8)}
W = {"w": (4, 6, 3, 3)}
INT8 = np.ones((4, 6, 3, 3), dtype=np.int8)
SCALE, POINT = np.float32(0.1), np.uint8(3)
QUANTISED = {"s": SCALE, "z": POINT, "w": INT8, "t": np.int8(0)}

# (node, inputs, weights, operation or None where nothing is left, parameters)
CASES = [
    (node("Conv", "x w", "y"), IMAGE, W, "conv", 216),
    (node("Conv", "x w", "y", group=6), IMAGE, {"w": (12, 1, 3, 3)}, "depthwise_conv", 108),
    (node("Conv", "x w", "y", group=2), IMAGE, {"w": (4, 3, 3, 3)}, "conv", 108),
    (node("ConvTranspose", "x w b", "y"), IMAGE, {"w": (6, 4, 3, 3), "b": (4,)}, "transposed_conv", 220),
    (node("ConvInteger", "x w", "y"), IMAGE, {"w": INT8}, "conv", 216),
    (node("QLinearConv", "x s z w s t s z", "y"), IMAGE, QUANTISED, "conv", 216),
    (
        node("QLinearMatMul", "x s z w s t s z", "y"),
        TOKENS,
        {**QUANTISED, "w": INT8[:, :, 0, 0].repeat(2, 0)},
        "linear",
        48,
    ),
    (node("MatMulInteger", "x w", "y"), TOKENS, {"w": np.ones((8, 2), np.int8)}, "linear", 16),
    (
        node("DeformConv", "x w o b", "y"),
        {**IMAGE, "o": (1, 18, 6, 6)},
        {**W, "b": (4,)},
        "deformable_conv",
        220,
    ),
    (node("MatMul", "x x", "y"), {"x": (5, 5)}, {}, "matmul", 0),
    (node("Gemm", "x x b", "y"), {"x": (5, 5)}, {"b": (5,)}, "matmul", 5),
    (node("Einsum", "x x", "y", equation="bij,bkj->bik"), TOKENS, {}, "matmul", 0),
    (node("Einsum", "x", "y", equation="bij->bji"), TOKENS, {}, None, 0),
    (node("Einsum", "x", "y", equation="bij->b"), TOKENS, {}, "sum", 0),
    (node("Gather", "w x", "y"), {"x": (1, 7)}, {"w": (20, 6)}, "embedding", 120),
    (node("Gather", "w x", "y", axis=1), {"x": (1, 7)}, {"w": (20, 6)}, "gather", 120),
    (node("Gather", "x i", "y"), TOKENS, {"i": np.array(1)}, "slice", 0),
    (node("Gather", "x x", "y"), TOKENS, {}, "gather", 0),
    (node("GatherElements", "x x", "y"), TOKENS, {}, "gather", 0),
    (node("BatchNormalization", "x w w m m", "y"), IMAGE, {"w": (6,), "m": (6,)}, "batch_norm", 6),
    (node("InstanceNormalization", "x w v", "y"), IMAGE, {"w": (6,), "v": (6,)}, "instance_norm", 12),
    (node("GroupNormalization", "x w v", "y", num_groups=3), IMAGE, {"w": (6,), "v": (6,)}, "group_norm", 12),
    (node("LayerNormalization", "x w", "y"), TOKENS, {"w": (8,)}, "layer_norm", 8),
    (node("RMSNormalization", "x w", "y"), TOKENS, {"w": (8,)}, "rms_norm", 8),
    (node("MeanVarianceNormalization", "x", "y"), IMAGE, {}, "instance_norm", 0),
    (node("LpNormalization", "x", "y"), TOKENS, {}, "l2_norm", 0),
    (node("LRN", "x", "y", size=3), IMAGE, {}, "local_response_norm", 0),
    (node("PRelu", "x w", "y"), IMAGE, {"w": (6, 1, 1)}, "prelu", 6),
    (node("AveragePool", "x", "y", kernel_shape=[2, 2]), IMAGE, {}, "average_pool", 0),
    (node("AveragePool", "x", "y", kernel_shape=[8, 8]), IMAGE, {}, "global_average_pool", 0),
    (node("GlobalAveragePool", "x", "y"), IMAGE, {}, "global_average_pool", 0),
    (node("ReduceMean", "x a", "y"), IMAGE, {"a": np.array([-1, -2])}, "global_average_pool", 0),
    (node("ReduceMean", "x a", "y"), IMAGE, {"a": np.array([1])}, "mean", 0),
    (node("ReduceMean", "x a", "y"), TOKENS, {"a": np.array([1])}, "mean", 0),
    (node("Clip", "x", "y"), IMAGE, {}, None, 0),
    (node("Clip", "x a b", "y"), IMAGE, {"a": np.float32(-1), "b": np.float32(1)}, "clip", 0),
    (node("Clip", "x a b", "y"), IMAGE, {"a": np.float32(0), "b": np.float32(np.inf)}, "relu", 0),
    (node("Sum", "x x x", "y"), IMAGE, {}, "add", 0),
    (node("Sum", "x", "y"), IMAGE, {}, None, 0),
    (node("Mean", "x x x", "y"), IMAGE, {}, "add", 0),
    (node("Max", "x x x", "y"), IMAGE, {}, "maximum", 0),
    (node("Pow", "x e", "y"), IMAGE, {"e": np.float32(1)}, None, 0),
    (node("Pow", "x x", "y"), IMAGE, {}, "power", 0),
    (node("Concat", "x", "y", axis=1), IMAGE, {}, None, 0),
    (node("Dropout", "x", "y"), IMAGE, {}, None, 0),
    (node("QuantizeLinear", "x s z", "y"), IMAGE, QUANTISED, None, 0),
    (node("DepthToSpace", "x", "y", blocksize=2), {"x": (1, 4, 2, 2)}, {}, None, 0),
    (node("Resize", "x  s", "y"), IMAGE, {"s": np.float32([1, 1, 2, 2])}, "resize", 0),
    (node("Where", "x x low", "y"), IMAGE, {"low": np.float32(-1e9)}, "where", 0),
    (node("LSTM", "x w r", "y", hidden_size=4), TOKENS, {"w": (1, 16, 8), "r": (1, 16, 4)}, "lstm", 192),
    (node("Det", "x", "y"), TOKENS, {}, "onnx.Det", 0),
]


@pytest.mark.parametrize(("proto", "inputs", "weights", "operation", "parameters"), CASES)
def test_operators(read, proto, inputs, weights, operation, parameters):
    """The tanh keeps input and output apart where nothing is left between them."""
    proto = onnx.NodeProto.FromString(proto.SerializeToString())
    after = node("Tanh", proto.output[0], "end")
    network = read(model([proto, after], inputs=inputs, outputs="end", weights=weights, opset=NEWEST))
    inner = [name for name in network.architecture.operations if name not in ("input", "output")]
    assert inner == [*([operation] if operation else []), "tanh"]
    assert network.report.parameters == parameters
    assert network.report.unknown == ({operation: 1} if operation and operation not in NAMES else {})


MICROSOFT = [
    (node("QuickGelu", "x", "y", domain="com.microsoft"), {}, "gelu", 0),
    (node("BiasGelu", "x b", "y", domain="com.microsoft"), {"b": (8,)}, "gelu", 8),
    (node("FusedMatMul", "x w", "y", domain="com.microsoft"), {"w": (8, 3)}, "linear", 24),
    (node("MultiHeadAttention", "x x x", "y", domain="com.microsoft", num_heads=2), {}, "attention", 0),
    (
        node("MultiHeadAttention", "x x x b", "y", domain="com.microsoft", num_heads=2),
        {"b": (24,)},
        "attention",
        24,
    ),
    (node("SimplifiedLayerNormalization", "x w", "y", domain="com.microsoft"), {"w": (8,)}, "rms_norm", 8),
    (node("MoE", "x w", "y", domain="com.microsoft"), {"w": (8, 3)}, "com.microsoft.MoE", 24),
    (node("Relu", "x", "y", domain="my domain;own>"), {}, "my_domain_own_.Relu", 0),
    (node("Relu", "x", "y", domain="ai.onnx"), {}, "relu", 0),
]


@pytest.mark.parametrize(("proto", "weights", "operation", "parameters"), MICROSOFT)
def test_other_domains(read, proto, weights, operation, parameters):
    network = read(model([proto], inputs=TOKENS, weights=weights, domains=[proto.domain]))
    assert network.architecture.operations == ("input", operation, "output")
    assert network.report.parameters == parameters


def test_unary_operators_keep_their_one_edge(read):
    """Whatever the table maps by name alone: one input, one output, a name of the vocabulary."""
    by_name = {name for name, rule in onnx_operators._OPERATORS.items() if rule in NAMES or rule == NEGATE}
    assert len(by_name) > 60
    for name in sorted(by_name - {"Slice"}):  # without starts and ends it takes everything
        network = read(model([node(name, "x", "a"), node("Tanh", "a", "y")], opset=NEWEST))
        rule = onnx_operators._OPERATORS[name]
        assert network.architecture.operations[1:-1] == ((rule, "tanh") if rule in NAMES else ("tanh",))


def test_every_operator_of_onnx_is_known_or_reported(read):
    """None is dropped in silence: each is mapped, or keeps its own name."""
    names = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    control = {"If", "Loop", "Scan", "SequenceMap"}
    unmapped = names - set(onnx_operators._OPERATORS) - control - {"Constant"}
    assert {"Conv", "Gemm", "Attention"}.isdisjoint(unmapped)
    for name in sorted(unmapped):
        network = read(model([node(name, "x", "y")], opset=NEWEST))
        assert network.report.unknown == {f"onnx.{name}": 1}


def test_each_piece_of_a_split_is_a_slice(read):
    nodes = [node("Split", "x", "a b c", axis=1), node("Concat", "a c", "y", axis=1)]
    network = read(model(nodes))
    assert network.architecture.operations == ("input", "slice", "slice", "concatenate", "output")
    assert network.report.dropped == 1


def test_quantisation_in_the_middle_is_removed(read):
    """Data is rounded, the weights are stored as small integers: still one linear map."""
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("MatMulInteger", "q w z", "i"),
        node("Cast", "i", "f", to=1),
        node("Mul", "s ws", "scale"),
        node("Mul", "f scale", "g"),
        node("Add", "g b", "y"),
    ]
    weights = {"w": np.ones((8, 4), np.int8), "ws": np.float32(0.1), "b": (4,)}
    network = read(model(nodes, inputs=TOKENS, weights=weights))
    assert network.architecture.operations == ("input", "linear", "output")
    assert network.report.parameters == 36


def test_weights_that_are_computed_are_counted_where_they_come_from(read):
    """Half precision, transposed, normalised: the linear map owns what is stored."""
    nodes = [
        node("Cast", "w", "w32", to=1),
        node("Transpose", "w32", "wt"),
        node("Mul", "wt g", "v"),
        node("MatMul", "x v", "y"),
    ]
    weights = {"w": np.ones((3, 8), np.float16), "g": (1, 3)}
    network = read(model(nodes, inputs=TOKENS, weights=weights))
    assert network.architecture.operations == ("input", "linear", "output")
    assert network.report.parameters == 27
    assert network.report.removed == 3
    assert dict(network.architecture.attributes)["channels"] == (8, 3, 0)


def test_initial_states_enter_where_they_are_data(read):
    weights = {"w": (1, 16, 8), "r": (1, 16, 4), "h": (1, 5, 4)}
    data = node("LSTM", "x w r   s", "y", hidden_size=4)
    network = read(model([data], inputs={**TOKENS, "s": (1, 5, 4)}, weights=weights))
    assert network.architecture.edges == ((0, 2), (1, 2), (2, 3))
    constant = node("LSTM", "x w r   h", "y", hidden_size=4)
    network = read(model([constant], inputs=TOKENS, weights=weights))
    assert network.architecture.edges == ((0, 1), (1, 2))
    assert network.report.parameters == 192
