"""Records of a benchmark as tables: mean and deviation over runs, for people, spreadsheets and papers."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archflow.benchmark.folder import BenchmarkFolder
from archflow.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A column of the tables.

    Attributes:
        key: Its name in JSON and CSV.
        title: What people read.
        get: Its value in a record, or None where a method has none.
        digits: Digits after the point.
        spread: Whether the deviation over runs is shown.
        best: max or min, for the best value of a table; None where there is no better.
    """

    key: str
    title: str
    get: Callable[[RunRecord], float | None]
    digits: int = 3
    spread: bool = True
    best: Callable[..., float] | None = max


def _score(key: str, title: str) -> Quantity:
    return Quantity(key, title, lambda record: float(record.scores[key]))


def _precision(percent: int) -> Quantity:
    key, at = f"precision_at_{percent}", str(percent)
    return Quantity(key, f"P@{percent}%", lambda record: float(record.scores["precision_at"][at]))


def _cost(key: str, title: str, digits: int = 0) -> Quantity:
    return Quantity(key, title, lambda record: record.cost.get(key), digits, spread=False, best=None)


QUANTITIES = (
    _score("kendall_tau", "Kendall tau"),
    _score("spearman", "Spearman"),
    *(_precision(percent) for percent in (1, 5, 10, 50)),
    _cost("fit_seconds", "fit s", 1),
    _cost("ranked_per_second", "ranked/s"),
    _cost("parameters", "parameters"),
    _cost("pretrain_seconds", "pre-train s", 1),
)
"""What is shown of a method."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A method in a comparison.

    Attributes:
        method: Its name.
        runs: Finished runs.
        expected: Runs of the whole protocol.
        failed: Runs that failed last time.
        mean: Mean over the finished runs, by quantity; missing where there is none.
        std: Standard deviation over the finished runs, divided by their number.
    """

    method: str
    runs: int
    expected: int
    failed: int
    mean: Mapping[str, float]
    std: Mapping[str, float]


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """The methods on one table with one amount of labels.

    Attributes:
        table: Name of the table in the protocol.
        target: What was predicted.
        labels: Amount of labels, as in the protocol.
        labelled: Labelled architectures.
        rows: One a method, in the order of the protocol.
    """

    table: str
    target: str
    labels: str
    labelled: int
    rows: Sequence[Row]

    @property
    def title(self) -> str:
        """A line above the table."""
        share = f"{self.labels}, {self.labelled}" if self.labels.endswith("%") else self.labels
        return f"{self.table}, {self.target}, {share} labels"

    def best(self, quantity: Quantity) -> float | None:
        """Return the best mean as it is shown, or None where nothing can be best."""
        key, digits = quantity.key, quantity.digits
        means = [round(row.mean[key], digits) for row in self.rows if key in row.mean]
        return quantity.best(means) if quantity.best is not None and len(means) > 1 else None


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a benchmark folder holds.

    Attributes:
        name: Name of the protocol.
        comparisons: One a table and amount of labels.
        finished: Finished runs.
        expected: Runs of the whole protocol.
        failures: Why jobs failed last time, by their id.
    """

    name: str
    comparisons: Sequence[Comparison]
    finished: int
    expected: int
    failures: Mapping[str, str]

    @property
    def status(self) -> str:
        """One line: how many runs there are, are missing and have failed."""
        text = f"{self.name}: {self.finished} of {self.expected} runs"
        failed = sum(row.failed for comparison in self.comparisons for row in comparison.rows)
        return f"{text}, {failed} failed" if failed else text

    def to_json(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        return dataclasses.asdict(self)

    def to_markdown(self) -> str:
        """Return one Markdown table a comparison; the best value of a column is bold."""
        blocks = [f"# {_markdown(self.name)}", _markdown(self.status) + "."]
        for comparison in self.comparisons:
            head = ["method", *(quantity.title for quantity in QUANTITIES), "runs"]
            lines = [_pipes(head), "|---" + "|---:" * (len(head) - 1) + "|"]
            for row in comparison.rows:
                cells = cells_of(comparison, row, "**{}**", " ± ")
                lines.append(_pipes([_markdown(row.method), *cells]))
            blocks += [f"## {_markdown(comparison.title)}", "\n".join(lines)]
        return "\n\n".join(blocks) + "\n"

    def to_csv(self) -> str:
        """Return one line a method and comparison, with every digit."""
        numbers = [f"{q.key}_{part}" for q in QUANTITIES for part in ("mean", "std")]
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        about = ["table", "target", "labels", "labelled"]
        writer.writerow([*about, "method", "runs", "expected", "failed", *numbers])
        for comparison in self.comparisons:
            own = [getattr(comparison, name) for name in about]
            for row in comparison.rows:
                values = [part.get(q.key, "") for q in QUANTITIES for part in (row.mean, row.std)]
                writer.writerow([*own, row.method, row.runs, row.expected, row.failed, *values])
        return buffer.getvalue()

    def to_latex(self) -> str:
        """Return one booktabs table a comparison; the best value of a column is bold."""
        blocks = ["% needs \\usepackage{booktabs}"]
        for comparison in self.comparisons:
            head = ["Method", *(_latex(quantity.title) for quantity in QUANTITIES), "Runs"]
            lines = [
                "\\begin{table}",
                "\\centering",
                f"\\caption{{{_latex(comparison.title)}}}",
                f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
                "\\toprule",
                " & ".join(head) + " \\\\",
                "\\midrule",
            ]
            for row in comparison.rows:
                cells = cells_of(comparison, row, "\\textbf{{{}}}", " $\\pm$ ")
                lines.append(" & ".join([_latex(row.method), *cells]) + " \\\\")
            blocks.append("\n".join([*lines, "\\bottomrule", "\\end{tabular}", "\\end{table}"]))
        return "\n\n".join(blocks) + "\n"


def summarise(folder: Path) -> Summary:
    """Read the records of a benchmark folder, and nothing else of it.

    Raises:
        UsageError: The folder holds no benchmark.
        CheckpointError: Something in it is damaged.
    """
    opened = BenchmarkFolder.open(folder)
    records, failures, runs = opened.records(), opened.failures(), opened.plan()
    comparisons = []
    for table, entry in opened.protocol.spaces.items():
        for labels in opened.protocol.labels:
            mine = [run for run in runs if (run.config["table"], run.config["labels"]) == (table, labels)]
            rows = []
            for method in opened.protocol.methods:
                own = [run.id for run in mine if run.config["method"] == method]
                if own:
                    found = [records[name] for name in own if name in records]
                    failed = sum(name in failures and name not in records for name in own)
                    rows.append(_row(method, found, len(own), failed))
            if rows:
                labelled = mine[0].config["labelled"]
                comparisons.append(Comparison(table, entry.target, labels, labelled, rows))
    return Summary(opened.protocol.name, comparisons, len(records), len(runs), failures)


def cells_of(comparison: Comparison, row: Row, bold: str = "{}", joint: str = " ± ") -> list[str]:
    """Return the cells after the method's name: each quantity, and the finished runs.

    Args:
        comparison: Knows the best values.
        row: The method.
        bold: How the best value of a column is written.
        joint: What stands between mean and deviation.
    """
    cells = []
    for quantity in QUANTITIES:
        mean = row.mean.get(quantity.key)
        if mean is None:
            cells.append("-")
            continue
        text = f"{mean:.{quantity.digits}f}"
        if quantity.spread:
            text += f"{joint}{row.std[quantity.key]:.{quantity.digits}f}"
        is_best = round(mean, quantity.digits) == comparison.best(quantity)
        cells.append(bold.format(text) if is_best else text)
    return [*cells, str(row.runs) if row.runs == row.expected else f"{row.runs} of {row.expected}"]


def _row(method: str, records: Sequence[RunRecord], expected: int, failed: int) -> Row:
    mean, std = {}, {}
    for quantity in QUANTITIES:
        values = [value for value in map(quantity.get, records) if value is not None]
        if values:
            mean[quantity.key], std[quantity.key] = float(np.mean(values)), float(np.std(values))
    return Row(method, len(records), expected, failed, mean, std)


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]<>#|" else letter for letter in text)


_LATEX = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}"}


def _latex(text: str) -> str:
    return "".join(_LATEX.get(one, f"\\{one}" if one in "&%$#_{}" else one) for one in text)
