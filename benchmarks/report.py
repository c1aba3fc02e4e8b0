"""What `make bench` measured, as the figures of docs/speed.md: what is promised, and how the cost grows.

    python benchmarks/report.py

Figures come from RESULTS/*.json alone. What was not run says so. A table that a result lacks is named, and
the exit code is 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from archflow.files import atomic_path
from everything import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "speed.md"
BEGIN, END = "<!-- figures: python benchmarks/report.py -->\n", "<!-- end of figures -->\n"

UNITS = {
    "x": ">=",  # architectures a second, over those of the reference
    "x quicker": ">=",  # seconds of the reference, over these
    "x sooner": ">=",  # the same, seed by seed
    "archs/s": ">=",
    "of the reference": "<=",  # seconds, over those of the reference
    "s": "<=",
    "GB": "<=",
}
"""What a figure may be, and on which side of the aim it should be."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """Something that archflow should reach, and where its figure is.

    Attributes:
        work: What is done.
        aim: The figure to reach.
        unit: One of `UNITS`.
        result: Name of the file of results, without its suffix.
        place: A part of the table's title and the beginning of the row; or, for bytes, keys of the file; or
            nothing for what has seeds and no table.
        reference: The beginning of the row compared with.
    """

    work: str
    aim: float
    unit: str
    result: str
    place: tuple[str, ...]
    reference: str = ""


SURROGATE_101, FLOW, WAIT = "surrogate_nasbench101", "operation_flow", "fit_and_rank"
LOOP, PYG, MASKS, FORMER = "plain loop", "torch_geometric", "masks, as published", "flowerformer"
WRITTEN, COLLAPSED = "15,625 NAS-Bench-201 cells, as-written", "15,625 NAS-Bench-201 cells, collapsed"
TOP, WHOLE = "fit and rank, top", "fit and rank, all"
TEN, ONE = "10,000,000 cells", "1,000,000 cells"

CLAIMS = (
    Claim("paper surrogate, NAS-Bench-201", 400, "x", "surrogate", ("201", "FlowSurrogate"), LOOP),
    Claim("paper surrogate, NAS-Bench-101", 150, "x", SURROGATE_101, ("101", "FlowSurrogate"), LOOP),
    Claim("operation-aware flow, NAS-Bench-201", 150_000, "archs/s", FLOW, ("201", "OperationFlow")),
    Claim("operation-aware flow, NAS-Bench-101", 60_000, "archs/s", FLOW, ("101", "OperationFlow")),
    Claim("GIN ranks, as written", 5, "x", "ranking", (f"gin, {WRITTEN}", "nodes shared"), PYG),
    Claim("GIN ranks, collapsed", 5, "x", "ranking", (f"gin, {COLLAPSED}", "nodes shared"), PYG),
    Claim("gated GCN ranks, as written", 8, "x", "ranking", (f"gated_gcn, {WRITTEN}", "nodes shared"), PYG),
    Claim("gated GCN ranks, collapsed", 8, "x", "ranking", (f"gated_gcn, {COLLAPSED}", "nodes shared"), PYG),
    Claim("FlowerFormer ranks, as written", 5, "x", FORMER, ("as-written", "flowerformer"), MASKS),
    Claim("FlowerFormer ranks, collapsed", 5, "x", FORMER, ("collapsed", "flowerformer"), MASKS),
    Claim("GIN against FlowerFormer, as written", 15, "x", FORMER, ("as-written", "gin"), FORMER),
    Claim("GIN against FlowerFormer, collapsed", 15, "x", FORMER, ("collapsed", "gin"), FORMER),
    Claim("GIN pre-trains to the plain loop's loss", 5, "x sooner", "pretraining", (), LOOP),
    Claim("auto fits and ranks, intervals of 100", 100, "x quicker", WAIT, (TOP, "auto"), FORMER),
    Claim("the same", 3, "s", WAIT, (TOP, "auto")),
    Claim("auto fits and ranks, intervals of all", 100, "x quicker", WAIT, (WHOLE, "auto"), FORMER),
    Claim("the same", 3, "s", WAIT, (WHOLE, "auto")),
    Claim("ten million cells, as one table", 2, "GB", "ten_million", ("table_bytes", TEN)),
    Claim("ten million cells, ranked by gin", 600, "s", "ten_million", (TEN, "gin")),
    Claim("memory of that", 4, "GB", "ten_million", ("peak_bytes", TEN, "gin")),
    Claim("ten million cells, ranked by auto", 600, "s", "ten_million", (TEN, "auto")),
    Claim("memory of that", 4, "GB", "ten_million", ("peak_bytes", TEN, "auto")),
    Claim("memory with one million cells, auto", 4, "GB", "one_million", ("peak_bytes", ONE, "auto")),
    Claim("import archflow", 1.2, "of the reference", "import_time", ("", "import archflow"), "import torch"),
)  # fmt: skip

Results = dict[str, dict[str, Any]]


class MissingError(LookupError):
    """A result without the table, row or figure that a claim names."""


def read_results(folder: Path) -> Results:
    """Read all results, by the name of the benchmark."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def rows_of(claim: Claim, result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the row of a claim, and that of its reference if it has one."""
    title, *_ = claim.place
    tables = [rows for name, rows in result.get("results", {}).items() if title in name]
    if len(tables) != 1:
        raise MissingError(f"{claim.result}.json: {len(tables)} tables have {title!r} in their title")
    for start in filter(None, (claim.place[-1], claim.reference)):
        same = [row for row in tables[0] if row["name"] == start]
        rows = same or [row for row in tables[0] if row["name"].startswith(start)]
        if len(rows) != 1:
            raise MissingError(f"{claim.result}.json: {len(rows)} rows of {title!r} begin with {start!r}")
        yield rows[0]


