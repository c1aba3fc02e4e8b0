"""The folding rules: each looks at one operator and back along its inputs, and says whether it applied."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from archflow.importers.matching import Matcher
from archflow.importers.operators import Operator, elements
from archflow.importers.sizes import matmul_flops
from archflow.importers.vocabulary import CONVOLUTIONS, NEGATE, NORMS, clip_kind

LINEAR = frozenset((*CONVOLUTIONS, "linear"))
_MEANS = ("mean", "global_average_pool")
_DEPTH = 6  # most operators between the first product of an attention and its softmax


def _plus(match: Matcher, operator: Operator) -> bool:
    """Sum or difference of two: a shift by one number, a bias of what comes before, or a bias on its own."""
    if len(operator.inputs) != 2:
        return False
    sign = -1.0 if operator.kind == "subtract" else 1.0
    left, right = operator.inputs
    if (number := match.one_number(right)) is not None:
        return match.skip(operator, 1.0, sign * number)
    if (number := match.one_number(left)) is not None:
        return match.skip(operator, sign, number, place=1)
    if not _constant_second(match, operator):
        return False
    value, constant = operator.inputs
    size = elements(match.constants[constant].shape)
    before = match.only_maker(value)
    weights = 0 if before is None else sum(name in match.constants for name in before.inputs)
    if (
        before is not None
        and weights == 1
        and (
            (before.kind in LINEAR and size == before.numbers.get("channels"))
            or (before.kind in NORMS and _is_vector(match, constant))
        )
    ):
        operator.become(before.kind, [*before.inputs, constant], like=before)
    else:
        operator.kind = "bias"
    return True


def _times(match: Matcher, operator: Operator) -> bool:
    """Product of two: by one number, a weight of a norm, a scale, a square, a gate or the end of a norm."""
    if len(operator.inputs) != 2:
        return False
    left, right = operator.inputs
    for place, constant in enumerate((right, left)):
        if (number := match.one_number(constant)) is not None:
            return match.skip(operator, number, place=place)
    if _constant_second(match, operator):
        return _scaled(match, operator)
    if match.root(left) == match.root(right):
        operator.become("power", [left])
        operator.numbers["exponent"] = 2.0
        return True
    for value, other in ((left, right), (right, left)):
        if _gated(match, operator, value, other):
            return True
        root = match.maker(other, "reciprocal")
        if root is not None and _normalised(match, operator, value, root.inputs[0]):
            return True
        root = match.maker(other, "power")
        if root is not None and root.numbers.get("exponent") == -0.5:
            return _over_root(match, operator, value, root.inputs[0])
    return False


def _over(match: Matcher, operator: Operator) -> bool:
    """Quotient of two: by one number, a scale, a reciprocal, or the end of a norm."""
    if len(operator.inputs) != 2:
        return False
    left, right = operator.inputs
    if (number := match.one_number(right)) is not None:
        return match.skip(operator, 1 / number if number else math.nan)
    if right in match.constants:
        return _scaled(match, operator)
    if left in match.constants:
        operator.become("reciprocal", [right] if match.one_number(left) is not None else [right, left])
        return True
    size = match.maker(right, "absolute")
    if size is not None and match.base(size.inputs[0]) == match.base(left):
        operator.become("softsign", [left])
        return True
    return _normalised(match, operator, left, right)


def _scaled(match: Matcher, operator: Operator) -> bool:
    value, constant = operator.inputs
    before = match.only_maker(value)
    bare = before is not None and not any(name in match.constants for name in before.inputs)
    if before is not None and before.kind in NORMS and bare and _is_vector(match, constant):
        operator.become(before.kind, [*before.inputs, constant], like=before)
    else:
        operator.kind = "scale"
    return True


def _constant_second(match: Matcher, operator: Operator) -> bool:
    """Put the constant of two inputs second; say whether there is one."""
    left, right = operator.inputs
    if left in match.constants:
        operator.inputs.reverse()
        operator.input_shapes.reverse()
    return left in match.constants or right in match.constants


def _is_vector(match: Matcher, constant: str) -> bool:
    shape = match.constants[constant].shape
    return shape is not None and sum(size != 1 for size in shape) <= 1


def _gated(match: Matcher, operator: Operator, value: str, gate: str) -> bool:
    """A value times a function of itself: gelu, silu, mish, hard_swish."""
    made = match.maker(gate, "sigmoid", "hard_sigmoid", "erf", "tanh")
    if made is None:
        return False
    base, scale, _ = match.root(value)
    inner, inner_scale, shift = match.root(made.inputs[0])
    match made.kind:
        case "hard_sigmoid" if inner == base:
            name = "hard_swish"
        case "erf" if inner == base:
            name = "gelu"
        case "sigmoid" if inner == base and not shift:
            name = "gelu" if abs(inner_scale / scale - 1.702) < 0.01 else "silu"
        case "tanh" if _softplus_of(match, inner, base):
            name = "mish"
        case "tanh" if _is_cubic(match, inner, base):
            name = "gelu"
        case _:
            return False
    operator.become(name, [base])
    return True


def _softplus_of(match: Matcher, value: str, base: str) -> bool:
    made = match.maker(value, "softplus")
    return made is not None and match.base(made.inputs[0]) == base


def _is_cubic(match: Matcher, value: str, base: str) -> bool:
    """Whether a value is x + c x^3, written as a sum or as x (1 + c x^2)."""
    made = match.maker(value, "add")
    if made is None:
        return _exponent(match, value, base) == 3
    return sorted(_exponent(match, part, base) for part in made.inputs) == [1, 3]


def _exponent(match: Matcher, value: str, base: str, depth: int = 3) -> float:
    """Return the power of the base that a value is, 0 where it is none."""
    if match.base(value) == base:
        return 1
    made = match.maker(value, "power", "multiply")
    if made is None or not depth:
        return 0
    parts = [_exponent(match, part, base, depth - 1) for part in made.inputs]
    return sum(parts) * made.numbers.get("exponent", 1) if all(parts) else 0


def _normalised(match: Matcher, operator: Operator, value: str, divisor: str) -> bool:
    """A value over its size: layer_norm, instance_norm, rms_norm, l2_norm."""
    floor = match.maker(divisor, "clip", "maximum")
    size = match.maker(divisor if floor is None else floor.inputs[0], "sqrt", "norm")
    if size is None:
        return False
    if size.kind == "sqrt":
        return _over_root(match, operator, value, size.inputs[0])
    if size.numbers.get("exponent", 2) != 2 or match.base(size.inputs[0]) != match.base(value):
        return False
    operator.become("l2_norm", [value])
    return True


def _over_root(match: Matcher, operator: Operator, value: str, square: str) -> bool:
    """A value over the root of its mean square, or of its variance."""
    mean = match.maker(square, *_MEANS, "sum")
    power = None if mean is None else match.maker(mean.inputs[0], "power")
    if mean is None or power is None or power.numbers.get("exponent") != 2:
        return False
    centred, centred_again = (_centred(match, part) for part in (value, power.inputs[0]))
    if centred is not None and centred == centred_again:
        operator.become("instance_norm" if mean.kind == "global_average_pool" else "layer_norm", [centred])
    elif match.base(power.inputs[0]) == match.base(value):
        operator.become("l2_norm" if mean.kind == "sum" else "rms_norm", [value])
    else:
        return False
    return True


def _centred(match: Matcher, value: str) -> str | None:
    """Return what a value is without its mean, if that is what it is."""
    made = match.maker(value, "subtract")
    mean = None if made is None or len(made.inputs) != 2 else match.maker(made.inputs[1], *_MEANS)
    if made is None or mean is None or match.base(mean.inputs[0]) != match.base(made.inputs[0]):
        return None
    return match.base(made.inputs[0])


def _attended(match: Matcher, operator: Operator) -> bool:
    """softmax(q k) v, with scales, masks and a guard against rows without a key in between."""
    if len(operator.inputs) != 2:
        return False
    for place, weights in enumerate(operator.inputs):
        softmax = _softmax_behind(match, weights)
        found = None if softmax is None else _scores_behind(match, softmax.inputs[0], _DEPTH)
        if found is None:
            continue
        product, masks = found
        shape, flops = operator.output_shape, matmul_flops(operator) + matmul_flops(product)
        heads = product.output_shape[-3] if product.output_shape and len(product.output_shape) > 2 else 1
        width = shape[-1 - place] if shape and len(shape) > 1 else None
        operator.become("attention", [*product.inputs, operator.inputs[1 - place], *masks])
        operator.numbers |= {"heads": heads or 0, "flops": flops, "channels": (heads or 0) * (width or 0)}
        return True
    return False


def _softmax_behind(match: Matcher, value: str) -> Operator | None:
    made = match.maker(value, "softmax", "where")
    if made is None or made.kind == "softmax":
        return made
    return next(filter(None, (match.maker(part, "softmax") for part in made.inputs)), None)


def _scores_behind(match: Matcher, value: str, depth: int) -> tuple[Operator, list[str]] | None:
    """Return the product of queries and keys behind some scores, and the data that masks them."""
    made = match.maker(value, "matmul", "add", "bias", "scale", "where", "clip", "maximum")
    if made is None or not depth:
        return None
    if made.kind == "matmul":
        return made, []
    data = [part for part in made.inputs if part not in match.constants]
    for place, part in enumerate(data):
        found = _scores_behind(match, part, depth - 1)
        if found is not None:
            return found[0], [*found[1], *data[:place], *data[place + 1 :]]
    return None


def _raised(match: Matcher, operator: Operator) -> bool:
    match operator.numbers.get("exponent"):
        case 1:
            return match.skip(operator)
        case 0.5:
            operator.kind = "sqrt"
        case -1:
            operator.kind = "reciprocal"
    return False


def _cut_off(match: Matcher, operator: Operator) -> bool:
    """A clip, relu or relu6: of nothing, of a relu, or as the line of a hard sigmoid."""
    smallest, largest = (operator.numbers.get(name) for name in ("minimum", "maximum"))
    if operator.kind == "clip":
        if smallest is None and largest is None:
            return match.skip(operator)
        operator.kind = clip_kind(smallest, largest)
    before = match.only_maker(operator.inputs[0])
    plain = match.base(operator.inputs[0]) == operator.inputs[0]
    if before is not None and plain and before.kind == "relu" and smallest is None and largest == 6:
        operator.become("relu6", before.inputs)
    shift = match.root(operator.inputs[0])[2]
    if (operator.kind == "relu6" and math.isclose(shift, 3, rel_tol=1e-3)) or (
        (smallest, largest) == (0, 1) and math.isclose(shift, 0.5, rel_tol=1e-3)
    ):
        operator.kind = "hard_sigmoid"
    return True


def _negated(match: Matcher, operator: Operator) -> bool:
    return match.skip(operator, -1.0)


def _sliced(match: Matcher, operator: Operator) -> bool:
    """A slice that takes everything."""
    whole = elements(operator.output_shape)
    return whole is not None and operator.input_shapes[:1] == [operator.output_shape] and match.skip(operator)


def _rolled(match: Matcher, operator: Operator) -> bool:
    """All the pieces of a tensor beside each other again: a roll, which only moves numbers."""
    pieces = {match.base(value): match.maker(value, "slice") for value in operator.inputs}
    makers = [piece for piece in pieces.values() if piece is not None]
    if len(pieces) < len(operator.inputs) or len(makers) < len(pieces):
        return False
    whole = elements(makers[0].input_shapes[0])
    if whole is None or elements(operator.output_shape) != whole:
        return False
    if len({match.base(piece.inputs[0]) for piece in makers}) > 1:
        return False
    operator.inputs = [makers[0].inputs[0]]
    return match.skip(operator)


RULES: Mapping[str, Callable[[Matcher, Operator], bool]] = {
    "add": _plus,
    "subtract": _plus,
    "multiply": _times,
    "divide": _over,
    NEGATE: _negated,
    "power": _raised,
    "clip": _cut_off,
    "relu": _cut_off,
    "relu6": _cut_off,
    "matmul": _attended,
    "slice": _sliced,
    "concatenate": _rolled,
}
"""The rule of each kind of operator that ends a pattern."""
