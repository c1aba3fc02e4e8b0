"""A benchmark protocol: spaces x labels x methods x seeds, as plain values that JSON holds."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from archflow.datasets import MINIMUM_LABELS, Split, paper_split
from archflow.errors import CheckpointError, UsageError, plural

JsonDict = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class SpaceEntry:
    """A table of a protocol and the search space that its architectures are of.

    Attributes:
        space: Name of the search space, or a file that declares it.
        table: File name of the table, or "digits" for the embedded one.
        target: The column that is predicted.
        minimize: Whether a lower target is better.
        proxy_table: File name of the table that holds the proxy, or None for parameter counts.
        proxy_column: The column to rank by in pre-training, higher is better.
    """

    space: str
    table: str
    target: str
    minimize: bool = False
    proxy_table: str | None = None
    proxy_column: str | None = None


@dataclasses.dataclass(frozen=True)
class Selection:
    """A part of a protocol; None takes all.

    Attributes:
        spaces: Names of tables.
        labels: Amounts of labels.
        methods: Names of methods.
        permutations: Seeds of splits.
        model_seeds: Seeds of models.
    """

    spaces: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    methods: Sequence[str] | None = None
    permutations: Sequence[int] | None = None
    model_seeds: Sequence[int] | None = None

    def of(self, protocol: Protocol) -> Protocol:
        """Return the protocol with nothing but the selected parts."""

        def chosen(own: Sequence[Any], wanted: Sequence[Any] | None) -> list[Any]:
            return [one for one in own if wanted is None or one in wanted]

        return dataclasses.replace(
            protocol,
            spaces={name: protocol.spaces[name] for name in chosen(list(protocol.spaces), self.spaces)},
            labels=chosen(protocol.labels, self.labels),
            methods={name: protocol.methods[name] for name in chosen(list(protocol.methods), self.methods)},
            permutations=chosen(protocol.permutations, self.permutations),
            model_seeds=chosen(protocol.model_seeds, self.model_seeds),
        )


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What is compared, on what, and how often.

    Attributes:
        name: Its name.
        spaces: The tables by name.
        labels: Amounts of labels: "1%" is a share of the training pool, "78" a number.
        permutations: Seeds of the splits (`paper_split`).
        model_seeds: Seeds of models and of their pre-training.
        validation: Rows that choose the epoch of a fine-tuned encoder.
        methods: By method and table, the settings as plain values, every default filled in.
        quick: What `--quick` keeps.
    """

    name: str
    spaces: Mapping[str, SpaceEntry]
    labels: Sequence[str]
    permutations: Sequence[int]
    model_seeds: Sequence[int]
    validation: int
    methods: Mapping[str, Mapping[str, JsonDict]]
    quick: Selection | None = None

    def to_json(self) -> JsonDict:
        """Return the protocol as plain values, without the quick part: it is but a choice of runs."""
        value = dataclasses.asdict(dataclasses.replace(self, quick=None))
        del value["quick"]
        return dict(json.loads(json.dumps(value)))  # tuples become lists, as they will in a file

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Rebuild a protocol from what `to_json` returned.

        Raises:
            CheckpointError: A key is missing or unknown.
        """
        try:
            spaces = {name: SpaceEntry(**entry) for name, entry in value["spaces"].items()}
            return cls(**{**value, "spaces": spaces})
        except (TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"not a benchmark protocol: {error}") from error

    def combinations(self) -> Iterator[tuple[str, str, str, int, int]]:
        """Yield (table, labels, method, model seed, permutation): whole comparisons come first."""
        for model_seed in self.model_seeds:
            for permutation in self.permutations:
                for space in self.spaces:
                    for labels in self.labels:
                        for method, settings in self.methods.items():
                            if space in settings:
                                yield space, labels, method, model_seed, permutation


def split_rows(rows: int, labels: str, permutation: int, validation: int) -> Split:
    """Split a table as the paper does, with a share or a number of labels.

    Args:
        rows: Architectures of the table.
        labels: "1%" of the training pool, or a number such as "78".
        permutation: Seed of the permutation.
        validation: Number of validation rows.

    Raises:
        UsageError: The labels are fewer than 4 or more than the training pool, or no row is left to test.
    """
    pool = max(rows // 2, 1)
    share = float(labels[:-1]) / 100 if labels.endswith("%") else int(labels) / pool
    if not 0 < share <= 1:
        raise UsageError(f"{labels} labels: the training pool has {plural(pool, 'row')}, half of {rows}")
    count = int(pool * share + 1e-9)
    if count < MINIMUM_LABELS:
        raise UsageError(
            f"{labels} labels are {count} of the {plural(pool, 'row')} in the training pool; "
            f"at least {MINIMUM_LABELS} are needed"
        )
    return paper_split(rows, permutation, share, validation)
