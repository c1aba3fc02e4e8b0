"""Several small operators that are one operation, whatever framework wrote them.

One sweep in the order in which the operators run. Each rule (`patterns`) looks from the last operator of a
pattern back along its inputs; where it applies, the last operator becomes the whole operation, and what
nothing else uses falls away. Arithmetic with one number known beforehand is looked through and removed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archflow.importers.matching import SKIPPED, Matcher
from archflow.importers.operators import Constant, Operator, live
from archflow.importers.patterns import LINEAR, RULES
from archflow.importers.vocabulary import ACTIVATIONS


def fold(
    operators: Sequence[Operator], outputs: Sequence[str], constants: Mapping[str, Constant]
) -> tuple[list[Operator], list[str], int]:
    """Apply every rule.

    Args:
        operators: The operators on data in the order in which they run; they are changed.
        outputs: Names of what the network returns.
        constants: The constants, by name.

    Returns:
        The operators that lead to an output, the names of what the network returns, and how many operators
        were removed because they are arithmetic with one number or move numbers only.
    """
    match = Matcher(operators, outputs, constants)
    for operator in operators:
        if (rule := RULES.get(operator.kind)) is not None:
            rule(match, operator)
    kept = [operator for operator in operators if operator.kind != SKIPPED]
    slices: dict[str, Operator] = {}
    for operator in kept:
        operator.inputs = [match.base(value) for value in operator.inputs]
        if operator.kind == "slice":
            if (before := slices.get(operator.inputs[0])) is not None:  # a piece of a piece
                operator.inputs, operator.input_shapes = list(before.inputs), list(before.input_shapes)
            slices |= dict.fromkeys(operator.outputs, operator)
    results = [match.base(value) for value in outputs]
    return live(kept, results), results, len(operators) - len(kept)


def fuse_chains(
    operators: Sequence[Operator], outputs: Sequence[str], constants: Mapping[str, Constant]
) -> list[Operator]:
    """Join each convolution or linear map with the batch norm and the activation behind it.

    The batch norm leaves no trace in the name, because many exporters have multiplied it into the weights
    already: conv, batch_norm, relu and conv, relu both become conv_relu. Only what nothing else uses is
    joined, and repeated blocks stay as many.

    Args:
        operators: The folded operators in the order in which they run; they are changed.
        outputs: Names of what the network returns.
        constants: The constants, by name.

    Returns:
        The operators that lead to an output.
    """
    match = Matcher(operators, outputs, constants)
    for operator in operators:
        first = match.only_maker(operator.inputs[0])
        if first is None or first.kind not in LINEAR:
            continue
        weights = [*first.inputs, *operator.inputs[1:]]
        if operator.kind == "batch_norm":
            operator.become(first.kind, weights, like=first)
        elif operator.kind in ACTIVATIONS:
            operator.become(f"{first.kind}_{operator.kind}", weights, like=first)
    return live(operators, outputs)
