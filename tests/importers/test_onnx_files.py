"""Whole ONNX files: every operator set, external data, control flow, functions, and bad files."""

import os
import sys
import time

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from archflow.errors import InvalidArchitectureError, UnknownNameError, UsageError
from archflow.importers import onnx_files, read_onnx
from importers.onnx_graphs import NEWEST, model, node, tensor

NETWORK = [
    node("Conv", "x w1", "a", pads=[1, 1, 1, 1]),
    node("BatchNormalization", "a g g g g", "b"),
    node("Relu", "b", "c"),
    node("Conv", "c w2 b2", "d"),
    node("Add", "c d", "e"),
    node("MaxPool", "e", "f", kernel_shape=[2, 2], strides=[2, 2]),
    node("GlobalAveragePool", "f", "h"),
    node("Flatten", "h", "i"),
    node("Dropout", "i", "j"),
    node("Gemm", "j w3 b3", "k", transB=1),
    node("Softmax", "k", "y"),
]
WEIGHTS = {"w1": (4, 3, 3, 3), "g": (4,), "w2": (4, 4, 1, 1), "b2": (4,), "w3": (5, 4), "b3": (5,)}
OPERATIONS = (
    "input",
    "conv",
    "batch_norm",
    "relu",
    "conv",
    "add",
    "max_pool",
    "global_average_pool",
    "linear",
)
EDGES = ((0, 1), (1, 2), (2, 3), (3, 4), (3, 5), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9), (9, 10))
TANH = [node("Tanh", "x", "y")]


@pytest.mark.parametrize("opset", range(11, NEWEST + 1))
def test_every_operator_set(read, opset):
    network = read(model(NETWORK, weights=WEIGHTS, opset=opset))
    assert network.architecture.operations == (*OPERATIONS, "softmax", "output")
    assert network.architecture.edges == EDGES
    attributes = dict(network.architecture.attributes)
    assert attributes["parameters"] == (0, 108, 4, 0, 20, 0, 0, 0, 25, 0, 0)
    assert attributes["channels"] == (3, 4, 4, 4, 4, 4, 4, 4, 5, 5, 0)
    assert attributes["positions"] == (64, 64, 64, 64, 64, 64, 16, 1, 1, 1, 0)
    report = network.report
    assert (report.read, report.removed, report.folded, report.dropped) == (11, 2, 0, 0)
    assert report.parameters == 157
    assert report.flops == 2 * (64 * 108 + 64 * 16 + 20)
    assert (report.unknown, report.control_flow, report.unknown_sizes, report.warnings) == ({}, 0, 0, ())


def test_older_operator_sets_are_read_with_a_warning(read):
    (warning,) = read(model(TANH, opset=9)).report.warnings
    assert "operator set 9 is older than 11" in warning


def test_attributes_can_be_chosen(read):
    network = read(model(NETWORK, weights=WEIGHTS), attributes=["kernel", "channels"])
    assert [name for name, _ in network.architecture.attributes] == ["channels", "kernel"]
    assert read(model(NETWORK, weights=WEIGHTS), attributes=[]).architecture.attributes == ()
    assert network.report.parameters == 157
    with pytest.raises(UnknownNameError, match="channels"):
        read(model(NETWORK, weights=WEIGHTS), attributes=["chanels"])


def test_nodes_may_stand_in_any_order(read):
    assert read(model(NETWORK[::-1], weights=WEIGHTS)).architecture == (
        read(model(NETWORK, weights=WEIGHTS)).architecture
    )


def test_open_sizes_are_closed_and_said(read):
    shapes = {"x": ("batch", 3, "height", "width"), "z": ("batch", "tokens", 8)}
    nodes = [node("Tanh", "x", "y"), node("Tanh", "z", "v")]
    network = read(model(nodes, inputs=shapes, outputs="y v"))
    assert dict(network.architecture.attributes)["positions"] == (224**2, 128, 224**2, 128, 0)
    (warning,) = network.report.warnings
    assert "'height' as 224" in warning
    assert "'tokens' as 128" in warning
    assert "batch" not in warning


def test_equal_names_of_sizes_are_equal(read):
    network = read(model([node("Add", "x z", "y")], inputs={"x": ("n", "n"), "z": ("n", 1)}))
    assert dict(network.architecture.attributes)["channels"][2] == 1
    assert network.report.unknown_sizes == 0


