"""What each ONNX operator is in the vocabulary, and which of its inputs are data and weights.

Source: the operators' reference, https://onnx.ai/onnx/operators/, and for com.microsoft that of ONNX Runtime.
"""

from __future__ import annotations

from collections.abc import Mapping

from archflow.importers.onnx_rules import (
    OnnxTranslator,
    Rule,
    all_inputs,
    attention,
    clip,
    convolution,
    deformable,
    einsum,
    extreme,
    first,
    gather,
    gemm,
    group_norm,
    instance_norm,
    matmul,
    mean,
    pool,
    power,
    quantised,
    recurrent,
    sequence,
    sizes_only,
    split,
    view,
)
from archflow.importers.onnx_values import OnnxNode
from archflow.importers.vocabulary import NEGATE, unknown_operation

_MICROSOFT = "com.microsoft"


def translate(to: OnnxTranslator, node: OnnxNode) -> None:
    """Add one node to the graph of a network.

    Raises:
        InvalidArchitectureError: It reads what nothing gives, or gives what is given already.
    """
    if node.operator == "Reshape":
        to.reshaped.update(node.outputs)
    table = _OPERATORS if node.domain == "" else _MICROSOFT_OPERATORS if node.domain == _MICROSOFT else {}
    rule = table.get(node.operator)
    if rule is None:
        to.put(node, unknown_operation(node.domain or "onnx", node.operator), node.inputs)
    elif isinstance(rule, str):
        to.put(node, rule, to.data(node))
    else:
        rule(to, node)


def _alike(kinds: Mapping[str, str]) -> dict[str, str | Rule]:
    return {operator: kind for kind, operators in kinds.items() for operator in operators.split()}


_OPERATORS: dict[str, str | Rule] = {
    **_alike(
        {
            # Every input that is data, and nothing else
            "relu": "Relu",
            "leaky_relu": "LeakyRelu",
            "elu": "Elu Celu",
            "selu": "Selu",
            "gelu": "Gelu",
            "silu": "Swish",
            "mish": "Mish",
            "hard_swish": "HardSwish",
            "hard_sigmoid": "HardSigmoid",
            "sigmoid": "Sigmoid",
            "tanh": "Tanh",
            "softplus": "Softplus",
            "softsign": "Softsign",
            "softmax": "Softmax",
            "log_softmax": "LogSoftmax",
            "hardmax": "Hardmax",
            "threshold": "ThresholdedRelu Shrink",
            "absolute": "Abs",
            "sign": "Sign",
            "exp": "Exp",
            "log": "Log",
            "sqrt": "Sqrt",
            "reciprocal": "Reciprocal",
            "round": "Round Floor Ceil",
            "erf": "Erf",
            "sine": "Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh",
            NEGATE: "Neg",
            "compare": "Equal Greater GreaterOrEqual Less LessOrEqual IsNaN IsInf",
            "logical": "And Or Xor Not BitwiseAnd BitwiseOr BitwiseXor BitwiseNot",
            "remainder": "Mod",
            "where": "Where",
            "global_max_pool": "GlobalMaxPool",
            "global_average_pool": "GlobalAveragePool",
            "lp_pool": "GlobalLpPool",
            "sum": "ReduceSum",
            "product": "ReduceProd",
            "reduce_max": "ReduceMax",
            "reduce_min": "ReduceMin",
            "log_sum_exp": "ReduceLogSum ReduceLogSumExp",
            "cumulative": "CumSum CumProd",
            "argmax": "ArgMax ArgMin",
            "top_k": "TopK",
            "local_response_norm": "LRN",
            "l2_norm": "LpNormalization",
            "linear_attention": "LinearAttention",
            "rotary_embedding": "RotaryEmbedding",
            "slice": "Slice CenterCropPad",
            "scatter": "Scatter ScatterElements ScatterND TensorScatter",
            "tile": "Tile",
            "triangle": "Trilu",
            "one_hot": "OneHot",
            "resize": "Resize Upsample",
            "grid_sample": "GridSample",
            "roi_pool": "MaxRoiPool RoiAlign",
            "unpool": "MaxUnpool",
            "fold": "Col2Im",
            "fourier": "DFT STFT",
            "select_boxes": "NonMaxSuppression",
            "non_zero": "NonZero Unique Compress",
            "random": "Bernoulli Multinomial",
        }
    ),
    **dict.fromkeys(
        (
            *("Identity", "Cast", "CastLike", "BitCast", "Dropout", "Optional", "OptionalGetElement"),
            *("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Expand", "Pad", "ReverseSequence"),
            *("DepthToSpace", "SpaceToDepth", "QuantizeLinear", "DequantizeLinear"),
        ),
        view,
    ),
    **dict.fromkeys(
        ("Shape", "Size", "EyeLike", "RandomNormalLike", "RandomUniformLike", "SequenceLength"), sizes_only
    ),
    "DynamicQuantizeLinear": quantised,
    "Add": all_inputs("add"),
    "Sum": all_inputs("add"),
    "Mean": all_inputs("add"),
    "Sub": all_inputs("subtract"),
    "Mul": all_inputs("multiply"),
    "Div": all_inputs("divide"),
    "Concat": all_inputs("concatenate"),
    "Pow": power,
    "Clip": clip,
    "Max": extreme("maximum"),
    "Min": extreme("minimum"),
    "PRelu": first("prelu", 2),
    "Conv": convolution(),
    "ConvInteger": convolution(bias=9),
    "QLinearConv": convolution(weight=3, bias=8),
    "ConvTranspose": convolution(transposed=True),
    "DeformConv": deformable,
    "MatMul": matmul(),
    "MatMulInteger": matmul(),
    "QLinearMatMul": matmul(second=3),
    "Gemm": gemm,
    "Einsum": einsum,
    "BatchNormalization": first("batch_norm", 3),
    "LayerNormalization": first("layer_norm", 3),
    "RMSNormalization": first("rms_norm", 2),
    "SimplifiedLayerNormalization": first("rms_norm", 2),
    "MeanVarianceNormalization": first("instance_norm"),
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "MaxPool": pool("max_pool"),
    "AveragePool": pool("average_pool"),
    "LpPool": pool("lp_pool"),
    "ReduceMean": mean,
    "ReduceL1": first("norm", exponent=1),
    "ReduceL2": first("norm", exponent=2),
    "ReduceSumSquare": first("norm", exponent=0),
    "Gather": gather,
    "GatherND": gather,
    "GatherElements": gather,
    "Split": split,
    "SplitToSequence": sequence,
    "SequenceAt": gather,
    "LSTM": recurrent("lstm", gates=4),
    "GRU": recurrent("gru", gates=3),
    "RNN": recurrent("rnn", gates=1),
    "Attention": attention("q_num_heads"),
}

_MICROSOFT_OPERATORS: dict[str, str | Rule] = {
    **_alike({"gelu": "Gelu QuickGelu", "rotary_embedding": "RotaryEmbedding"}),
    "FastGelu": first("gelu", 2),
    "BiasGelu": first("gelu", 2),
    "FusedMatMul": matmul(),
    "SimplifiedLayerNormalization": first("rms_norm", 2),
    "MultiHeadAttention": attention("num_heads", weights=3),
    "GroupQueryAttention": attention("num_heads"),
}
