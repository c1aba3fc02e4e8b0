"""Each pattern computes what its name says, is folded to that name, and near misses are left alone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator
from torch.nn import functional as F

from archflow.importers import OperatorGraph
from importers.onnx_graphs import model, node

X = {"x": (2, 5, 8)}
NUMBERS = {
    "half": np.float32(0.5),
    "one": np.float32(1),
    "two": np.float32(2),
    "three": np.float32(3),
    "six": np.float32(6),
    "zero": np.float32(0),
    "sixth": np.float32(1 / 6),
    "eps": np.float32(1e-5),
    "root2": np.float32(2**0.5),
    "quick": np.float32(1.702),
    "cubic": np.float32(0.044715),
    "width": np.float32((2 / np.pi) ** 0.5),
}


def steps(text, **attributes):
    """Read `Op in in > out; ...` as nodes; attributes go by operator."""
    nodes = []
    for step in text.split(";"):
        call, _, made = step.partition(">")
        operator, *inputs = call.split()
        nodes.append(node(operator, " ".join(inputs), made.strip(), **attributes.get(operator, {})))
    return nodes


def gelu(x):
    return F.gelu(x)


def gelu_tanh(x):
    return F.gelu(x, approximate="tanh")


def rms_norm(x):
    return F.rms_norm(x, (8,), eps=1e-5)


def layer_norm(x):
    return F.layer_norm(x, (8,), eps=1e-5)


LAST = {"ReduceMean": {"axes": [-1]}, "ReduceSum": {"axes": [-1]}, "ReduceL2": {"axes": [-1]}}
PATTERNS = [
    ("gelu", gelu, "Div x root2 > a; Erf a > b; Add b one > c; Mul x c > d; Mul d half > y"),
    ("gelu", gelu, "Div x root2 > a; Erf a > b; Add one b > c; Mul x half > d; Mul d c > y"),
    ("gelu", gelu, "Div x root2 > a; Erf a > b; Add b one > c; Mul half c > d; Mul d x > y"),
    (
        "gelu",
        gelu_tanh,
        "Pow x three > a; Mul a cubic > b; Add x b > c; Mul c width > d; Tanh d > e; Add e one > f; "
        "Mul x f > g; Mul g half > y",
    ),
    (
        "gelu",
        gelu_tanh,
        "Mul x x > a; Mul a x > b; Mul cubic b > c; Add c x > d; Mul width d > e; Tanh e > f; Add one f > g; "
        "Mul x half > h; Mul h g > y",
    ),
    (
        "gelu",
        gelu_tanh,
        "Mul x x > a; Mul a cubic > b; Add b one > c; Mul x width > d; Mul d c > e; Tanh e > f; "
        "Add f one > g; Mul x half > h; Mul h g > y",
    ),
    ("gelu", lambda x: x * torch.sigmoid(1.702 * x), "Mul x quick > a; Sigmoid a > b; Mul b x > y"),
    ("silu", F.silu, "Sigmoid x > a; Mul x a > y"),
    ("silu", F.silu, "Sigmoid x > a; Mul a x > y"),
    ("mish", F.mish, "Softplus x > a; Tanh a > b; Mul x b > y"),
    ("softsign", F.softsign, "Abs x > a; Add a one > b; Div x b > y"),
    ("relu", F.relu, "Max x zero > y"),
    ("relu", F.relu, "Clip x zero > y"),
    ("relu6", F.relu6, "Clip x zero six > y"),
    ("relu6", F.relu6, "Relu x > a; Min a six > y"),
    ("hard_sigmoid", F.hardsigmoid, "Add x three > a; Clip a zero six > b; Div b six > y"),
    ("hard_sigmoid", F.hardsigmoid, "Mul x sixth > a; Add a half > b; Clip b zero one > y"),
    ("hard_swish", F.hardswish, "Add x three > a; Clip a zero six > b; Div b six > c; Mul x c > y"),
    ("hard_swish", F.hardswish, "Add x three > a; Clip a zero six > b; Mul x b > c; Div c six > y"),
    (
        "hard_swish",
        F.hardswish,
        "Add three x > a; Relu a > b; Min b six > c; Mul x c > d; Mul d sixth > y",
    ),
    (
        "rms_norm",
        rms_norm,
        "Pow x two > a; ReduceMean a > b; Add b eps > c; Sqrt c > d; Div x d > y",
    ),
    (
        "rms_norm",
        rms_norm,
        "Mul x x > a; ReduceMean a > b; Add b eps > c; Sqrt c > d; Reciprocal d > e; Mul x e > y",
    ),
    (
        "rms_norm",
        rms_norm,
        "Pow x two > a; ReduceMean a > b; Add b eps > c; Sqrt c > d; Div one d > e; Mul e x > y",
    ),
    (
        "layer_norm",
        layer_norm,
        "ReduceMean x > a; Sub x a > b; Pow b two > c; ReduceMean c > d; Add d eps > e; "
        "Sqrt e > f; Div b f > y",
    ),
    (
        "layer_norm",
        layer_norm,
        "ReduceMean x > a; Sub x a > b; Sub x a > b2; Mul b2 b2 > c; ReduceMean c > d; Add d eps > e; "
        "Sqrt e > f; Reciprocal f > g; Mul b g > y",
    ),
    ("l2_norm", lambda x: F.normalize(x, dim=-1), "ReduceL2 x > a; Max a eps > b; Div x b > y"),
    (
        "l2_norm",
        lambda x: F.normalize(x, dim=-1),
        "Mul x x > a; ReduceSum a > b; Sqrt b > c; Div x c > y",
    ),
    ("power", torch.square, "Mul x x > y"),
    ("sqrt", torch.sqrt, "Pow x half > y"),
]


def written(text, **options):
    return model(steps(text, **LAST), inputs=X, weights=NUMBERS, opset=12, **options)


@pytest.mark.parametrize(("name", "meaning", "text"), PATTERNS)
def test_a_pattern_becomes_the_operation_that_it_computes(read, name, meaning, text):
    proto = written(text)
    x = np.random.default_rng(0).normal(size=X["x"]).astype(np.float32) * 3
    x = np.abs(x) if name == "sqrt" else x
    (computed,) = ReferenceEvaluator(proto).run(None, {"x": x})
    np.testing.assert_allclose(computed, meaning(torch.from_numpy(x)).numpy(), rtol=1e-3, atol=1e-4)
    network = read(proto)
    assert network.architecture.operations == ("input", name, "output")
    assert network.architecture.edges == ((0, 1), (1, 2))
    report = network.report
    assert report.read == 1 + report.removed + report.folded


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ({"sigmoid", "multiply"}, "Sigmoid x > a; Mul z a > y"),
        ({"sigmoid", "multiply"}, "Add x three > a; Sigmoid a > b; Mul x b > y"),
        ({"erf", "multiply"}, "Erf x > a; Mul z a > y"),
        ({"power", "add", "tanh", "multiply"}, "Mul x x > a; Add a x > b; Tanh b > c; Mul x c > y"),
        ({"relu6"}, "Add x two > a; Clip a zero six > y"),
        ({"clip", "relu", "add"}, "Relu x > a; Min a six > b; Add a b > y"),
        ({"clip"}, "Clip x zero one > y"),
        ({"clip", "relu"}, "Relu x > a; Mul a two > b; Min b six > y"),
        ({"clip"}, "Max x one > y"),
        ({"maximum"}, "Max x z > y"),
        ({"divide", "mean", "power", "sqrt"}, "Mul x x > a; ReduceMean a > b; Sqrt b > c; Div z c > y"),
        ({"divide", "mean", "sqrt", "absolute"}, "Abs x > a; ReduceMean a > b; Sqrt b > c; Div x c > y"),
        (
            {"divide", "mean", "power", "sqrt", "subtract"},
            "ReduceMean z > a; Sub x a > b; Mul x x > c; ReduceMean c > d; Sqrt d > e; Div b e > y",
        ),
        ({"divide", "norm"}, "ReduceL2 x > a; Div z a > y"),
        ({"absolute", "divide"}, "Abs z > a; Add a one > b; Div x b > y"),
        ({"matmul", "softmax"}, "Softmax x > a; MatMul a z > y"),
    ],
)
def test_near_misses_keep_their_operators(read, names, text):
    shapes = {"x": (2, 8, 8), "z": (2, 8, 8)}
    used = {name: shape for name, shape in shapes.items() if f" {name} " in text}
    network = read(model(steps(text, **LAST), inputs=used, weights=NUMBERS, opset=12))
    assert set(network.architecture.operations) - {"input", "output"} == names


def test_what_something_else_uses_stays_beside_the_fold(read):
    network = read(model(steps("Sigmoid x > s; Mul x s > a; Tanh s > b; Add a b > y"), inputs=X, opset=12))
    assert network.architecture.operations == ("input", "sigmoid", "silu", "tanh", "add", "output")


@pytest.mark.parametrize("opset", [11, 13, 17, 18])
def test_an_image_norm_is_an_instance_norm(read, opset):
    """Over all positions of an image the same steps normalise each channel."""
    axes = {"axes": [2, 3]} if opset < 18 else {}
    names = {"axes": np.array([2, 3])} if opset >= 18 else {}
    mean = "ReduceMean {} > {}" if opset < 18 else "ReduceMean {} axes > {}"
    text = (
        f"{mean.format('x', 'a')}; Sub x a > b; Mul b b > c; {mean.format('c', 'd')}; Sqrt d > e; Div b e > y"
    )
    network = read(model(steps(text, ReduceMean=axes), weights=names, opset=opset))
    assert network.architecture.operations == ("input", "instance_norm", "output")


@pytest.mark.parametrize(
    ("text", "weights", "operations", "parameters"),
    [
        ("MatMul x w > a; Add a b > y", {"w": (8, 4), "b": (4,)}, ["linear"], 36),
        ("MatMul x w > a; Add b a > y", {"w": (8, 4), "b": (4,)}, ["linear"], 36),
        ("MatMul x w > a; Sub a b > y", {"w": (8, 4), "b": (4,)}, ["linear"], 36),
        ("MatMul x w > a; Add a b > y", {"w": (8, 4), "b": (5, 4)}, ["linear", "bias"], 52),
        (
            "MatMul x w > a; Add a b > c; Add c b2 > y",
            {"w": (8, 4), "b": (4,), "b2": (4,)},
            ["linear", "bias"],
            40,
        ),
        ("Add x b > y", {"b": (5, 8)}, ["bias"], 40),
        ("Mul x b > y", {"b": (8,)}, ["scale"], 8),
        ("Div x b > y", {"b": (8,)}, ["scale"], 8),
        ("Div b x > y", {"b": (8,)}, ["reciprocal"], 8),
        ("Add x b > y", {"b": (1,)}, [], 0),
        ("Mul x b > a; Add a b > y", {"b": ()}, [], 0),
        ("Neg x > a; Sub one a > b; Relu b > y", {}, ["relu"], 0),
    ],
)
def test_arithmetic_with_constants(read, text, weights, operations, parameters):
    network = read(model(steps(text), inputs=X, weights={"one": np.float32(1), **weights}, opset=12))
    assert list(network.architecture.operations[1:-1]) == operations
    assert network.report.parameters == parameters


def test_a_bias_of_a_map_that_something_else_uses_stays_apart(read):
    text = "MatMul x w > a; Add a b > c; Mul a c > y"
    network = read(model(steps(text), inputs=X, weights={"w": (8, 4), "b": (4,)}))
    assert network.architecture.operations == ("input", "linear", "bias", "multiply", "output")


def test_a_bias_behind_a_scaling_is_taken_in_unless_something_branches_off(read):
    text = "MatMul x w > a; Mul a half > c; Add c b > d"
    weights = {"w": (8, 4), "b": (4,), "half": np.float32(0.5)}
    network = read(model(steps(f"{text}; Tanh d > y"), inputs=X, weights=weights))
    assert network.architecture.operations == ("input", "linear", "tanh", "output")
    network = read(model(steps(f"{text}; Sub d c > y"), inputs=X, weights=weights))
    assert network.architecture.operations == ("input", "linear", "bias", "subtract", "output")


def test_a_bias_of_a_convolution(read):
    text = "Conv x w > a; Add a b > y"
    network = read(model(steps(text), weights={"w": (4, 3, 3, 3), "b": (1, 4, 1, 1)}))
    assert network.architecture.operations == ("input", "conv", "output")
    assert network.report.parameters == 4 * 27 + 4


@pytest.mark.parametrize("opset", [11, 14, 17])
def test_a_norm_takes_in_its_scale_and_bias(read, opset):
    text = (
        "ReduceMean x > a; Sub x a > b; Pow b two > c; ReduceMean c > d; Add d eps > e; Sqrt e > f; "
        "Div b f > g; Mul w g > h; Add h v > i; Add i positions > y"
    )
    weights = {**NUMBERS, "w": (8,), "v": (8,), "positions": (5, 8)}
    network = read(model(steps(text, **LAST), inputs=X, weights=weights, opset=opset))
    assert network.architecture.operations == ("input", "layer_norm", "bias", "output")
    assert dict(network.architecture.attributes)["parameters"] == (0, 16, 40, 0)


def test_a_group_norm_written_as_an_instance_norm(read):
    text = (
        "Reshape x groups > a; InstanceNormalization a ones zeros > b; Shape x > s; Reshape b s > c; "
        "Mul c w > d; Add d v > y"
    )
    weights = {
        "groups": np.array([0, 2, -1]),
        "ones": (2,),
        "zeros": np.zeros(2, np.float32),
        "w": (6, 1, 1),
        "v": (6, 1, 1),
    }
    network = read(model(steps(text), inputs={"x": (1, 6, 4, 4)}, weights=weights))
    assert network.architecture.operations == ("input", "group_norm", "output")
    numbers = dict(network.architecture.attributes)
    assert numbers["groups"] == (0, 2, 0)
    assert numbers["parameters"] == (0, 12, 0)
    assert numbers["channels"] == (6, 6, 0)


ATTENTION = {
    "plain": "MatMul q k > s; Softmax s > p; MatMul p v > y",
    "scaled scores": "MatMul q k > s; Div s eight > t; Softmax t > p; MatMul p v > y",
    "scaled inputs": "Mul q half > a; Mul k half > b; MatMul a b > s; Softmax s > p; MatMul p v > y",
    "constant mask": "MatMul q k > s; Add s mask > t; Softmax t > p; MatMul p v > y",
    "mask by where": "MatMul q k > s; Where chosen s low > t; Softmax t > p; MatMul p v > y",
    "guarded": "MatMul q k > s; Softmax s > p; IsNaN p > n; Where n zero p > r; MatMul r v > y",
    "dropout": "MatMul q k > s; Softmax s > p; Dropout p > r; MatMul r v > y",
    "shifted and capped": "MatMul q k > s; Add s mask > t; Max t low > u; Softmax u > p; MatMul p v > y",
}
HEADS = {"q": (1, 2, 5, 4), "k": (1, 2, 4, 7), "v": (1, 2, 7, 3)}
MASKS = {
    "eight": np.float32(8),
    "half": np.float32(0.5),
    "mask": (5, 7),
    "low": np.float32(-1e9),
    "zero": np.float32(0),
    "chosen": np.ones((5, 7), dtype=bool),
}


@pytest.mark.parametrize("text", ATTENTION.values(), ids=ATTENTION)
def test_attention(read, text):
    network = read(model(steps(text, Softmax={"axis": -1}), inputs=HEADS, weights=MASKS))
    assert network.architecture.operations == ("input",) * 3 + ("attention", "output")
    assert network.architecture.edges == ((0, 3), (1, 3), (2, 3), (3, 4))
    numbers = {name: values[3] for name, values in network.architecture.attributes}
    scores = 2 * 5 * 7  # of two heads
    assert numbers == {"heads": 2, "channels": 6, "positions": 5, "flops": 2 * scores * 4 + 2 * scores * 3}
    assert network.report.parameters == 0


def test_a_mask_that_is_data_enters_the_attention(read):
    text = "MatMul q k > s; Mul m low > n; Add s n > t; Softmax t > p; MatMul p v > y"
    network = read(model(steps(text), inputs={**HEADS, "m": (5, 7)}, weights=MASKS))
    assert network.architecture.operations == ("input",) * 4 + ("attention", "output")
    assert network.architecture.edges == ((0, 4), (1, 4), (2, 4), (3, 4), (4, 5))


def test_attention_whose_weights_come_second(read):
    """Values times the transposed weights, as in networks that keep channels first."""
    text = "MatMul q k > s; Softmax s > p; Transpose p > r; MatMul v r > y"
    shapes = {"q": (1, 2, 5, 4), "k": (1, 2, 4, 7), "v": (1, 2, 3, 7)}
    network = read(model(steps(text, Transpose={"perm": [0, 1, 3, 2]}), inputs=shapes))
    assert "attention" in network.architecture.operations
    assert dict(network.architecture.attributes)["channels"][3] == 6


def test_weights_that_are_returned_too_stay_beside_the_attention(read):
    network = read(model(steps("MatMul q k > s; Softmax s > p; MatMul p v > y"), inputs=HEADS, outputs="y p"))
    assert sorted(network.architecture.operations[3:-1]) == ["attention", "matmul", "softmax"]


@pytest.mark.parametrize(
    "text",
    [
        "Split x > a b; Concat b a > y",  # a roll
        "Split x > a b; Neg b > c; Concat c a > y",  # half a turn, as in rotary embeddings
        "Slice x zero end > y",  # everything
    ],
)
def test_moves_are_removed(read, text):
    weights = {"zero": np.array([0]), "end": np.array([99])}
    attributes = {"Split": {"axis": 1}, "Concat": {"axis": 1}}
    network = read(
        model(steps(f"{text[:-1]}z; Relu z > y", **attributes), inputs={"x": (1, 4, 8)}, weights=weights)
    )
    assert network.architecture.operations == ("input", "relu", "output")


def test_half_twice_is_no_roll(read):
    attributes = {"Split": {"axis": 1}, "Concat": {"axis": 1}}
    network = read(model(steps("Split x > a b; Concat a a > y", **attributes), inputs={"x": (1, 4, 8)}))
    assert network.architecture.operations == ("input", "slice", "concatenate", "output")


def test_a_piece_of_a_piece_is_one_slice(read):
    weights = {"zero": np.array([0]), "two": np.array([2]), "first": np.array([1]), "second": np.array([2])}
    text = "Slice x zero two first > a; Slice a zero two second > y"
    network = read(model(steps(text), inputs={"x": (1, 4, 8)}, weights=weights))
    assert network.architecture.operations == ("input", "slice", "output")
    assert network.report.folded == 1


CHAIN = "Conv x w > a; BatchNormalization a g g g g > b; Relu b > c; Conv c v > d; Relu d > e; MaxPool e > y"
CHAIN_WEIGHTS = {"w": (4, 3, 3, 3), "g": (4,), "v": (4, 4, 1, 1)}


def test_chains_are_fused_where_asked(read):
    proto = model(steps(CHAIN, MaxPool={"kernel_shape": [2, 2]}), weights=CHAIN_WEIGHTS)
    apart, fused = read(proto).architecture, read(proto, fuse=True).architecture
    assert apart.operations == ("input", "conv", "batch_norm", "relu", "conv", "relu", "max_pool", "output")
    assert fused.operations == ("input", "conv_relu", "conv_relu", "max_pool", "output")
    for name, values in fused.attributes:  # nothing is lost, but of batch norms and activations
        assert sum(values) == sum(dict(apart.attributes)[name]) or name in ("channels", "positions")
    assert dict(fused.attributes)["parameters"] == (0, 4 * 27 + 4, 16, 0, 0)


def test_files_with_and_without_folded_batch_norms_fuse_to_the_same(read):
    without = "Conv x w g > b; Relu b > c; Conv c v > d; Relu d > e; MaxPool e > y"
    attributes = {"MaxPool": {"kernel_shape": [2, 2]}}
    left = read(model(steps(CHAIN, **attributes), weights=CHAIN_WEIGHTS), fuse=True)
    right = read(model(steps(without, **attributes), weights=CHAIN_WEIGHTS), fuse=True)
    assert left.architecture.operations == right.architecture.operations
    assert left.architecture.edges == right.architecture.edges


def test_branches_are_not_fused(read):
    text = "Conv x w > a; Relu a > b; Tanh a > c; Add b c > y"
    network = read(model(steps(text), weights={"w": (4, 3, 3, 3)}), fuse=True)
    assert network.architecture.operations == ("input", "conv", "relu", "tanh", "add", "output")


def test_repeated_blocks_stay_as_many(read):
    text = "; ".join(f"Conv v{i} w > u{i}; Relu u{i} > v{i + 1}" for i in range(5))
    network = read(
        model(steps(text), inputs={"v0": (1, 3, 8, 8)}, outputs="v5", weights={"w": (3, 3, 1, 1)}), fuse=True
    )
    assert network.architecture.operations == ("input", *["conv_relu"] * 5, "output")
    assert dict(network.architecture.attributes)["parameters"] == (0, 9, 0, 0, 0, 0, 0)


JOINS = ("add", "multiply", "subtract", "concatenate")
SINGLES = ("relu", "sigmoid", "tanh", "softmax", "sqrt", "slice", "mean", "exp")


@st.composite
def graphs(draw):
    """Draw operators over values 0, 1, ..., the first of them an input."""
    made = []
    for place in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(JOINS + SINGLES))
        count = 2 if kind in JOINS else 1
        made.append((kind, [draw(st.integers(0, place)) for _ in range(count)]))
    return made


def filled(operators, detour):
    graph = OperatorGraph("drawn")
    graph.add_input("0", (1, 4, 8))
    graph.add_constant("number", (), number=2.0)
    for place, (kind, inputs) in enumerate(operators):
        values = [str(value) for value in inputs]
        for position, value in enumerate(values):
            move = detour.get((place, position))
            if move is not None:
                values[position] = f"{place}.{position}"
                graph.add(move, [value, "number"][: 2 if move != "view" else 1], [values[position]])
        graph.add(kind, values, [str(place + 1)])
    graph.add_output(str(len(operators)))
    return graph


@settings(max_examples=60)
@given(graphs(), st.data())
def test_views_and_scalings_change_nothing(operators, data):
    """Except in the patterns that they are part of, which no drawn operator is."""
    operators = [(kind, inputs) for kind, inputs in operators if kind != "multiply"] or [("relu", [0])]
    operators = [
        (kind, [min(value, place) for value in inputs]) for place, (kind, inputs) in enumerate(operators)
    ]
    places = [
        (place, position) for place, (_, inputs) in enumerate(operators) for position in range(len(inputs))
    ]
    detour = data.draw(
        st.dictionaries(st.sampled_from(places), st.sampled_from(["view", "multiply", "divide"]))
    )
    plain = filled(operators, {}).to_network()
    moved = filled(operators, detour).to_network()
    assert moved.architecture == plain.architecture
    assert (
        moved.report.removed
        == plain.report.removed + len(detour) - moved.report.dropped + plain.report.dropped
    )


@settings(max_examples=60)
@given(graphs())
def test_every_operator_is_accounted_for(operators):
    network = filled(operators, {}).to_network()
    report = network.report
    kept = len(network.architecture.operations) - 2
    assert report.read == kept + report.removed + report.folded + report.dropped