def test_shapes_in_the_file_help_behind_unknown_operators(read):
    nodes = [node("Twist", "x", "a", domain="own"), node("Relu", "a", "y")]
    plain = read(model(nodes, domains=["own"]))
    assert plain.report.unknown_sizes == 2
    told = read(model(nodes, domains=["own"], infos=[("a", (1, 6, 4, 4))]))
    assert told.report.unknown_sizes == 0
    assert dict(told.architecture.attributes)["positions"] == (64, 16, 16, 0)


def test_unknown_operators_are_kept_and_counted(read):
    nodes = [
        node("Twist", "x w", "a", domain="own.lab"),
        node("Twist", "a w", "b", domain="own.lab"),
        node("Det", "b", "y"),
    ]
    network = read(model(nodes, weights={"w": (3, 8)}, domains=["own.lab"]))
    assert network.architecture.operations == (
        "input",
        "own.lab.Twist",
        "own.lab.Twist",
        "onnx.Det",
        "output",
    )
    assert network.report.unknown == {"onnx.Det": 1, "own.lab.Twist": 2}
    assert network.report.parameters == 24
    assert "outside the vocabulary: 1 onnx.Det, 2 own.lab.Twist" in str(network.report)


# External data


def external(location):
    proto = model([node("MatMul", "x w", "y")], inputs={"x": (1, 8)}, weights={"w": (8, 4)})
    weight = proto.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "128")):
        weight.external_data.add(key=key, value=value)
    return proto


@pytest.mark.parametrize(
    "location", ["missing.bin", "../outside.bin", "/etc/passwd", "a/../../b", "", "x" * 10_000, "\x1b[2J"]
)
def test_external_data_is_reported_and_not_needed(read, location):
    report = read(external(location)).report
    assert report.parameters == 32
    assert report.flops == 64
    (shown,) = report.external_data
    assert len(shown) < 200
    assert shown.isprintable()
    assert shown in str(report)


def test_external_data_is_never_opened(read, tmp_path):
    """A pipe with nobody at its other end: whoever opens it waits for ever."""
    os.mkfifo(tmp_path / "pipe")
    small = external("pipe")
    small.graph.initializer[0].dims[:] = [1, 1]  # small enough that its numbers would be looked at
    small.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1
    for proto in (external("pipe"), small):
        assert read(proto).report.external_data == ("'pipe'",)


# Control flow


def body(nodes, outputs="r", weights=None, inputs=()):
    return helper.make_graph(
        nodes,
        "body",
        [helper.make_tensor_value_info(name, 1, None) for name in inputs],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs.split()],
        [tensor(name, value) for name, value in (weights or {}).items()],
    )


def test_if_is_one_node_with_what_its_branches_read(read):
    then = body([node("MatMul", "a w", "r")], weights={"w": (8, 8)})
    other = body([node("Mul", "b outer", "s"), node("Relu", "s", "r")])
    nodes = [
        node("Relu", "x", "a"),
        node("Sigmoid", "x", "b"),
        node("If", "c", "y", then_branch=then, else_branch=other),
    ]
    network = read(model(nodes, inputs={"x": (1, 8), "c": ()}, weights={"outer": (8,), "unused": (99,)}))
    assert network.architecture.operations == ("input", "input", "relu", "sigmoid", "if", "output")
    assert network.architecture.edges == ((0, 2), (0, 3), (1, 4), (2, 4), (3, 4), (4, 5))
    assert network.report.control_flow == 1
    assert network.report.parameters == 64 + 8
    assert "1 of control flow, each kept as one node" in str(network.report)


def test_subgraphs_in_subgraphs(read):
    inner = body([node("Add", "a deep", "t")], outputs="t", weights={"deep": (8,)})
    then = body([node("If", "c", "r", then_branch=inner, else_branch=inner)])
    nodes = [node("Relu", "x", "a"), node("If", "c", "y", then_branch=then, else_branch=then)]
    network = read(model(nodes, inputs={"x": (1, 8), "c": ()}))
    assert network.architecture.edges == ((0, 2), (1, 3), (2, 3), (3, 4))
    assert network.report.parameters == 4 * 8


