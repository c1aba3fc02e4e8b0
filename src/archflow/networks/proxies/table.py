"""Zero-cost proxies of whole tables of architectures, resumably, written as a table."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from archflow.errors import UsageError, short, unknown_name
from archflow.graphs import ArchitectureTable
from archflow.networks.journal import Journal
from archflow.networks.proxies.images import ImageBatch
from archflow.networks.proxies.measures import MEASURES
from archflow.networks.proxies.score import score_network
from archflow.networks.results import check_out, journal_path, write_results
from archflow.networks.skeleton import SKELETONS, Skeleton, build_network, count_flops, count_parameters
from archflow.progress import Report, silent
from archflow.protocols import FloatArray, Space
from archflow.records import versions
from archflow.workers import run_jobs

COUNTS = {"params": count_parameters, "flops": count_flops}
"""Every proxy that is counted from the graph as written, by name."""

PROXIES = (*COUNTS, *MEASURES)
"""Every proxy by name."""


Job = tuple[str, int]
"""The text that a network is known by, and the row of the graph that it is built from."""


@dataclasses.dataclass(frozen=True)
class ProxyConfig:
    """Which proxies, and of what network on what images.

    Attributes:
        proxies: Names in `PROXIES`, each once.
        skeleton: "full", the published network, or "reduced", one that a processor runs in milliseconds.
        images: "noise" or "digits" (`ImageBatch.draw`). Noise is the default because it favours no task and
            fits every network.
        batch_size: Images that each network sees.
        seed: Fixes the images and the weights, so that all networks start from the same draws.
    """

    proxies: tuple[str, ...]
    skeleton: str = "reduced"
    images: str = "noise"
    batch_size: int = 32
    seed: int = 0

    def check(self, space: Space) -> Skeleton:
        """Check every setting and return the skeleton of the space's networks.

        Raises:
            UsageError: The space has no networks, a proxy is given twice or none is, or the batch cannot be
                drawn.
            UnknownNameError: There is no such proxy, skeleton or kind of images.
        """
        if space.name not in SKELETONS:
            raise UsageError(f"space {short(space.name)} has no networks; {' and '.join(SKELETONS)} have")
        if not self.proxies:
            raise UsageError(f"no proxy is given; choose from: {', '.join(PROXIES)}")
        for name in self.proxies:
            if name not in PROXIES:
                raise unknown_name("proxy", name, PROXIES)
            if self.proxies.count(name) > 1:
                raise UsageError(f"proxy {name} is given {self.proxies.count(name)} times; give each once")
        if self.skeleton not in SKELETONS[space.name]:
            raise unknown_name("skeleton", self.skeleton, SKELETONS[space.name])
        skeleton = SKELETONS[space.name][self.skeleton]
        _batch(self, skeleton)
        return skeleton


@dataclasses.dataclass(frozen=True)
class ProxyRun:
    """What a run did.

    Attributes:
        out: The table it wrote.
        architectures: Rows of the table.
        networks: Networks that this call built and ran.
        restored: Networks that the journal of an interrupted call held.
        undefined: In how many rows a proxy is undefined, by name, where there are any.
    """

    out: Path
    architectures: int
    networks: int
    restored: int
    undefined: dict[str, int]


class ProxyJournal(Journal[str, dict[str, float]]):
    """The journal of a run: one line a network, keyed by the text of the first row that it stands for."""

    command = "proxies"
    piece = "network"
    again = "measure that network again"

    def encode(self, key: str, row: dict[str, float]) -> Mapping[str, Any]:
        """Turn a network's proxies into plain JSON values; an undefined one is null."""
        return {"arch": key, **{name: None if math.isnan(value) else value for name, value in row.items()}}

    def decode(self, line: Any) -> tuple[str, dict[str, float]]:
        """Turn them back."""
        values = {name: line[name] for name in self.header["proxies"] if name in MEASURES}
        row = {name: math.nan if value is None else float(value) for name, value in values.items()}
        return str(line["arch"]), row

    def name(self, key: str) -> str:
        """Say which network it is."""
        return short(key)


