"""ONNX models written by hand, for tests."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

NEWEST = onnx.defs.onnx_opset_version()


def node(operator, inputs, outputs, **attributes):
    """Return one node; inputs and outputs are names with spaces between."""
    return helper.make_node(operator, inputs.split(" "), outputs.split(" "), **attributes)


def model(
    nodes,
    *,
    inputs=None,
    outputs="y",
    weights=None,
    opset=17,
    integers=(),
    functions=(),
    domains=(),
    infos=(),
):
    """Return a model.

    Inputs are shapes by name, {"x": (1, 3, 8, 8)} by default; a size may be a name. Weights are arrays or
    shapes by name; shapes stand for ones.
    """
    inputs = {"x": (1, 3, 8, 8)} if inputs is None else inputs
    graph = helper.make_graph(
        nodes,
        "graph",
        [
            helper.make_tensor_value_info(
                name, TensorProto.INT64 if name in integers else TensorProto.FLOAT, shape
            )
            for name, shape in inputs.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [tensor(name, value) for name, value in (weights or {}).items()],
        value_info=[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in infos],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=8)


def tensor(name, value):
    """Return a tensor of an array, or of ones of a shape."""
    array = np.ones(value, dtype=np.float32) if isinstance(value, tuple) else np.asarray(value)
    return numpy_helper.from_array(array, name)