def measured(claim: Claim, result: dict[str, Any]) -> tuple[float, str, float | None]:
    """Return the figure of a claim, the name of its reference, and the largest spread of repeated runs.

    Raises:
        MissingError: The result does not have it.
    """
    if claim.unit == "GB":
        value: Any = result
        for key in claim.place:
            if key not in value:
                raise MissingError(f"{claim.result}.json: no figure {', '.join(claim.place)}")
            value = value[key]
        return value / 1e9, "", None
    if claim.unit == "x sooner":
        ratios = [run["ratio"] for run in result.get("runs", []) if "ratio" in run]
        if not ratios:
            raise MissingError(f"{claim.result}.json: no runs with a ratio")
        spread = max(ratios) / min(ratios) - 1 if len(ratios) > 1 and min(ratios) else None
        return statistics.median(ratios), claim.reference, spread
    rows = list(rows_of(claim, result))
    seconds = [statistics.median(row["seconds"]) for row in rows]
    rates = [row["count"] / median for row, median in zip(rows, seconds, strict=True)]
    figures = {
        "x": rates[0] / rates[-1],
        "x quicker": seconds[-1] / seconds[0],
        "archs/s": rates[0],
        "of the reference": seconds[0] / seconds[-1],
        "s": seconds[0],
    }
    repeated = [row["seconds"] for row in rows if len(row["seconds"]) > 1]
    spread = max((max(runs) / min(runs) - 1 for runs in repeated), default=None)
    return figures[claim.unit], rows[-1]["name"] if claim.reference else "", spread


def claims_table(results: Results) -> tuple[list[str], list[str]]:
    """Return the lines of the table of claims, and what is missing in the results."""
    lines = ["| work | compared with | aim | measured | spread | reached |", "|---|---|---|---|---|---|"]
    missing = []
    for claim in CLAIMS:
        aim = f"{UNITS[claim.unit]} {_with_unit(f'{claim.aim:,g}', claim.unit)}"
        reference, cells = claim.reference, ["not run", "", ""]
        if claim.result in results:
            try:
                value, reference, spread = measured(claim, results[claim.result])
            except MissingError as error:
                missing.append(str(error))
                cells = ["missing", "", ""]
            else:
                reached = value >= claim.aim if UNITS[claim.unit] == ">=" else value <= claim.aim
                digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
                cells = [
                    _with_unit(f"{value:,.{digits}f}", claim.unit),
                    "-" if spread is None else f"{spread:.0%}",
                    "yes" if reached else "no",
                ]
        lines.append(f"| {claim.work} | {reference or '-'} | {aim} | {' | '.join(cells)} |")
    return lines, missing


def _with_unit(number: str, unit: str) -> str:
    return f"{number}{'' if unit == 'x' else ' '}{unit}"


def growth(result: dict[str, Any]) -> list[str]:
    """Return the table and the plot of scale.json, costliest work first."""
    tables = sorted(result["results"].items(), key=lambda table: -max(table[1][-1]["seconds"]))
    counts = [row["count"] for row in tables[0][1]]
    lines = [f"| seconds, and us a cell | {' | '.join(f'{count:,}' for count in counts)} | exponent |"]
    lines.append("|---|" + "---|" * (len(counts) + 1))
    curves = []
    for name, rows in tables:
        seconds = [statistics.median(row["seconds"]) for row in rows]
        cells = [
            f"{taken:,.2f}, {1e6 * taken / row['count']:.1f}"
            for taken, row in zip(seconds, rows, strict=True)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} | {result['exponents'].get(name, math.nan):.2f} |")
        curves.append("    line [" + ", ".join(f"{math.log10(taken):.3f}" for taken in seconds) + "]")
    names = ", ".join(name for name, _ in tables)
    axis = ", ".join(f'"{count:,}"' for count in counts)
    return [
        *lines,
        "",
        "```mermaid",
        "xychart-beta",
        f'    title "from above: {names}"',
        f'    x-axis "cells" [{axis}]',
        '    y-axis "seconds, logarithm to base 10"',
        *curves,
        "```",
    ]


def hardware_of(results: Results) -> list[str]:
    """Return a line for each machine, or set of versions, that results come from."""
    machines: dict[str, list[str]] = {}
    for name, result in results.items():
        line = ", ".join(f"{what} {value}" for what, value in result["hardware"].items())
        machines.setdefault(line, []).append(name)
    one = len(machines) == 1
    return [line if one else f"{', '.join(names)}: {line}" for line, names in machines.items()]


def figures(results: Results) -> tuple[str, list[str]]:
    """Return the figures as Markdown, and what is missing in the results."""
    table, missing = claims_table(results)
    parts = [*hardware_of(results), "\n".join(table)]
    if shares := results.get("fit_and_rank", {}).get("shares_of_auto"):
        listed = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        parts.append(f"A ranking of NAS-Bench-201 by `auto`, profiled: {listed}.")
    if taus := results.get("fit_and_rank", {}).get("kendall_tau"):
        listed = ", ".join(f"{name} {tau:.3f}" for name, tau in taus.items())
        parts.append(f"Kendall's tau of what was timed there: {listed}.")
    if "scale" in results:
        parts.append("\n".join(growth(results["scale"])))
    return "\n\n".join(parts) + "\n", missing


def main() -> int:
    """Put the figures into the page; 1 if a result lacks some."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="where `make bench` put its figures")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose figures are replaced")
    arguments = parser.parse_args()
    text, missing = figures(read_results(arguments.results))
    before, begin, rest = arguments.page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{arguments.page}: has no lines {BEGIN.strip()} and {END.strip()}")
    with atomic_path(arguments.page) as temporary:
        temporary.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
    print(f"wrote {arguments.page}")
    for reason in missing:
        print(reason, file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
