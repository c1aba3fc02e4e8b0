"""What the operations of imported networks are called, whichever framework they come from.

A network is imported at one canonical level, so that one network gives one graph whatever wrote the file:

- What only moves, copies or retypes numbers (`VIEW`) is removed and its neighbours joined: reshape, flatten,
  transpose, squeeze, expand, cast, dropout, padding, pixel and channel shuffle, roll, quantisation.
- What follows from constants and sizes alone is removed.
- Arithmetic with one number known beforehand is removed: the weights nearby could absorb it.
- What is usually written as several small operators becomes one: biases of linear maps and convolutions,
  normalisations, gelu, silu, hard_swish, hard_sigmoid, mish, attention (`folding`).
- Each piece taken out of a tensor is one `slice`: of a split, a chunk, an unbind or a constant index.
- Arithmetic with a constant tensor is `bias` (add, subtract) or `scale` (multiply, divide), so that add and
  multiply always join data.
- A recurrent layer is one node for each layer of the stack, whatever its directions.
- If, loop and scan are one node each, with an edge from every tensor that goes in.

Every other operator keeps its own name, `domain.operator` (`unknown_operation`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from collections.abc import Iterable, Sequence

from archflow.errors import unknown_name
from archflow.graphs import INPUT, OUTPUT, Operations

VIEW = "view"
"""The kind that importers give to every operator that only moves, copies or retypes numbers."""

NEGATE = "negate"
"""The kind that importers give to a change of sign: arithmetic with one number, and so removed too."""

ATTRIBUTES = (
    "channels",
    "dilation",
    "flops",
    "groups",
    "heads",
    "kernel",
    "parameters",
    "positions",
    "stride",
)
"""The numbers that nodes of imported networks carry; 0 where a node has none.

- channels: Channels of the output: output features of a linear map, the width of tokens. 0 where unknown.
- dilation: Of a convolution or pool, as `side`; 1 where there are no holes.
- flops: Floating-point operations for one pass, two a multiply-add, of convolutions, linear maps, matrix
  products, attention and recurrent layers; biases, and all other operations, count as none.
