"""The shapes of what ONNX nodes give, from the shapes of what they read.

onnx's own inference is compiled code that ends the whole process on some damaged files, and cannot follow
shapes that pass through Where, Expand and the like, so these rules stand in for it. Where they cannot tell,
the shapes that the file itself lists are kept.

Source: the operators' reference, https://onnx.ai/onnx/operators/.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from archflow.importers.onnx_values import Known, OnnxNode, broadcast, evaluate, slices

Sizes = tuple[int, ...]
_Rule = Callable[[Known, OnnxNode], Sequence[Sizes]]

_LARGEST = 2**40  # an axis beyond this is damage


def infer(known: Known, node: OnnxNode) -> None:
    """Add the shapes of what a node gives, and its numbers where they follow from constants and shapes."""
    if node.domain:
        return
    rule = _RULES.get(node.operator)
    if evaluate(known, node) or rule is None:
        return
    try:
        shapes = rule(known, node)
    except (LookupError, TypeError, ValueError, ArithmeticError):  # a size is not known, or does not fit
        return
    for name, shape in zip(node.outputs, shapes, strict=False):
        if name and all(0 <= size <= _LARGEST for size in shape):
            known.shapes[name] = tuple(int(size) for size in shape)


def _same(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    return [known.shape(node.input(0))] * len(node.outputs)


def _first_only(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    return [known.shape(node.input(0))]


def _broadcast(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    return [broadcast(*(known.shape(value) for value in node.inputs if value))]


def _windows(node: OnnxNode, inside: Sizes, kernel: Sequence[int]) -> Sizes:
    """Return how often a window fits along each axis of positions."""
    rank = len(inside)
    strides, dilations = node.integers("strides") or [1] * rank, node.integers("dilations") or [1] * rank
    pads = node.integers("pads") or [0] * (2 * rank)
    padding = node.attributes.get("auto_pad", "NOTSET")
    counts = []
    for axis, (size, side, stride, dilation) in enumerate(
        zip(inside, kernel, strides, dilations, strict=True)
    ):
        if padding in ("SAME_UPPER", "SAME_LOWER"):
            counts.append(-(-size // stride))
            continue
        before, after = (0, 0) if padding == "VALID" else (pads[axis], pads[rank + axis])
        room = size + before + after - dilation * (side - 1) - 1
        count = room // stride + 1
        # Rounding up adds a window where one begins inside of the image.
        if node.integer("ceil_mode", 0) and room % stride and count * stride < size + before:
            count += 1
        counts.append(count)
    return tuple(counts)


def _convolution(weight: int = 1) -> _Rule:
    def rule(known: Known, node: OnnxNode) -> Sequence[Sizes]:
        data, weights = known.shape(node.input(0)), known.shape(node.input(weight))
        kernel = node.integers("kernel_shape") or weights[2:]
        return [(data[0], weights[0], *_windows(node, data[2:], kernel))]

    return rule


def _transposed(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data, weights = known.shape(node.input(0)), known.shape(node.input(1))
    inside = data[2:]
    rank = len(inside)
    kernel = node.integers("kernel_shape") or weights[2:]
    strides, dilations = node.integers("strides") or [1] * rank, node.integers("dilations") or [1] * rank
    pads, extra = node.integers("pads") or [0] * (2 * rank), node.integers("output_padding") or [0] * rank
    made: Sequence[int] = node.integers("output_shape")
    if not made and node.attributes.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        made = [size * stride for size, stride in zip(inside, strides, strict=True)]
    if not made:
        made = [
            strides[axis] * (size - 1)
            + dilations[axis] * (kernel[axis] - 1)
            + 1
            + extra[axis]
            - pads[axis]
            - pads[rank + axis]
            for axis, size in enumerate(inside)
        ]
    return [(data[0], weights[1] * node.integer("group", 1), *made)]


def _pool(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = known.shape(node.input(0))
    made = (*data[:2], *_windows(node, data[2:], node.integers("kernel_shape")))
    return [made, made]


def _global_pool(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = known.shape(node.input(0))
    return [(*data[:2], *(1 for _ in data[2:]))]


def _matmul(second: int = 1) -> _Rule:
    def rule(known: Known, node: OnnxNode) -> Sequence[Sizes]:
        left, right = known.shape(node.input(0)), known.shape(node.input(second))
        batch = broadcast(left[:-2], right[:-2])
        rows = left[-2:-1]
        columns = right[-1:] if len(right) > 1 else ()
        return [(*batch, *rows, *columns)]

    return rule


def _gemm(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    left, right = known.shape(node.input(0)), known.shape(node.input(1))
    return [(left[1 if node.integer("transA", 0) else 0], right[0 if node.integer("transB", 0) else 1])]


def _einsum(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    left, _, made = str(node.attributes["equation"]).replace(" ", "").partition("->")
    sizes: dict[str, int] = {}
    for letters, value in zip(left.split(","), node.inputs, strict=True):
        sizes |= dict(zip(letters, known.shape(value), strict=True))
    return [tuple(sizes[letter] for letter in made)]


def _reshape(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = known.shape(node.input(0))
    target = known.integers(node, "shape", 1) or []
    if not node.integer("allowzero", 0):
        target = [data[axis] if size == 0 else size for axis, size in enumerate(target)]
    given = math.prod(size for size in target if size != -1)
    return [tuple(math.prod(data) // given if size == -1 else size for size in target)]


def _flatten(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data, axis = known.shape(node.input(0)), node.integer("axis", 1)
    return [(math.prod(data[:axis]), math.prod(data[axis:]))]


def _transpose(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = known.shape(node.input(0))
    return [tuple(data[axis] for axis in node.integers("perm") or range(len(data))[::-1])]


def _squeeze(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = known.shape(node.input(0))
    axes = known.integers(node, "axes", 1)
    gone = None if axes is None else {axis % len(data) for axis in axes}
    return [
        tuple(size for axis, size in enumerate(data) if (size != 1 if gone is None else axis not in gone))
    ]


def _unsqueeze(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = list(known.shape(node.input(0)))
    axes = known.integers(node, "axes", 1) or []
    for axis in sorted(axis % (len(data) + len(axes)) for axis in axes):
        data.insert(axis, 1)
    return [tuple(data)]


def _expand(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    target = tuple(known.integers(node, "shape", 1) or ())
    return [broadcast(known.shape(node.input(0)), target)]


def _tile(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data, repeats = known.shape(node.input(0)), known.integers(node, "repeats", 1) or []
    return [tuple(size * count for size, count in zip(data, repeats, strict=True))]


def _pad(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = list(known.shape(node.input(0)))
    pads, axes = known.integers(node, "pads", 1) or [], known.integers(node, "axes", 3)
    axes = list(range(len(data))) if axes is None else axes
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        data[axis] += before + after
    return [tuple(data)]


def _concat(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    parts = [known.shape(value) for value in node.inputs]
    axis = node.integer("axis", 1) % len(parts[0])
    return [(*parts[0][:axis], sum(part[axis] for part in parts), *parts[0][axis + 1 :])]


def _split(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data, count = known.shape(node.input(0)), len(node.outputs)
    axis = node.integer("axis", 0) % len(data)
    sizes = known.integers(node, "split", 1)
    if sizes is None:
        part = -(-data[axis] // count)
        sizes = [part] * (count - 1) + [data[axis] - part * (count - 1)]
    if sum(sizes) != data[axis]:
        raise ValueError("the pieces are not the whole")
    return [(*data[:axis], size, *data[axis + 1 :]) for size in sizes]


def _slice(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = list(known.shape(node.input(0)))
    for axis, piece in slices(known, node, len(data)).items():
        data[axis] = len(range(*piece.indices(data[axis])))
    return [tuple(data)]


def _gather(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data, places = known.shape(node.input(0)), known.shape(node.input(1))
    axis = node.integer("axis", 0) % len(data)
    return [(*data[:axis], *places, *data[axis + 1 :])]


def _gather_nd(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data, places = known.shape(node.input(0)), known.shape(node.input(1))
    return [(*places[:-1], *data[node.integer("batch_dims", 0) + places[-1] :])]


def _gather_elements(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    return [known.shape(node.input(1))]


def _one_hot(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    places, depth = known.shape(node.input(0)), int(known.array(node.input(1)).ravel()[0])
    axis = node.integer("axis", -1) % (len(places) + 1)
    return [(*places[:axis], depth, *places[axis:])]


def _resize(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = list(known.shape(node.input(0)))
    axes = node.integers("axes") or list(range(len(data)))
    if node.input(3):
        sizes = [int(size) for size in known.array(node.input(3)).ravel()]
    else:
        listed = (
            node.attributes.get("scales") or known.array(node.inputs[min(len(node.inputs) - 1, 2)]).ravel()
        )
        sizes = [math.floor(data[axis] * float(scale)) for axis, scale in zip(axes, listed, strict=True)]
    for axis, size in zip(axes, sizes, strict=True):
        data[axis] = size
    return [tuple(data)]


def _top_k(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data = list(known.shape(node.input(0)))
    data[node.integer("axis", -1)] = (known.integers(node, "k", 1) or [node.integer("k", 1)])[0]
    return [tuple(data)] * 2


def _reduce(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    data, axes = known.shape(node.input(0)), known.integers(node, "axes", 1)
    if not axes and node.integer("noop_with_empty_axes", 0):
        return [data]
    return [_without(node, data, axes or range(len(data)))]


def _argmax(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    return [_without(node, known.shape(node.input(0)), [node.integer("axis", 0)])]


def _without(node: OnnxNode, data: Sizes, axes: Sequence[int]) -> Sizes:
    gone = {axis % len(data) for axis in axes}
    if node.integer("keepdims", 1):
        return tuple(1 if axis in gone else size for axis, size in enumerate(data))
    return tuple(size for axis, size in enumerate(data) if axis not in gone)


def _recurrent(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    steps, batch, _ = known.shape(node.input(0))
    hidden = node.integer("hidden_size", 0)
    directions = 2 if node.attributes.get("direction") == "bidirectional" else 1
    if node.integer("layout", 0):
        steps, batch = batch, steps
        last = (batch, directions, hidden)
        return [(batch, steps, directions, hidden), last, last]
    last = (directions, batch, hidden)
    return [(steps, directions, batch, hidden), last, last]


def _attention(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    queries, values = known.shape(node.input(0)), known.shape(node.input(2))
    if len(queries) == 4:
        return [(*queries[:3], values[3])]
    batch, tokens, _ = queries
    heads = node.integer("q_num_heads", 1)
    return [(batch, tokens, heads * (values[2] // node.integer("kv_num_heads", heads)))]


def _grid_sample(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    return [(*known.shape(node.input(0))[:2], *known.shape(node.input(1))[1:-1])]


def _roi_align(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    height, width = node.integer("output_height", 1), node.integer("output_width", 1)
    return [(known.shape(node.input(1))[0], known.shape(node.input(0))[1], height, width)]


def _depth_to_space(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    batch, channels, height, width = known.shape(node.input(0))
    block = node.integer("blocksize", 1)
    return [(batch, channels // block**2, height * block, width * block)]


def _space_to_depth(known: Known, node: OnnxNode) -> Sequence[Sizes]:
    batch, channels, height, width = known.shape(node.input(0))
    block = node.integer("blocksize", 1)
    return [(batch, channels * block**2, height // block, width // block)]


def _alike(rules: Mapping[_Rule, str]) -> dict[str, _Rule]:
    return {operator: rule for rule, operators in rules.items() for operator in operators.split()}


_RULES = _alike(
    {
        _same: (
            "Identity Cast CastLike BitCast Dropout Relu LeakyRelu Elu Celu Selu Gelu Swish Mish HardSwish "
            "HardSigmoid Sigmoid Tanh Softplus Softsign Softmax LogSoftmax Hardmax ThresholdedRelu Shrink "
            "Abs Sign Exp Log Sqrt Reciprocal Round Floor Ceil Erf Sin Cos Tan Asin Acos Atan Sinh Cosh "
            "Asinh Acosh Atanh Neg Not IsNaN IsInf Clip PRelu LRN LpNormalization MeanVarianceNormalization "
            "InstanceNormalization GroupNormalization RMSNormalization SimplifiedLayerNormalization CumSum "
            "CumProd Trilu QuantizeLinear DequantizeLinear RotaryEmbedding ReverseSequence Scatter "
            "ScatterElements ScatterND TensorScatter Bernoulli EyeLike RandomNormalLike RandomUniformLike"
        ),
        _first_only: "BatchNormalization LayerNormalization DynamicQuantizeLinear",
        _broadcast: (
            "Add Sub Mul Div Pow Mod Max Min Sum Mean And Or Xor Equal Greater GreaterOrEqual Less "
            "LessOrEqual Where BitShift BitwiseAnd BitwiseOr BitwiseXor"
        ),
        _convolution(): "Conv ConvInteger DeformConv",
        _convolution(weight=3): "QLinearConv",
        _transposed: "ConvTranspose",
        _pool: "MaxPool AveragePool LpPool",
        _global_pool: "GlobalAveragePool GlobalMaxPool GlobalLpPool",
        _matmul(): "MatMul MatMulInteger",
        _matmul(second=3): "QLinearMatMul",
        _gemm: "Gemm",
        _einsum: "Einsum",
        _reshape: "Reshape",
        _flatten: "Flatten",
        _transpose: "Transpose",
        _squeeze: "Squeeze",
        _unsqueeze: "Unsqueeze",
        _expand: "Expand",
        _tile: "Tile",
        _pad: "Pad",
        _concat: "Concat",
        _split: "Split",
        _slice: "Slice",
        _gather: "Gather",
        _gather_nd: "GatherND",
        _gather_elements: "GatherElements",
        _one_hot: "OneHot",
        _resize: "Resize Upsample",
        _top_k: "TopK",
        _reduce: (
            "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare "
            "ReduceLogSum ReduceLogSumExp"
        ),
        _argmax: "ArgMax ArgMin",
        _recurrent: "LSTM GRU RNN",
        _attention: "Attention",
        _grid_sample: "GridSample",
        _roi_align: "RoiAlign",
        _depth_to_space: "DepthToSpace",
        _space_to_depth: "SpaceToDepth",
    }
)