def measure_proxies(
    space: Space,
    table: ArchitectureTable,
    config: ProxyConfig,
    *,
    out: Path,
    texts: Sequence[str] | None = None,
    workers: int = 1,
    overwrite: bool = False,
    report: Report = silent,
) -> ProxyRun:
    """Measure zero-cost proxies of every architecture and write them as a table.

    Architectures with isomorphic collapsed graphs compute the same function, so that one network serves them
    all: that of the first of them, collapsed. Only `params` and `flops` are of each architecture as written.
    Each finished network is at once on the disk, in `journal_path(out)`; the same call after an
    interruption goes on from there.

    The table has the columns `arch` and one a proxy, a gap where it is undefined. A Parquet table carries
    what was run, with versions, as JSON in its schema metadata under "archflow"; a CSV table does not.

    Args:
        space: One that has networks (`SKELETONS`).
        table: Architectures as written; rows keep their order and may repeat.
        config: Which proxies, of what network, on what images.
        out: The table to write, `.parquet` or `.csv`.
        texts: What stands in the `arch` column; by default the space's format.
        workers: Processes, each on one core. They are spawned, so a script that calls this keeps the call
            under `if __name__ == "__main__":`.
        overwrite: Whether an existing `out` may be replaced.
        report: Told how far the run is, in networks.

    Returns:
        What the run did.

    Raises:
        UsageError: Arguments out of their range, or a space without networks.
        UnknownNameError: There is no such proxy, skeleton or kind of images.
        InvalidArchitectureError: An architecture is not of the space.
        OutputExistsError: `out` exists and `overwrite` is false.
        TableError: The journal belongs to another run or is damaged.
        JobError: A network failed; what finished before stays in the journal.
        KeyboardInterrupt: Ctrl-C, with a text that says how to go on.
    """
    skeleton = config.check(space)
    if workers < 1:
        raise UsageError(f"workers is {workers}; it must be 1 or more")
    if not len(table):
        raise UsageError("no architecture is given; give at least one")
    check_out(out, overwrite=overwrite)
    if texts is None:
        texts = [space.format(architecture) for architecture in table]
    columns: dict[str, FloatArray] = {
        name: COUNTS[name](space.name, table, skeleton) for name in config.proxies if name in COUNTS
    }
    names = [name for name in config.proxies if name in MEASURES]
    collapsed = table.collapsed()
    _, firsts, groups = np.unique(collapsed.keys(), return_index=True, return_inverse=True)
    keys = [texts[row] for row in firsts] if names else []  # counting needs no network
    header = {
        "space": space.name,
        **dataclasses.asdict(config),
        "proxies": list(config.proxies),
        "network": _plain(skeleton),
        "versions": versions("scikit-learn"),
    }
    with ProxyJournal(journal_path(out), header, keys) as journal:
        left = sorted((row, key) for row, key in zip(firsts, keys, strict=False) if key not in journal.rows)
        restored = len(keys) - len(left)
        report(restored, len(keys))
        jobs = [(key, int(row)) for row, key in left]
        measure = functools.partial(_measure, space.name, collapsed, skeleton, config, names)
        try:
            with closing(run_jobs(jobs, measure, workers=workers, name=_job_name)) as finished:
                for (key, _), values in finished:
                    journal.append(key, values)
                    report(len(journal.rows), len(keys))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped with {len(journal.rows)} of {len(keys)} networks in {journal.path}; "
                f"the same command goes on from there"
            ) from None
        for name in names:
            columns[name] = np.array([journal.rows[key][name] for key in keys])[groups]
        # an undefined proxy is a gap
        arrays = {name: pa.array(columns[name], from_pandas=True) for name in config.proxies}
        write_results(out, {"arch": pa.array(texts), **arrays}, header)
    journal.path.unlink()
    undefined = {name: int(np.isnan(columns[name]).sum()) for name in config.proxies}
    return ProxyRun(
        out=out,
        architectures=len(table),
        networks=len(left),
        restored=restored,
        undefined={name: count for name, count in undefined.items() if count},
    )


@functools.lru_cache(maxsize=1)
def _batch(config: ProxyConfig, skeleton: Skeleton) -> ImageBatch:
    batch = ImageBatch.draw(
        config.images,
        config.batch_size,
        image_shape=skeleton.image,
        classes=skeleton.classes,
        seed=config.seed,
    )
    images = batch.images.contiguous(memory_format=torch.channels_last)  # convolutions are quicker so
    return dataclasses.replace(batch, images=images)


def _measure(
    space_name: str,
    table: ArchitectureTable,
    skeleton: Skeleton,
    config: ProxyConfig,
    names: Sequence[str],
    job: Job,
) -> dict[str, float]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build_network(space_name, table[job[1]], skeleton)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return score_network(network, _batch(config, skeleton), names, seed=config.seed)


def _job_name(job: Job) -> str:
    return f"measuring {short(job[0])}"


def _plain(skeleton: Skeleton) -> dict[str, Any]:
    values = dataclasses.asdict(skeleton)
    return {**values, "channels": list(skeleton.channels), "image": list(skeleton.image)}