def test_loop_and_scan(read):
    step = body(
        [node("Tanh", "carried", "r"), node("Identity", "go", "on")],
        outputs="on r",
        inputs=("trip", "go", "carried"),
    )
    network = read(model([node("Loop", "n  x", "y", body=step)], weights={"n": np.array(3)}))
    assert network.architecture.operations == ("input", "loop", "output")
    scan = body(
        [node("Add", "state item", "r"), node("Relu", "r", "out")], outputs="r out", inputs=("state", "item")
    )
    network = read(
        model([node("Scan", "x z", "y v", body=scan, num_scan_inputs=1)], inputs={"x": (8,), "z": (5, 8)})
    )
    assert network.architecture.edges == ((0, 2), (1, 2), (2, 3))


# Functions

IMPORTS = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]


def function(name, nodes, made="r"):
    return helper.make_function("own", name, ["a"], [made], nodes, IMPORTS)


def call(name, inputs, outputs):
    return node(name, inputs, outputs, domain="own")


def test_functions_are_inlined(read):
    swish = function("swish", [node("Sigmoid", "a", "s"), node("Mul", "a s", "r")])
    twice = function("twice", [call("swish", "a", "b"), call("swish", "b", "r")])
    proto = model([call("twice", "x", "y")], functions=[twice, swish], domains=["own"])
    network = read(proto)
    assert network.architecture.operations == ("input", "silu", "silu", "output")
    assert network.report.read == 4


def test_functions_that_call_themselves_are_refused(read):
    loop = [function("f", [call("g", "a", "r")]), function("g", [call("f", "a", "r")])]
    with pytest.raises(InvalidArchitectureError, match=r"function '[fg]' calls itself"):
        read(model([call("f", "x", "y")], functions=loop, domains=["own"]))


def test_functions_that_grow_without_end_are_refused(read):
    doubling = [function("f0", [node("Relu", "a", "r")])]
    doubling += [
        function(f"f{i + 1}", [call(f"f{i}", "a", "b"), call(f"f{i}", "b", "r")]) for i in range(200)
    ]
    with pytest.raises(InvalidArchitectureError, match="more than 200000 operators"):
        read(model([call("f200", "x", "y")], functions=doubling, domains=["own"]))


# What is no good


def message_of(path):
    """Return why a file is refused, "" where it is read; any other error fails the test."""
    try:
        read_onnx(path)
    except InvalidArchitectureError as error:
        return str(error)
    return ""


def refused(read, proto, match):
    with pytest.raises(InvalidArchitectureError, match=match) as caught:
        read(proto)
    message = str(caught.value)
    assert "network.onnx" in message
    assert len(message) < 1_000
    assert "\n" not in message


