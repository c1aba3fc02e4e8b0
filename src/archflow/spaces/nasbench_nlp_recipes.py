"""Recipes of recurrent cells: their rules, the order of the data flow, random ones and neighbours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NoReturn

import numpy as np

from archflow.errors import InvalidArchitectureError, short, unknown_name

Recipe = dict[str, tuple[str, tuple[str, ...]]]
"""The operation and the inputs of each node, by name."""

MAX_NUMBER = 99
"""Highest number of a node; the published generator goes up to 24."""

X, LINEAR, BLEND = "x", "linear", "blend"
PREVIOUS = ("h_prev_0", "h_prev_1", "h_prev_2")
NEW = ("h_new_0", "h_new_1", "h_new_2")

ARITIES = {
    LINEAR: (2, 3),
    BLEND: (3,),
    "elementwise_prod": (2,),
    "elementwise_sum": (2,),
    "activation_tanh": (1,),
    "activation_sigm": (1,),
    "activation_leaky_relu": (1,),
}
"""How many inputs each operation takes."""

EXAMPLES: dict[str, Recipe] = {
    "rnn": {"f": (LINEAR, (X, "h_prev_0")), "h_new_0": ("activation_tanh", ("f",))},
    "lstm": {
        "i": (LINEAR, (X, "h_prev_0")),
        "i_act": ("activation_tanh", ("i",)),
        "j": (LINEAR, (X, "h_prev_0")),
        "j_act": ("activation_sigm", ("j",)),
        "f": (LINEAR, (X, "h_prev_0")),
        "f_act": ("activation_sigm", ("f",)),
        "o": (LINEAR, (X, "h_prev_0")),
        "o_act": ("activation_tanh", ("o",)),
        "h_new_1_part1": ("elementwise_prod", ("f_act", "h_prev_1")),
        "h_new_1_part2": ("elementwise_prod", ("i_act", "j_act")),
        "h_new_1": ("elementwise_sum", ("h_new_1_part1", "h_new_1_part2")),
        "h_new_1_act": ("activation_tanh", ("h_new_1",)),
        "h_new_0": ("elementwise_prod", ("h_new_1_act", "o_act")),
    },
    "gru": {
        "r": (LINEAR, (X, "h_prev_0")),
        "r_act": ("activation_sigm", ("r",)),
        "z": (LINEAR, (X, "h_prev_0")),
        "z_act": ("activation_sigm", ("z",)),
        "rh": ("elementwise_prod", ("r_act", "h_prev_0")),
        "h_tilde": (LINEAR, (X, "rh")),
        "h_tilde_act": ("activation_tanh", ("h_tilde",)),
        "h_new_0": (BLEND, ("z_act", "h_prev_0", "h_tilde_act")),
    },
}
"""The published recipes of known cells, with their own names of nodes, in the order of their texts."""

_ACTIVATIONS = tuple(name for name in ARITIES if name.startswith("activation"))
_DRAWN = (LINEAR, LINEAR, LINEAR, BLEND, "elementwise_prod", "elementwise_sum")  # linear three times as often
_SIZES = (7, 14, 21)  # nodes beside the states, before those that lead nowhere are dropped
_NODE = re.compile(r"node_(0|[1-9][0-9]{0,8})")
_STATE = re.compile(r"h_new_[0-9]+")
_TRIES = 1_000


def recipe_of(fields: object) -> Recipe:
    """Return the recipe in a JSON value.

    Raises:
        InvalidArchitectureError: A rule other than that of cycles is broken; names the node and the rule.
    """
    if not isinstance(fields, dict):
        _fail('not a recipe; the form is {"h_new_0":{"op":"linear","input":["x","h_prev_0"]}}')
    states = [name for name in fields if _STATE.fullmatch(name)]
    if not states or sorted(states) != list(NEW[: len(states)]):
        _fail(f"the new states must be one to three, {', '.join(NEW)}, without a gap")
    if len(fields) - len(states) > MAX_NUMBER + 1:
        _fail(f"{len(fields) - len(states)} nodes beside the states; this space has at most {MAX_NUMBER + 1}")
    inputs = (X, *PREVIOUS[: len(states)])
    recipe: Recipe = {}
    for name, node in fields.items():
        where = f"node {short(name)}"
        if name == X or name in PREVIOUS:
            _fail(f"{where} has the name of an input of the cell")
        if not (isinstance(node, dict) and sorted(node) == ["input", "op"]):
            _fail(f'{where} must be an object with "op" and "input"')
        operation, read = node["op"], node["input"]
        if not isinstance(operation, str) or operation not in ARITIES:
            _fail(f"{where}: {unknown_name('operation', str(operation)[:80], ARITIES)}")
        if not isinstance(read, list) or len(read) not in ARITIES[operation]:
            _fail(f"{where}: {operation} takes a list of {' or '.join(map(str, ARITIES[operation]))} inputs")
        for source in read:
            if not isinstance(source, str) or (source not in fields and source not in inputs):
                _fail(f"{where} reads {short(str(source))}, which is no node and none of {', '.join(inputs)}")
        if len(set(read)) < len(read):
            _fail(f"{where} has the same input twice ({', '.join(map(short, read))})")
        if X in read and operation != LINEAR:
            _fail(f"{where}: {operation} cannot read {X}, whose width differs; only {LINEAR} can")
        recipe[name] = (operation, tuple(read))
    return recipe


def in_order(recipe: Recipe) -> list[str]:
    """Return the nodes as the data flows: each after what it reads, a new state as soon as it is needed.

    The other nodes keep the order of their numbers, or of the recipe where one has no number.

    Raises:
        InvalidArchitectureError: A node lies on a cycle.
    """
    inner = [name for name in recipe if name not in NEW]
    numbers = _numbers(inner)
    if len(numbers) == len(inner):
        inner.sort(key=numbers.__getitem__)
    order: list[str] = []
    done: dict[str, bool] = {}

    def visit(name: str) -> None:
        if name not in recipe or done.get(name):
            return
        if name in done:
            _fail(f"node {short(name)} lies on a cycle; only the states of the step before lead back")
        done[name] = False
        for source in recipe[name][1]:
            visit(source)
        done[name] = True
        order.append(name)

    for name in (*inner, *_states(recipe)):
        visit(name)
    return order


def with_gaps(order: list[str]) -> Iterator[str | None]:
    """Yield the nodes of an order, and None for each number that is missing before a numbered node.

    Where a node beside the states has no number, or a number against the order, all count anew, without gaps.
    """
    inner = [name for name in order if name not in NEW]
    numbers = _numbers(inner)
    values = list(numbers.values())
    counted = len(numbers) == len(inner) and values == sorted(values) and max(values, default=0) <= MAX_NUMBER
    number = 0
    for name in order:
        if counted and name in numbers:
            yield from [None] * (numbers[name] - number)
            number = numbers[name] + 1
        yield name


def draw_recipe(rng: np.random.Generator) -> Recipe:
    """Draw a recipe as the published generator does: one to three states, and 7, 14 or 21 more nodes.

    Nodes that lead to no new state are dropped, and their numbers are missing. It draws again until all
    inputs are read, and no new state reads an old one directly.
    """
    n_states, more = int(rng.integers(1, len(NEW) + 1)), _SIZES[rng.integers(len(_SIZES))]
    while True:
        nodes = _grown(n_states, n_states + more, rng)
        states = rng.permutation(len(nodes))[:n_states].tolist()
        read = set(states)
        for node in range(len(nodes) - 1, -1, -1):
            if node in read:
                read.update(nodes[node][1])
        inputs = range(-1 - n_states, 0)
        direct = any(-1 - n_states <= source < -1 for state in states for source in nodes[state][1])
        if read.issuperset(inputs) and not direct:
            break
    names = {-1: X, **{-2 - state: PREVIOUS[state] for state in range(n_states)}}
    names |= {node: f"node_{node}" for node in range(len(nodes))}
    names |= {node: NEW[state] for state, node in enumerate(states)}
    return {
        names[node]: (operation, tuple(names[source] for source in sources))
        for node, (operation, sources) in enumerate(nodes)
        if node in read
    }


def mutate_recipe(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    """Change one operation or one input, or put a new node before one input of a node.

    Returns:
        A recipe without nodes that lead nowhere. It reads every input, and no new state reads an old one
        directly, wherever that holds for the given one.

    Raises:
        InvalidArchitectureError: A thousand random changes gave none.
    """
    start = _alive(recipe)
    kinds: tuple[Callable[[Recipe, np.random.Generator], Recipe], ...] = (
        _with_other_operation,
        _with_other_input,
        _with_new_node,
    )
    for _ in range(_TRIES):
        changed = _alive(kinds[rng.integers(len(kinds))](start, rng))
        fits = len(changed) - len(_states(changed)) <= MAX_NUMBER + 1
        if changed != start and fits and _unsound(changed) <= _unsound(start):
            return changed
    raise InvalidArchitectureError(f"no valid neighbour in {_TRIES} random changes")


def _grown(n_states: int, n_nodes: int, rng: np.random.Generator) -> list[tuple[str, list[int]]]:
    """Return at least so many random nodes, and what each reads: earlier nodes, x (-1), states (-2, ...)."""
    previous = list(range(-1 - n_states, -1))
    activations: list[int] = []
    nodes: list[tuple[str, list[int]]] = []
    while len(nodes) < n_nodes:
        which, wide, *picks, last = rng.random(6).tolist()
        operation = _DRAWN[int(which * len(_DRAWN))]
        if operation == LINEAR:
            arity, choices = (2 if wide < 0.8 else 3), [-1, *previous, *activations]
        else:
            arity, choices = ARITIES[operation][0], [*previous, *range(len(nodes))]
        if operation != LINEAR and arity > len(choices):
            continue
        taken = picks[: min(arity, len(choices))]
        nodes.append((operation, [choices.pop(int(pick * len(choices))) for pick in taken]))
        if operation == LINEAR:  # an activation always follows
            activations.append(len(nodes))
            nodes.append((_ACTIVATIONS[int(last * len(_ACTIVATIONS))], [len(nodes) - 1]))
    return nodes


def _with_other_operation(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    name, operation, inputs = _any_node(recipe, rng)
    others = [
        other
        for other, arities in ARITIES.items()
        if len(inputs) in arities and other != operation and X not in inputs  # only linear reads x
    ]
    return recipe | {name: (others[rng.integers(len(others))], inputs)} if others else recipe


def _with_other_input(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    name, operation, inputs = _any_node(recipe, rng)
    choices = [source for source in _before(recipe, name, operation) if source not in inputs]
    if not choices:
        return recipe
    place = int(rng.integers(len(inputs)))
    source = choices[rng.integers(len(choices))]
    return recipe | {name: (operation, (*inputs[:place], source, *inputs[place + 1 :]))}


def _with_new_node(recipe: Recipe, rng: np.random.Generator) -> Recipe:
    name, operation, inputs = _any_node(recipe, rng)
    place = int(rng.integers(len(inputs)))
    new_operation = tuple(ARITIES)[rng.integers(len(ARITIES))]
    arity = ARITIES[new_operation][rng.integers(len(ARITIES[new_operation]))]
    choices = _before(recipe, name, new_operation)
    if inputs[place] not in choices or arity > len(choices):
        return recipe
    choices.remove(inputs[place])
    more = [choices[choice] for choice in rng.permutation(len(choices))[: arity - 1]]
    read = [inputs[place], *more]
    new = (new_operation, tuple(read[choice] for choice in rng.permutation(arity)))
    changed: Recipe = {}
    for other in in_order(recipe):
        if other == name:
            changed[_NEW_NODE] = new
        changed[other] = recipe[other]
    changed[name] = (operation, (*inputs[:place], _NEW_NODE, *inputs[place + 1 :]))
    return changed


_NEW_NODE = "new"  # has no number, so that all count anew


def _any_node(recipe: Recipe, rng: np.random.Generator) -> tuple[str, str, tuple[str, ...]]:
    name = list(recipe)[rng.integers(len(recipe))]
    return name, *recipe[name]


def _before(recipe: Recipe, name: str, operation: str) -> list[str]:
    """Return what a node with some operation could read without a cycle."""
    order = in_order(recipe)
    inputs = [X] * (operation == LINEAR) + list(PREVIOUS[: len(_states(recipe))])
    return inputs + order[: order.index(name)]


def _alive(recipe: Recipe) -> Recipe:
    """Return the recipe without nodes that lead to no new state."""
    reached = set(_states(recipe))
    for name in reversed(in_order(recipe)):
        if name in reached:
            reached.update(recipe[name][1])
    return {name: node for name, node in recipe.items() if name in reached}


def _unsound(recipe: Recipe) -> set[tuple[str, str]]:
    """Return which inputs a recipe leaves unread, and where a new state reads an old one directly."""
    read = {source for _, inputs in recipe.values() for source in inputs}
    states = _states(recipe)
    unread = {(source, "") for source in (X, *PREVIOUS[: len(states)]) if source not in read}
    return unread | {(state, old) for state in states for old in recipe[state][1] if old in PREVIOUS}


def _states(recipe: Recipe) -> list[str]:
    return [state for state in NEW if state in recipe]


def _numbers(names: list[str]) -> dict[str, int]:
    return {name: int(match[1]) for name in names if (match := _NODE.fullmatch(name))}


def _fail(reason: str) -> NoReturn:
    raise InvalidArchitectureError(reason)
