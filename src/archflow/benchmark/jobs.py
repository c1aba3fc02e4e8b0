"""The jobs of a benchmark: encoders to pre-train once, and the runs that share them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from archflow.benchmark.protocol import Protocol, split_rows

JsonDict = dict[str, Any]


@dataclasses.dataclass(frozen=True, eq=False)
class EncoderJob:
    """A pre-training run; neither labels nor the split matter to it.

    Attributes:
        id: Name of its folder.
        table: Name of the table that it sees.
        settings: The choices of the run, its seed among them.
        runs: How many runs of the whole protocol share it.
    """

    id: str
    table: str
    settings: JsonDict
    runs: int

    @property
    def title(self) -> str:
        """What people call it."""
        return f"pre-training {self.settings['encoder']['name']} on {self.table}"


@dataclasses.dataclass(frozen=True, eq=False)
class RunJob:
    """A method fitted on the labels of one split and scored on its test rows.

    Attributes:
        id: Name of its record.
        config: Every choice, as the record holds it.
        seeds: Seed of the model and of the permutation.
        data_digest: SHA-256 of the table's file.
        encoder: The job that pre-trains its encoder, if it needs one.
    """

    id: str
    config: JsonDict
    seeds: dict[str, int]
    data_digest: str
    encoder: EncoderJob | None

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.config['method']} on {self.config['table']}, {self.config['labels']} labels"


Job = EncoderJob | RunJob


def plan(protocol: Protocol, data: Mapping[str, JsonDict]) -> list[RunJob]:
    """Return all runs of a protocol, by model seed, then permutation, table, labels and method.

    Args:
        protocol: The protocol.
        data: What identifies each table (`SpaceData.identity`); the others are left out.
    """
    labelled = {
        (name, labels): len(split_rows(data[name]["rows"], labels, 21, protocol.validation).labelled)
        for name in data
        for labels in protocol.labels
    }
    combinations = [one for one in protocol.combinations() if one[0] in data]
    needed = [
        _encoder_settings(protocol, space, method, model_seed)
        for space, _, method, model_seed, _ in combinations
    ]
    names = [
        None if settings is None else digest_of([data[space]["graphs"], data[space]["proxy"], settings])[:16]
        for (space, *_), settings in zip(combinations, needed, strict=True)
    ]
    shared = Counter(names)
    encoders: dict[str, EncoderJob] = {}
    runs = []
    for (space, labels, method, model_seed, permutation), settings, name in zip(
        combinations, needed, names, strict=True
    ):
        encoder = None
        if name is not None and settings is not None:
            encoder = encoders.setdefault(name, EncoderJob(name, space, settings, shared[name]))
        entry = protocol.spaces[space]
        config = {
            "protocol": protocol.name,
            "table": space,
            "space": entry.space,
            "target": entry.target,
            "minimize": entry.minimize,
            "rows": data[space]["rows"],
            "labels": labels,
            "labelled": labelled[space, labels],
            "validation": protocol.validation,
            "method": method,
            "settings": {**protocol.methods[method][space], "pretraining": settings},
            "pretrained_on": None if settings is None else _SEEN,
            "encoder": name,
        }
        seeds = {"model": model_seed, "permutation": permutation}
        digest = data[space]["table"]
        runs.append(RunJob(run_id(config, seeds, digest), config, seeds, digest, encoder))
    return runs


_SEEN = "every architecture of the table, those to be predicted among them, and no label (transductive)"


def run_id(config: JsonDict, seeds: Mapping[str, int], data_digest: str | None) -> str:
    """Name a run: readable, and another name for any other choice or table."""
    labels = str(config["labels"]).replace("%", "percent")
    words = [config["table"], labels, config["method"], f"m{seeds['model']}", f"p{seeds['permutation']}"]
    readable = "-".join(re.sub(r"[^A-Za-z0-9+._]+", "-", str(word))[:60].strip("-.") for word in words)
    return f"{readable}-{digest_of([config, seeds, data_digest])[:10]}"


def digest_of(value: Any) -> str:
    """Return the SHA-256 of plain values as 64 hexadecimal digits."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _encoder_settings(protocol: Protocol, space: str, method: str, model_seed: int) -> JsonDict | None:
    settings = protocol.methods[method][space]["pretraining"]
    return None if settings is None else {**settings, "seed": model_seed}