- groups: Of a convolution or group norm.
- heads: Attention heads, of the queries.
- kernel: Of a convolution or pool, as `side`: 3 for 3x3.
- parameters: Trainable weights that the node owns; weights that several nodes share count at the first.
- positions: Numbers in the output for each channel and a batch of one: height times width, or tokens.
- stride: Of a convolution or pool, as `side`.
"""

MAX_NAME = 80
"""Longest name of an operation, in characters."""


@dataclasses.dataclass(frozen=True, slots=True)
class Meaning:
    """What an operation of imported networks does.

    Attributes:
        name: The operation's name.
        text: What it computes, in a few words.
        parametric: Whether it has trainable weights.
    """

    name: str
    text: str
    parametric: bool = False


CONVOLUTIONS = ("conv", "depthwise_conv", "transposed_conv")
NORMS = ("batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm")
ACTIVATIONS = (
    "relu",
    "relu6",
    "leaky_relu",
    "prelu",
    "elu",
    "gelu",
    "silu",
    "mish",
    "hard_swish",
    "hard_sigmoid",
    "sigmoid",
    "tanh",
)
"""Activations that the chains of `fuse` may end with."""

MEANINGS = (
    # Linear maps
    Meaning("conv", "convolution in any number of dimensions, plain or in groups, with its bias", True),
    Meaning(
        "depthwise_conv", "convolution of each channel alone: as many groups as channels, 2 or more", True
    ),
    Meaning("transposed_conv", "transposed convolution", True),
    Meaning("deformable_conv", "convolution at learnt offsets", True),
    Meaning("linear", "product with a weight matrix, with its bias", True),
    Meaning("bilinear", "product of two inputs with a weight", True),
    Meaning("embedding", "rows of a weight table, looked up by number", True),
    Meaning("matmul", "product of two matrices that are both data"),
    Meaning("bias", "sum with, or difference to, a constant tensor, such as position embeddings", True),
    Meaning("scale", "product with, or quotient by, a constant tensor, such as a layer scale", True),
    # Sequences
    Meaning("attention", "softmax(q k) v, of queries, keys, values and a mask that is data", True),
    Meaning("linear_attention", "attention without a softmax, and other state-space recurrences", True),
    Meaning("rotary_embedding", "rotation of queries or keys by their position"),
    Meaning("lstm", "one long short-term memory layer, in one or both directions", True),
    Meaning("gru", "one gated recurrent layer, in one or both directions", True),
    Meaning("rnn", "one plain recurrent layer, in one or both directions", True),
    # Normalisations
    Meaning("batch_norm", "normalisation by running statistics", True),
    Meaning("layer_norm", "normalisation over the channels of each position", True),
    Meaning("group_norm", "normalisation over groups of channels and all positions", True),
    Meaning("instance_norm", "normalisation over the positions of each channel", True),
    Meaning("rms_norm", "division by the root mean square", True),
    Meaning("l2_norm", "division by the length of the vector"),
    Meaning("local_response_norm", "normalisation over neighbouring channels"),
    # Activations
    Meaning("relu", "max(x, 0)"),
    Meaning("relu6", "min(max(x, 0), 6)"),
    Meaning("leaky_relu", "x, or a fixed part of it where negative"),
    Meaning("prelu", "x, or a learnt part of it where negative", True),
    Meaning("elu", "x, or exp(x) - 1 where negative; celu too"),
    Meaning("selu", "elu with fixed scales"),
    Meaning("gelu", "x Phi(x), in its erf, tanh or sigmoid(1.702 x) form"),
    Meaning("silu", "x sigmoid(x), also called swish"),
    Meaning("mish", "x tanh(softplus(x))"),
    Meaning("hard_swish", "x hard_sigmoid(x)"),
    Meaning("hard_sigmoid", "a line cut off at 0 and 1"),
    Meaning("sigmoid", "1 / (1 + exp(-x))"),
    Meaning("log_sigmoid", "log(sigmoid(x))"),
    Meaning("tanh", "hyperbolic tangent"),
    Meaning("softplus", "log(1 + exp(x))"),
    Meaning("softsign", "x over 1 plus its absolute value"),
    Meaning("softmax", "exp(x) over its sum"),
    Meaning("log_softmax", "logarithm of the softmax"),
    Meaning("hardmax", "1 at the largest, 0 elsewhere"),
    Meaning("threshold", "x where it is large enough, 0 elsewhere; shrinking too"),
    Meaning("clip", "x cut off below, above or both; hard tanh"),
    # Pools and reductions
    Meaning("max_pool", "largest of each window"),
    Meaning("average_pool", "mean of each window, or pooling to a fixed size above 1"),
    Meaning("lp_pool", "p-norm of each window"),
    Meaning("global_max_pool", "largest over all positions"),
    Meaning("global_average_pool", "mean over all positions of images and volumes"),
    Meaning("mean", "mean over other axes"),
    Meaning("sum", "sum over axes"),
    Meaning("product", "product over axes"),
    Meaning("reduce_max", "largest over axes"),
    Meaning("reduce_min", "smallest over axes"),
    Meaning("norm", "1- or 2-norm over axes"),
    Meaning("log_sum_exp", "log of the sum of exp over axes"),
    Meaning("cumulative", "running sum or product"),
    Meaning("argmax", "where the largest or smallest is"),
    Meaning("top_k", "the k largest, or sorting"),
    # Joins
    Meaning("add", "sum of tensors"),
    Meaning("subtract", "difference of tensors"),
    Meaning("multiply", "product of tensors, number by number, such as a gate"),
    Meaning("divide", "quotient of tensors"),
    Meaning("power", "a power of a tensor, squares among them"),
    Meaning("maximum", "larger of tensors"),
    Meaning("minimum", "smaller of tensors"),
    Meaning("remainder", "remainder of a division"),
    Meaning("concatenate", "tensors beside each other, a constant one such as a class token too", True),
    Meaning("where", "one tensor or the other, by a condition"),
    Meaning("compare", "whether tensors are equal or one is larger"),
    Meaning("logical", "and, or, exclusive or, not"),
    # Number by number
    Meaning("absolute", "the absolute value"),
    Meaning("sign", "the sign"),
    Meaning("exp", "exponential"),
    Meaning("log", "logarithm"),
    Meaning("sqrt", "square root"),
    Meaning("reciprocal", "1 / x, and a constant over x"),
    Meaning("round", "rounding to whole numbers in any direction"),
    Meaning("erf", "error function"),
    Meaning("sine", "sine, cosine and every other trigonometric or hyperbolic function"),
    # Places
    Meaning("slice", "one piece taken out of a tensor"),
    Meaning("gather", "pieces picked by data"),
    Meaning("scatter", "pieces written at places picked by data"),
    Meaning("tile", "copies beside each other"),
    Meaning("triangle", "the upper or lower triangle of a matrix"),
    Meaning("one_hot", "a 1 at each number's place"),
    Meaning("resize", "up- or downsampling by interpolation"),
    Meaning("grid_sample", "interpolation at places given by data"),
    Meaning("roi_pool", "pooling of regions given by data"),
    Meaning("unpool", "values back at the places that a pool took them from"),
    Meaning("fold", "overlapping windows into an image, or an image into windows"),
    Meaning("fourier", "Fourier transform, of short windows too"),
    Meaning("select_boxes", "non-maximum suppression"),
    Meaning("non_zero", "where numbers are not zero, distinct ones, compression"),
    Meaning("random", "random numbers whose distribution is data"),
    # Control flow
    Meaning("if", "one of two branches", True),
    Meaning("loop", "a body run again and again; scan too", True),
)
"""The vocabulary, in the order of the documentation."""

FUSED = {
    f"{first}_{activation}": first
    for first, activation in itertools.product((*CONVOLUTIONS, "linear"), ACTIVATIONS)
}
"""What `fuse` adds: conv_relu is a conv and the relu behind it; name by name, what the first one is."""

NAMES = frozenset(meaning.name for meaning in MEANINGS)
PARAMETRIC = frozenset(meaning.name for meaning in MEANINGS if meaning.parametric)


def vocabulary(
    unknown: Iterable[str] = (), *, fuse: bool = False, attributes: Iterable[str] = ATTRIBUTES
) -> Operations:
    """Return the vocabulary of imported networks.

    No operation is an identity or zero: those are removed at import.

    Args:
        unknown: Further operations, taken to be parametric.
        fuse: Whether the names of fused chains are in it.
        attributes: Names out of `ATTRIBUTES`.

    Returns:
        "input", the documented operations, the fused ones, the further ones sorted, "output".

    Raises:
        UnknownNameError: An attribute is not one of `ATTRIBUTES`.
    """
    fused = FUSED if fuse else ()
    others = sorted(set(unknown) - NAMES - set(fused) - {INPUT, OUTPUT})
    return Operations(
        names=(INPUT, *(meaning.name for meaning in MEANINGS), *fused, *others, OUTPUT),
        parametric=PARAMETRIC | frozenset((*fused, *others)),
        attributes=checked_attributes(attributes),
    )


def checked_attributes(attributes: Iterable[str]) -> tuple[str, ...]:
    """Return attribute names sorted and once each.

    Raises:
        UnknownNameError: One is not in `ATTRIBUTES`.
    """
    names = tuple(sorted(set(attributes)))
    for name in names:
        if name not in ATTRIBUTES:
            raise unknown_name("attribute", name, ATTRIBUTES)
    return names


def unknown_operation(domain: str, operator: str) -> str:
    """Return the name of an operation that the vocabulary lacks, such as `com.microsoft.MoE`.

    Args:
        domain: Who defines the operator: an ONNX domain, a torch library namespace; "" is "unknown".
        operator: Its name there.

    Returns:
        `domain.operator`, fit for every text format: characters that are not printable ASCII, spaces and
        `, ; > = " | ~` become underscores; what is longer than `MAX_NAME` is cut and told apart by a hash.
    """
    name = f"{domain or 'unknown'}.{operator or 'unnamed'}"
    clean = "".join(c if "!" <= c <= "~" and c not in ',;>=<"|~' else "_" for c in name[: 2 * MAX_NAME])
    if len(name) <= MAX_NAME:
        return clean
    digest = hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    return f"{clean[: MAX_NAME - 9]}-{digest}"


def side(sizes: Sequence[float]) -> float:
    """Return the side of the square or cube as large as a box: 3 for (3, 3), the root of 7 for (1, 7).

    Args:
        sizes: The sides of the box, one or more, positive.
    """
    if len(set(sizes)) == 1:
        return float(sizes[0])
    product = 1.0
    for size in sizes:
        product *= float(size)
    return float(product ** (1 / len(sizes)))


def convolution_kind(groups: int, channels_in: int | None, *, transposed: bool = False) -> str:
    """Return which of `CONVOLUTIONS` it is.

    Args:
        groups: Groups of channels.
        channels_in: Channels of the input, None where unknown.
        transposed: Whether it is a transposed one.
    """
    if transposed:
        return "transposed_conv"
    return "depthwise_conv" if groups > 1 and groups == channels_in else "conv"


def mean_kind(axes: Iterable[int], rank: int | None) -> str:
    """Return what a mean over axes is called.

    Args:
        axes: The axes, counted from the front or (negative) from the back.
        rank: Axes of the tensor in all, None where unknown.

    Returns:
        "global_average_pool" over all positions of an image or volume, (batch, channels, positions...) with
        two or more axes of positions; "mean" otherwise.
    """
    if rank is None or rank < 4:
        return "mean"
    return "global_average_pool" if {axis % rank for axis in axes} == set(range(2, rank)) else "mean"


def clip_kind(smallest: float | None, largest: float | None) -> str:
    """Return what cutting off below and above is called: relu, relu6 or clip.

    Args:
        smallest: The lower bound; None where there is none, not a number where it is not known beforehand.
        largest: The upper bound, likewise.
    """
    if smallest == 0 and largest is None:
        return "relu"
    return "relu6" if smallest == 0 and largest == 6 else "clip"
