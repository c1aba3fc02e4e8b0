"""The paper's flow surrogate: a fixed random simulation of how data flows through an architecture.

Source: Kim, Hwang and Shin, "Learning to Flow from Generative Pretext Tasks for Neural Architecture
Encoding", NeurIPS 2025, arXiv 2510.18360 (FGP).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from archflow.errors import UsageError, unknown_name
from archflow.flow.simulation import DIRECTIONS, Direction, Flow, Run
from archflow.graphs import LOGARITHM, ArchitectureTable, AttributeScale, Operations
from archflow.graphs.columns import IntArray

_WIDE = 64  # numbers a state from which on those of equal nodes are shared


@dataclasses.dataclass(frozen=True)
class SurrogateConfig:
    """The settings of a surrogate.

    Attributes:
        width: k, the length of the surrogate vector.
        std: Standard deviation of the random maps P and W.
        alpha: How much of a node's message passes on unchanged, between 0 and 1.
    """

    width: int = 7
    std: float = 0.1
    alpha: float = 0.5

    def __post_init__(self) -> None:
        whole = isinstance(self.width, int) and self.width >= 1
        if not (whole and 0 < self.std < float("inf") and 0 <= self.alpha <= 1):
            raise UsageError(
                f"a surrogate needs a whole width >= 1, a finite std > 0 and alpha in [0, 1], not {self}"
            )


PUBLISHED = {
    "nasbench101": SurrogateConfig(width=4, std=1.0),
    "nasbench201": SurrogateConfig(width=7, std=0.1),
    "darts": SurrogateConfig(width=12, std=0.1),
}
"""The paper's settings by search space; DARTS is the space of NAS-Bench-301."""


@dataclasses.dataclass(frozen=True)
class FlowSurrogate(Flow):
    """FGP's flow surrogate s(G) in R^k, for tables of architectures: called with one it returns (A, k).

    Start with h_v = 0, and h_i = r at every input node i. Forward, generation by generation,
    m_v = sum of h_u over edges u -> v and h_v <- alpha m_v + (1 - alpha) relu([x_v P ; m_v] W); then
    backward the same on reversed edges, starting from the forward states; s(G) is the sum of h_i over the
    input nodes. A node without incoming edges in a pass keeps its state in that pass: the output in the
    backward one, as published, and likewise dead ends of graphs as written, on which the paper is silent.
    Where nodes have attributes, x_v is the one-hot operation followed by them, on one scale.

    In one direction alone, s(G) is the output node's state after the forward pass, or, where r starts at the
    output node and h_v = 0 at all others, the sum of h_i over the input nodes after the backward pass.

    Attributes:
        operations: The vocabulary, d operations and F attributes.
        start: r, (k,) float64.
        operation_map: P, (d + F, k) float64.
        state_map: W, (2 k, k) float64.
        alpha: How much of a message passes on unchanged.
        scale: The scale of the attributes.
        direction: Which passes to simulate, one of `DIRECTIONS`.

    Raises:
        UnknownNameError: There is no such direction.
    """

    operations: Operations
    start: NDArray[np.float64]
    operation_map: NDArray[np.float64]
    state_map: NDArray[np.float64]
    alpha: float
    scale: AttributeScale = LOGARITHM
    direction: Direction = "both"

    def __post_init__(self) -> None:
        if self.direction not in DIRECTIONS:
            raise unknown_name("direction", self.direction, DIRECTIONS)

    @classmethod
    def draw(
        cls,
        operations: Operations,
        config: SurrogateConfig,
        seed: int = 0,
        scale: AttributeScale = LOGARITHM,
    ) -> FlowSurrogate:
        """Draw r ~ U(0, 1), P ~ N(0, std^2) and W ~ N(0, std^2) once, to be kept with the model.

        Args:
            operations: The vocabulary of the tables to come.
            config: Width, standard deviation and alpha.
            seed: Seed of the draw.
            scale: The scale of the attributes; by default only their logarithm is taken.
        """
        rng = np.random.default_rng(seed)
        width, rows = config.width, len(operations) + len(operations.attributes)
        return cls(
            operations,
            rng.uniform(size=width),
            rng.normal(scale=config.std, size=(rows, width)),
            rng.normal(scale=config.std, size=(2 * width, width)),
            config.alpha,
            scale,
        )

    @property
    def width(self) -> int:
        """k, the length of the surrogate vector."""
        return len(self.start)

    def _runs(self, table: ArchitectureTable, dtype: type[np.floating]) -> list[Run]:
        return [(self.direction, self._maps(dtype))]

    def _maps(self, dtype: type[np.floating]) -> _Maps:
        # [x P ; m] W = x (P W_top) + m W_bottom, and x picks a row: one small table instead of a product.
        node_map = (1 - self.alpha) * (self.operation_map @ self.state_map[: self.width])
        message_map = (1 - self.alpha) * self.state_map[self.width :] + self.alpha * np.eye(self.width)
        never = np.zeros(len(self.operations), dtype=bool)
        return _Maps(
            self.start.astype(dtype),
            node_map[: len(self.operations)].astype(dtype),
            node_map[len(self.operations) :].astype(dtype),
            message_map.astype(dtype),
            self.scale,
            dtype(self.alpha),
            never,
        )


@dataclasses.dataclass(frozen=True)
class _Maps:
    """The surrogate's matrices in the form and precision that the simulation uses.

    As 1 - alpha is not negative, alpha m + (1 - alpha) relu(z) is the larger of alpha m and alpha m +
    (1 - alpha) z: these hold what turns x and m into the latter.
    """

    start: NDArray[np.floating]  # (k,)
    operation_terms: NDArray[np.floating]  # (d, k)
    attribute_map: NDArray[np.floating]  # (F, k)
    message_map: NDArray[np.floating]  # (k, k)
    scale: AttributeScale
    alpha: np.floating
    zero: NDArray[np.bool_]  # (d,)

    quiet = False

    @property
    def passes(self) -> NDArray[np.bool_]:
        """Which operations emit the state of a single sender: like `zero`, none."""
        return self.zero

    @property
    def costly(self) -> bool:
        """Whether a state is so wide that finding an equal one costs less."""
        return len(self.start) >= _WIDE

    def update(
        self, operation_ids: IntArray, attributes: NDArray[np.float32], messages: NDArray[np.floating]
    ) -> None:
        """Turn messages m, (n, k), into alpha m + (1 - alpha) relu([x P ; m] W)."""
        mixed = messages.dot(self.message_map)  # for few rows faster than @
        mixed += self.operation_terms.take(operation_ids, axis=0, mode="clip")
        if len(self.attribute_map):
            mixed += self.scale(attributes).astype(mixed.dtype) @ self.attribute_map
        messages *= self.alpha
        np.maximum(messages, mixed, out=messages)
