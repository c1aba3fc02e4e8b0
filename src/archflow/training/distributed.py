"""Several processes that train one model: each encodes its share of a batch, all see the loss of the whole.

A loss that compares the graphs of a batch is no mean of the shares' losses. So every process draws the same
batch, runs the encoder over its share alone, and gets the others' embeddings from them; what comes after the
encoder is computed by all of them alike. The result is that of one process, up to rounding.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archflow.errors import ArchflowError, UsageError
from archflow.graphs import GraphBatch

_PATIENCE = datetime.timedelta(minutes=10)  # to wait for another process that neither answers nor ends


class ProcessLostError(ArchflowError, ConnectionError):
    """Another process of the run ended, or did not answer for ten minutes."""


class Processes:
    """The processes of a run; of a single one, every method returns at once what it was given.

    Attributes:
        number: Which one this is, from 0.
        count: How many there are.
        device: Where this one computes.
    """

    def __init__(self, number: int = 0, count: int = 1, device: torch.device | None = None) -> None:
        self.number, self.count, self.device = number, count, device or torch.device("cpu")
        self._asked_to_stop = False
        self._all_asked: Tensor | None = None

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files and talks to people."""
        return self.number == 0

    def share(self, length: int) -> tuple[int, int]:
        """Return where this process's share of so many rows begins and ends; empty where rows are few."""
        return self.number * length // self.count, (self.number + 1) * length // self.count

    def sharing(self, encoder: nn.Module) -> nn.Module:
        """Return the encoder as one that runs over this process's share and gives back the whole batch.

        Its dropout follows from the seed of torch's generator and the process's number, and leaves that
        generator alone, so that what the processes draw outside of the encoder stays alike.
        """
        return encoder if self.count == 1 else SharedEncoder(encoder, self)

    def average_gradients(self, module: nn.Module) -> None:
        """Put the mean over all processes in the place of each gradient; one that nobody has stays None.

        Raises:
            KeyboardInterrupt: A process was told to stop before the last call; raised in all of them.
            ProcessLostError: A process is gone.
        """
        if self.count == 1:
            return
        # What the last call found: to read what this one finds would be to wait for the device.
        if self._all_asked is not None and bool(self._all_asked):
            raise KeyboardInterrupt
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        flat = [(torch.zeros_like(w) if w.grad is None else w.grad).reshape(-1) for w in weights]
        marks = [float(w.grad is not None) for w in weights] + [float(self._asked_to_stop)]
        joined = torch.cat([*flat, flat[0].new_tensor(marks)])
        _add_up(joined)
        *sums, counts = torch.split(joined, [*map(len, flat), len(marks)])
        self._all_asked = counts[-1] > 0
        for weight, total, count in zip(weights, sums, counts[:-1], strict=True):
            if weight.grad is not None or bool(count > 0):
                weight.grad = (total / self.count).reshape(weight.shape)

    def agreed(self, value: float) -> float:
        """Return the main process's value, which decides for all; also, wait for all to get here."""
        if self.count == 1:
            return value
        shared = torch.tensor(value if self.main else 0.0, dtype=torch.float64, device=self.device)
        _add_up(shared)
        return float(shared)

    def wait(self) -> None:
        """Wait for all processes to get here."""
        self.agreed(0.0)

    def require_same(self, text: str) -> None:
        """Refuse to go on where the processes have different texts; also, wait for all to get here.

        Raises:
            UsageError: They do.
        """
        if self.count == 1:
            return
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
        ends = torch.tensor([number, -number], device=self.device)
        _add_up(ends, torch.distributed.ReduceOp.MAX)
        if int(ends.sum()):
            raise UsageError(
                "the processes of this run differ in settings, architectures or checkpoint; start all of "
                "them with one command, over the same files"
            )

    @contextlib.contextmanager
    def stopping_together(self) -> Iterator[None]:
        """Let SIGINT and SIGTERM to one process stop all of them, at the end of a step of the block."""
        if self.count == 1 or threading.current_thread() is not threading.main_thread():
            yield
            return
        self._asked_to_stop, self._all_asked = False, None

        def stop(number: int, frame: object) -> None:
            self._asked_to_stop = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


ALONE = Processes()
"""A single process."""