@pytest.mark.parametrize(
    ("nodes", "match"),
    [
        (
            [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Tanh", "b", "y")],
            r"a node \(Add\) lies on or",
        ),
        ([node("Add", "x a", "a", name="knot"), node("Tanh", "a", "y")], "'knot'.*cycle"),
        ([node("Relu", "nowhere", "y")], "reads 'nowhere', which nothing"),
        ([node("Relu", "x", "a")], "output 'y' is given by no"),
        ([node("Relu", "x", "y"), node("Tanh", "x", "y")], "'y' is given twice"),
        ([node("Relu", "x", "x"), node("Tanh", "x", "y")], "cycle|given twice"),
        ([node("Relu", "x", "w"), node("Tanh", "x", "y")], "'w' is given twice"),
        ([node("Relu", "w", "y")], "no input reaches an output"),
        ([node("Relu", "x" * 100_000, "y", name="n" * 100_000)], "reads 'xxx"),
    ],
)
def test_graphs_that_make_no_sense(read, nodes, match):
    refused(read, model(nodes, weights={"w": (3,)}), match)


def test_names_of_nodes_may_be_equal(read):
    nodes = [node("Relu", "x", "a", name="same"), node("Tanh", "a", "y", name="same")]
    assert read(model(nodes)).architecture.operations == ("input", "relu", "tanh", "output")


def test_equal_names_of_weights_or_inputs_are_refused(read):
    proto = model([node("Add", "x w", "y")], weights={"w": (3,)})
    proto.graph.initializer.append(proto.graph.initializer[0])
    refused(read, proto, "'w' is given twice")
    proto = model(TANH)
    proto.graph.input.append(proto.graph.input[0])
    refused(read, proto, "'x' is given twice")


def test_no_inputs_no_nodes_no_outputs(read):
    refused(read, model([node("Relu", "w", "y")], inputs={}, weights={"w": (3,)}), "no input reaches")
    refused(read, model(TANH, outputs=""), "no graph with an output|is given by no")
    network = read(model([], outputs="x"))
    assert network.architecture.operations == ("input", "output")
    assert network.architecture.edges == ((0, 1),)


def test_idle_inputs_and_constant_outputs_are_left_out_and_said(read):
    nodes = [*TANH, node("Relu", "z", "dead"), node("Sqrt", "w", "fixed")]
    network = read(model(nodes, inputs={"x": (1, 8), "z": (1, 8)}, outputs="y fixed", weights={"w": (3,)}))
    assert network.architecture.operations == ("input", "tanh", "output")
    assert network.report.dropped == 1
    assert network.report.removed == 1
    assert network.report.warnings == (
        "left out outputs that do not depend on the inputs: 1",
        "left out inputs that reach no output: 1",
    )


def test_several_outputs_meet_in_the_output(read):
    network = read(model([*TANH, node("Relu", "x", "z")], outputs="y z y"))
    assert network.architecture.operations == ("input", "tanh", "relu", "output")
    assert network.architecture.edges == ((0, 1), (0, 2), (1, 3), (1, 3), (2, 3))


def test_weights_listed_among_the_inputs_are_weights(read):
    """As files of the first versions of the format have them."""
    proto = model([node("MatMul", "x w", "y")], inputs={"x": (1, 8), "w": (8, 4)}, weights={"w": (8, 4)})
    assert read(proto).architecture.operations == ("input", "linear", "output")


def test_sparse_weights_count_whole(read):
    proto = model([node("MatMul", "x w", "y")], inputs={"x": (1, 8)})
    values, places = tensor("w", np.float32([1, 2])), tensor("", np.array([0, 5]))
    proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [8, 4]))
    network = read(proto)
    assert network.architecture.operations == ("input", "linear", "output")
    assert network.report.flops == 64


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"not a model", b"\x08\x07", b"PK\x03\x04", b"\xff" * 1_000, b"{}"]
)
def test_files_that_are_no_model(tmp_path, content):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidArchitectureError, match=r"bad\.onnx: no ONNX model"):
        read_onnx(path)


def test_files_that_are_not_there_or_too_large(tmp_path, monkeypatch):
    for path in (tmp_path / "none.onnx", tmp_path, tmp_path / ("x" * 300), "nul\0"):
        with pytest.raises(InvalidArchitectureError):
            read_onnx(path)
    onnx.save(model(TANH), tmp_path / "large.onnx")
    monkeypatch.setattr(onnx_files, "_LARGEST_FILE", 10)
    with pytest.raises(InvalidArchitectureError, match=r"large\.onnx: larger than 2 GiB"):
        read_onnx(tmp_path / "large.onnx")


def test_names_that_are_no_text(read, tmp_path):
    data = model(
        [node("Relu", "xx", "yy", name="label")], inputs={"xx": (1, 8)}, outputs="yy"
    ).SerializeToString()
    for name in (b"Relu", b"xx", b"label", b"graph"):
        (tmp_path / "bad.onnx").write_bytes(data.replace(name, b"\xff" * len(name)))
        assert message_of(tmp_path / "bad.onnx").isprintable()


def test_without_onnx_the_error_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "a.onnx").touch()
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setitem(sys.modules, "onnx.inliner", None)
    with pytest.raises(UsageError, match=r"pip install 'archflow\[onnx\]'"):
        read_onnx(tmp_path / "a.onnx")


def test_sizes_beyond_reason_are_unknown(read):
    proto = model([node("MatMul", "x w", "y")], inputs={"x": (1, 8)}, weights={"w": (8, 4)})
    proto.graph.initializer[0].dims[:] = [2**62, -3]
    network = read(proto)
    assert network.report.parameters == network.report.flops == 0


def test_sizes_without_end_are_left_out_or_refused(read):
    """More numbers in a tensor than there are atoms, and windows that no float holds."""
    proto = model([node("MatMul", "x w", "y")], inputs={"x": (2**40,) * 40}, weights={"w": (8, 4)})
    assert read(proto).report.flops == 0
    proto = model(
        [node("LSTM", "x w r", "y", hidden_size=2**62)],
        inputs={"x": (2**20, 2**20, 2**20)},
        weights=WEIGHTS | {"w": (1,), "r": (1,)},
    )
    refused(read, proto, "has flops .* finite")


