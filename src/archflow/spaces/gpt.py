"""GPT-S of HW-GPT-Bench: decoder-only language models of ten to twelve layers.

Source: Sukthanker et al., "HW-GPT-Bench: Hardware-Aware Architecture Benchmark for Language Models", NeurIPS
2024 (datasets and benchmarks). In a layer, attention and MLP read the residual stream side by side and are
added to it, as in the published network: x <- x + attention(norm(x)) + mlp(norm(x)). An addition is a node
that passes the sum of what reaches it on, an identity; collapsed, each attention and MLP reads all before it,
and the number of its layer tells where it stands.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archflow.errors import InvalidArchitectureError, UsageError, short
from archflow.graphs import INPUT, OUTPUT, Architecture, ArchitectureTable, Columns, Operations
from archflow.protocols import FloatArray
from archflow.spaces.json_text import decode, encode
from archflow.spaces.sizes import choose, node_sizes, sum_by_row

EMBED_DIMS, N_LAYERS, N_HEADS, MLP_RATIOS, BIASES = (
    (192, 384, 768),
    (10, 11, 12),
    (4, 8, 12),
    (2, 3, 4),
    (False, True),
)
HEAD_WIDTH = 64
"""Width of an attention head, whatever the width of the residual stream."""

VOCABULARY = 50_254
"""Number of tokens."""

MAX_TEXT = 10_000
"""Longest text that `parse` reads, in characters; a network has about 140."""

EMBEDDING, ADD = "embedding", "add"
ATTENTION, MLP = ("attention", "attention_bias"), ("mlp", "mlp_bias")  # without and with biases

_KEYS = ("embed_dim", "n_layer", "n_head", "mlp_ratio", "bias")
_LAYER = len(N_HEADS) * len(MLP_RATIOS)
_ENDS = len(EMBED_DIMS) * len(BIASES)
_COUNTS = {depth: _ENDS * _LAYER**depth for depth in N_LAYERS}


class GPT:
    """The GPT-S space: 1,903,784,282,946 networks of 33 to 39 nodes."""

    name = "gpt"
    size = sum(_COUNTS.values())
    operations = Operations(
        names=(INPUT, EMBEDDING, *ATTENTION, *MLP, ADD, OUTPUT),
        identity=frozenset({ADD}),
        parametric=frozenset({EMBEDDING, *ATTENTION, *MLP}),
        attributes=("width", "heads", "hidden", "layer"),
    )

    def parse(self, text: str) -> Architecture:
        """Read a network as JSON, its keys in any order.

        An example, cut short: `{"embed_dim":384,"n_layer":10,"n_head":[12,...],"mlp_ratio":[2,...],
        "bias":false}`.

        Raises:
            InvalidArchitectureError: The text is anything else; names the key or layer and the rule.
        """
        fields = decode(text, MAX_TEXT)
        if not isinstance(fields, dict):
            raise InvalidArchitectureError(f"not a JSON object with the keys {', '.join(_KEYS)}")
        for name in (*_KEYS, *fields):
            if name not in fields or name not in _KEYS:
                raise InvalidArchitectureError(
                    f"key {short(name)} is {'missing' if name in _KEYS else 'none of a GPT'}; "
                    f"the keys are {', '.join(_KEYS)}"
                )
        depth = N_LAYERS[_choose("n_layer", fields["n_layer"], N_LAYERS)]
        digits = [
            _choose("embed_dim", fields["embed_dim"], EMBED_DIMS),
            _choose("bias", fields["bias"], BIASES),
        ]
        for name in ("n_head", "mlp_ratio"):
            if not isinstance(fields[name], list) or len(fields[name]) != depth:
                raise InvalidArchitectureError(
                    f"{name} must be a list of {depth} numbers, one a layer (n_layer)"
                )
        for layer, (heads, ratio) in enumerate(zip(fields["n_head"], fields["mlp_ratio"], strict=True), 1):
            digits.append(_choose(f"layer {layer}: n_head", heads, N_HEADS))
            digits.append(_choose(f"layer {layer}: mlp_ratio", ratio, MLP_RATIOS))
        return self._table(np.array([digits]))[0]

    def format(self, architecture: Architecture) -> str:
        """Write the network as compact JSON.

        Raises:
            InvalidArchitectureError: The architecture is not a network of this space.
        """
        embed_dim, bias, *layers = self._digits(architecture)
        values = (
            EMBED_DIMS[embed_dim],
            len(layers) // 2,
            [N_HEADS[digit] for digit in layers[::2]],
            [MLP_RATIOS[digit] for digit in layers[1::2]],
            BIASES[bias],
        )
        return encode(dict(zip(_KEYS, values, strict=True)))

    def all(self) -> ArchitectureTable:
        """Raise: the space is too large to list.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            f"the space has {self.size:.3g} architectures, too many to list; draw a sample (--sample)"
        )

    def sample(self, count: int, rng: np.random.Generator) -> ArchitectureTable:
        """Draw distinct networks uniformly; the deepest are the most.

        Raises:
            UsageError: More are asked for than there are.
        """
        if not 0 <= count <= self.size:
            raise UsageError(f"cannot draw {count} distinct architectures: the space has {self.size}")
        drawn = np.zeros(0, dtype=np.int64)  # positions in the list of all networks, by depth
        while len(drawn) < count:
            drawn = np.concatenate([drawn, rng.integers(self.size, size=count - len(drawn))])
            drawn = drawn[np.sort(np.unique(drawn, return_index=True)[1])]
        parts, order, begin = [], [], 0
        for depth, number in _COUNTS.items():
            rows = np.flatnonzero((begin <= drawn) & (drawn < begin + number))
            radices = (len(EMBED_DIMS), len(BIASES), *(len(N_HEADS), len(MLP_RATIOS)) * depth)
            digits = np.stack(np.unravel_index(drawn[rows] - begin, radices), axis=1)
            parts.append(self._table(digits))
            order.append(rows)
            begin += number
        return ArchitectureTable.concatenate(parts)[np.argsort(np.concatenate(order))]

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Change one number: the width, the biases, the heads or MLP ratio of a layer, or the depth.

        The depth changes by one layer anywhere; a new one is random.

        Raises:
            InvalidArchitectureError: The architecture is not a network of this space.
        """
        digits = self._digits(architecture)
        depth = len(digits) // 2 - 1
        place = int(rng.integers(len(digits) + 1))
        if place < len(digits):
            choices = (EMBED_DIMS, BIASES)[place] if place < 2 else (N_HEADS, MLP_RATIOS)[place % 2]
            digits[place] = (digits[place] + int(rng.integers(1, len(choices)))) % len(choices)
        elif depth == N_LAYERS[-1] or (depth > N_LAYERS[0] and rng.random() < 0.5):
            layer = 2 + 2 * int(rng.integers(depth))
            del digits[layer : layer + 2]
        else:
            layer = 2 + 2 * int(rng.integers(depth + 1))
            digits[layer:layer] = rng.integers([len(N_HEADS), len(MLP_RATIOS)]).tolist()
        return self._table(np.array([digits]))[0]

    def parameters(self, table: ArchitectureTable) -> FloatArray:
        """Count the parameters of the published network, (A,) float64, in any form of the graphs.

        Token embedding and output projection are counted with the embedding, a layer norm with what it comes
        before, the last with the embedding. The MLP is gated: two linear maps in, one out.

        Raises:
            UnknownNameError: The table's vocabulary has an operation or attribute that this space lacks.
        """
        sizes = node_sizes(table, self.operations)
        width, hidden = sizes["width"], sizes["hidden"]
        inner = HEAD_WIDTH * sizes["heads"]
        ids, names = table.columns.operation_ids, table.operations.names
        biased = np.isin(names, (ATTENTION[1], MLP[1]))[ids]
        attention = 4 * width * inner + 2 * width + biased * (3 * inner + width)
        mlp = 3 * width * hidden + 2 * width + biased * (2 * hidden + width)
        per_node = (
            np.isin(names, EMBEDDING)[ids] * (2 * VOCABULARY + 2) * width
            + np.isin(names, ATTENTION)[ids] * attention
            + np.isin(names, MLP)[ids] * mlp
        )
        return sum_by_row(table, per_node)

    def _table(self, digits: NDArray[np.int64]) -> ArchitectureTable:
        """Build networks of one depth.

        Args:
            digits: Choice numbers, (A, 2 + 2 depth): embed_dim and bias, then heads and MLP ratio by layer.
        """
        depth = digits.shape[1] // 2 - 1
        ids = np.zeros((len(digits), 3 + 3 * depth), dtype=np.int16)
        ids[:, 1] = self.operations.id(EMBEDDING)
        bias = digits[:, 1:2]
        ids[:, 2:-1:3] = self.operations.id(ATTENTION[0]) + bias
        ids[:, 3:-1:3] = self.operations.id(MLP[0]) + bias
        ids[:, 4:-1:3] = self.operations.id(ADD)
        ids[:, -1] = self.operations.id(OUTPUT)
        attributes = np.zeros((*ids.shape, len(self.operations.attributes)), dtype=np.float32)
        width, heads, hidden, layer = np.moveaxis(attributes, 2, 0)  # views, (A, n_nodes) each
        width[:, 1:-1] = np.array(EMBED_DIMS)[digits[:, :1]]
        heads[:, 2:-1:3] = np.array(N_HEADS)[digits[:, 2::2]]
        hidden[:, 3:-1:3] = np.array(MLP_RATIOS)[digits[:, 3::2]] * width[:, 1:2]
        layer[:, 2:-1] = np.repeat(np.arange(1, depth + 1), 3)
        return ArchitectureTable(Columns.repeated(ids, _edges(depth), attributes), self.operations)

    def _digits(self, architecture: Architecture) -> list[int]:
        """Return the choice numbers of a network of this space; raise for other architectures."""
        try:
            depth = N_LAYERS[N_LAYERS.index(architecture.n_nodes // 3 - 1)]
            sizes = dict(architecture.attributes)
            width = sizes["width"][1]
            digits = [EMBED_DIMS.index(int(width)), ATTENTION.index(architecture.operations[2])]
            for node in range(2, 2 + 3 * depth, 3):
                digits.append(N_HEADS.index(int(sizes["heads"][node])))
                digits.append(MLP_RATIOS.index(int(sizes["hidden"][node + 1] / width)))
            known = self._table(np.array([digits]))[0] == architecture
        except (KeyError, IndexError, ValueError):
            known = False
        if not known:
            raise InvalidArchitectureError(
                "not a GPT as written: those have an embedding and 10 to 12 layers of attention, mlp and "
                "add, all of one width"
            )
        return digits


def _edges(depth: int) -> list[tuple[int, int]]:
    """Return the wiring of a network: the residual stream, and what reads and joins it in each layer."""
    edges = [(0, 1)]
    for attention in range(2, 2 + 3 * depth, 3):
        stream, mlp, add = attention - 1, attention + 1, attention + 2
        edges += [(stream, attention), (stream, mlp), (stream, add), (attention, add), (mlp, add)]
    return [*edges, (1 + 3 * depth, 2 + 3 * depth)]


def _choose(what: str, value: Any, choices: tuple[int, ...]) -> int:
    """Return which of its choices a JSON value is; 1 is neither 1.0 nor true."""
    for number, choice in enumerate(choices):
        if type(value) is type(choice) and value == choice:
            return number
    plain = isinstance(value, int | float | str | None)
    said = encode(value) if plain else ("a list" if isinstance(value, list) else "an object")
    return choose(what, said, [encode(choice) for choice in choices])