@contextlib.contextmanager
def launched_processes(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that `accelerate launch` or `torchrun` started together with this one.

    Args:
        device: "cuda" for a GPU a process, "cpu", or "auto" for GPUs where there are some.

    Yields:
        The processes, which part when the block ends; without a launcher this one alone, and accelerate is
        not needed.

    Raises:
        UsageError: There are several, but accelerate is not installed, they cannot have the device, they do
            not find each other, or they parted before.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if "RANK" not in os.environ or count == "1":
        yield ALONE
        return
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise UsageError(
            f"this is one of {count} processes, which need accelerate; "
            "install it with: pip install 'archflow[multi-gpu]'"
        ) from error
    on_cpu = _on_cpu(device)
    joined = torch.distributed.is_initialized()  # by the caller, who will part them
    try:
        state = PartialState(cpu=on_cpu, timeout=_PATIENCE)
    except (RuntimeError, ValueError, OSError) as error:
        PartialState._reset_state()
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UsageError(f"this process of {count} does not find the others ({reason})") from error
    if not torch.distributed.is_initialized():
        raise UsageError(
            "the processes have parted, or no launcher set LOCAL_RANK; do all that they share in one "
            "`with launched_processes()` block"
        )
    yield Processes(state.process_index, state.num_processes, state.device)
    if not joined:  # not after an error: the others may be gone, and parting would wait for them
        state.destroy_process_group()


def _on_cpu(device: str) -> bool:
    """Whether processes compute on the CPU.

    Raises:
        UsageError: They are to have GPUs and cannot, or the device is one that they would have to share.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"device {device!r} is for one process; several need a GPU each (--device cuda) or --device cpu"
        )
    gpus = torch.cuda.device_count()
    forced = os.environ.get("ACCELERATE_USE_CPU", "").lower() in ("true", "1")
    if device == "cpu" or (device == "auto" and (forced or not gpus)):
        return True
    place = os.environ.get("LOCAL_RANK", "0")
    if place.isdecimal() and int(place) >= gpus:
        raise UsageError(
            f"there are more processes than GPUs here ({gpus}); start as many, or pass --device cpu"
        )
    return False


class SharedEncoder(nn.Module):
    """An encoder that runs over a process's share of each batch and returns the embeddings of all of it.

    Args:
        encoder: An `Encoder`.
        processes: The processes that share.
    """

    def __init__(self, encoder: nn.Module, processes: Processes) -> None:
        super().__init__()
        self.encoder = encoder
        self.processes = processes
        self._draws = _OwnDraws(processes)

    def own_nodes(self, batch: GraphBatch) -> slice:
        """Return which nodes of a batch this process's encoder sees."""
        begin, end = self._shown(batch)
        first, last = batch.host.node_offsets[[begin, end]].tolist()
        return slice(first, last)

    def forward(self, batch: GraphBatch) -> Sequence[Tensor]:
        """Embed a batch: node embeddings (N, D) and graph embeddings (B, D), each sent when it is read."""
        begin, end = self._shown(batch)
        part = graphs_between(batch, begin, end)
        with self._draws:
            nodes, graphs = self.encoder(part)
        graph_place = slice(*self.processes.share(batch.n_graphs))
        node_place = self.own_nodes(batch)
        if graph_place.start == graph_place.stop:  # what was shown belongs to another
            nodes, graphs, node_place = nodes[:0], graphs[:0], slice(0, 0)
        return _Whole(
            (nodes, node_place, batch.n_nodes), (graphs, graph_place, batch.n_graphs), self.processes.count
        )

    def _shown(self, batch: GraphBatch) -> tuple[int, int]:
        """Return which graphs are encoded: the share, or one graph more for an encoder to have something."""
        begin, end = self.processes.share(batch.n_graphs)
        begin = min(begin, batch.n_graphs - 1)
        return begin, max(end, begin + 1)


def graphs_between(batch: GraphBatch, begin: int, end: int) -> GraphBatch:
    """Return the graphs from `begin` to before `end` as a batch of their own."""
    node_offsets, edge_offsets = batch.node_offsets[begin : end + 1], batch.edge_offsets[begin : end + 1]
    host = batch.host.node_offsets, batch.host.edge_offsets
    nodes, edges = (slice(int(offsets[begin]), int(offsets[end])) for offsets in host)
    return GraphBatch(
        batch.operation_ids[nodes],
        batch.sources[edges] - nodes.start,
        batch.targets[edges] - nodes.start,
        batch.graph_ids[nodes] - begin,
        node_offsets - nodes.start,
        edge_offsets - edges.start,
        batch.attributes[nodes],
    )


class _Whole(Sequence[Tensor]):
    """Embeddings of which each process has a part, put together once they are asked for.

    Args:
        parts: Of node and of graph embeddings, the own part, its place in the whole, and the whole's length.
        count: Number of processes.
    """

    def __init__(self, *parts_and_count: Any) -> None:
        *self._parts, self._count = parts_and_count
        self._whole: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: Any) -> Any:
        if number not in self._whole:
            self._whole[number] = _Gather.apply(*self._parts[number], self._count)  # type: ignore[no-untyped-call]
        return self._whole[number]


class _Gather(torch.autograd.Function):
    """Parts to the whole; backward, the whole's gradient to the part's."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, place: slice, length: int, count: int) -> Tensor:
        ctx.place, ctx.count = place, count
        whole = part.new_zeros(length, *part.shape[1:])
        whole[place] = part
        _add_up(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        # All processes have the whole gradient. What it does to the weights through this part is a share
        # of the sum over parts, but `average_gradients` will divide by their number.
        return ctx.count * gradients[0][ctx.place], None, None, None


class _OwnDraws:
    """A random stream of a process's own for the block, begun anew whenever the common one is seeded."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._seed: int | None = None
        self._own: list[Tensor] = []
        self._common: list[Tensor] = []

    def __enter__(self) -> None:
        seed = torch.initial_seed()
        self._common = self._states()
        if seed == self._seed:
            self._restore(self._own)
        else:
            self._seed = seed
            words = np.random.SeedSequence([seed, self._processes.number]).generate_state(1, np.uint64)
            torch.manual_seed(int(words[0] >> np.uint64(1)))

    def __exit__(self, *error: object) -> None:
        self._own = self._states()
        self._restore(self._common)

    def _states(self) -> list[Tensor]:
        device = self._processes.device
        return [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])

    def _restore(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        for state in states[1:]:
            torch.cuda.set_rng_state(state, self._processes.device)


def _add_up(values: Tensor, operation: Any = None) -> None:
    """Replace values by their sum, or another reduction, over all processes."""
    try:
        torch.distributed.all_reduce(values, operation or torch.distributed.ReduceOp.SUM)
    except RuntimeError as error:
        raise ProcessLostError(
            "another process of this run ended or does not answer; see what it said"
        ) from error