@pytest.mark.parametrize("operator", ["Sum", "Mul", "Where"])
def test_operators_of_many_inputs_take_no_time(read, operator):
    """Each reads the one before a thousand times; following every way back would never end."""
    nodes = [node("MatMul", "x x", "v0")]
    nodes += [node(operator, " ".join([f"v{i}"] * 1_000), f"v{i + 1}") for i in range(6)]
    nodes += [
        node("Softmax", "v6", "p"),
        node("MatMul", "p x", "a"),
        node("Tanh", "v6", "t"),
        node("Mul", "x t", "b"),
    ]
    network = read(model([*nodes, node("Add", "a b", "y")], inputs={"x": (5, 5)}))
    assert "attention" not in network.architecture.operations


def chain(count):
    """A chain with a bias and a scaling behind every product, and shortcuts."""
    nodes, last = [], "x"
    for i in range(count // 5):
        nodes += [
            node("MatMul", f"{last} w", f"a{i}"),
            node("Add", f"a{i} b", f"b{i}"),
            node("Mul", f"b{i} n", f"c{i}"),
            node("Relu", f"c{i}", f"d{i}"),
            node("Add", f"d{i} {last}", f"e{i}"),
        ]
        last = f"e{i}"
    weights = {"w": (8, 8), "b": (8,), "n": np.float32(2)}
    return model(nodes, inputs={"x": (1, 8)}, outputs=last, weights=weights)


def test_the_time_is_linear_in_the_nodes(tmp_path):
    seconds = {}
    for count in (1_000, 5_000):
        path = tmp_path / f"{count}.onnx"
        onnx.save(chain(count), path)
        runs = []
        for _ in range(3):
            start = time.process_time()
            network = read_onnx(path)
            runs.append(time.process_time() - start)
        seconds[count] = min(runs)
        assert len(network.architecture.operations) == 2 + 3 * count // 5
    assert seconds[5_000] < 5 * 2.5 * seconds[1_000]  # quadratic would be 25 times


def test_deep_views_and_scalings_are_linear_too(read):
    views = [node("Identity", f"v{i}", f"v{i + 1}") for i in range(3_000)]
    numbers = [node("Mul", f"v{i} n", f"v{i + 1}") for i in range(3_000, 6_000)]
    proto = model([*views, *numbers], inputs={"v0": (1, 8)}, outputs="v6000", weights={"n": np.float32(1)})
    network = read(proto)
    assert network.architecture.operations == ("input", "output")
    assert network.report.removed == 6_000


def test_too_many_operators_are_refused(read, monkeypatch):
    monkeypatch.setattr("archflow.importers.network.MAX_NODES", 10)
    refused(read, chain(15), "more than 10 operators")


@settings(max_examples=150)
@given(st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory, data):
    """A few bytes changed, or the end cut off."""
    whole = bytearray(model(NETWORK, weights=WEIGHTS).SerializeToString())
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    whole = whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(whole)
    assert len(message_of(path)) < 1_000


@settings(max_examples=150)
@given(st.data())
def test_rewired_files_are_read_or_refused(tmp_path_factory, data):
    """Operators, inputs and outputs of nodes exchanged."""
    proto = model(NETWORK, weights=WEIGHTS)
    values = ["", *sorted({value for each in NETWORK for value in (*each.input, *each.output)})]
    kinds = [each.op_type for each in NETWORK] + [
        "LSTM",
        "Einsum",
        "Split",
        "Attention",
        "Clip",
        "If",
        "Constant",
    ]
    for _ in range(data.draw(st.integers(1, 6))):
        each = proto.graph.node[data.draw(st.integers(0, len(NETWORK) - 1))]
        match data.draw(st.integers(0, 3)):
            case 0:
                each.op_type = data.draw(st.sampled_from(kinds))
            case 1:
                each.input[:] = data.draw(st.lists(st.sampled_from(values), max_size=5))
            case 2:
                each.output[:] = data.draw(st.lists(st.sampled_from(values), max_size=3))
            case 3:
                for attribute in each.attribute:
                    attribute.type = data.draw(st.integers(0, 14))
    path = tmp_path_factory.getbasetemp() / "rewired.onnx"
    path.write_bytes(proto.SerializeToString())
    assert len(message_of(path)) < 1_000
