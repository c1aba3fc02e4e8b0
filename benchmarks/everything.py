"""Every benchmark, one after the other, each in a process of its own; what `make bench` runs.

    python benchmarks/everything.py
    python benchmarks/everything.py --quick --only import_time scale

What a run prints goes to RESULTS/NAME.txt, too, and its figures to RESULTS/NAME.json, which `python
benchmarks/report.py` turns into docs/speed.md. A run that fails is named at the end, and the others go on.
--quick takes small sizes, which show that everything works and say little about speed; it has a folder of
its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import time
from pathlib import Path

from archflow.errors import unknown_name

HERE = Path(__file__).parent
RESULTS = HERE / "results"
QUICK = RESULTS / "quick"


@dataclasses.dataclass(frozen=True)
class Run:
    """A benchmark as it is run here.

    Attributes:
        script: The file, without its suffix.
        options: What it is called with.
        quick: What it is called with under --quick; None if that would be no quicker.
        writes: Whether it takes --json.
    """

    script: str
    options: str = ""
    quick: str | None = "--repeats 1"
    writes: bool = True


RUNS = {
    "import_time": Run("import_time"),
    "surrogate": Run("surrogate"),
    "surrogate_nasbench101": Run("surrogate", "--nasbench101", None),
    "operation_flow": Run("operation_flow"),
    "ranking": Run("ranking"),
    "ranking_nasbench101": Run("ranking", "--nasbench101 --repeats 1", None),
    "flowerformer": Run("flowerformer", quick="--forms collapsed --repeats 1"),
    "encoders": Run("encoders", "--repeats 2", "--encoders gin --forms collapsed --repeats 1"),
    "pretraining": Run("pretraining", quick=None),
    "fit_and_rank": Run("fit_and_rank", "--repeats 3", "--repeats 1 --reference-epochs 2"),
    "scale": Run("scale", "--repeats 3", "--counts 1000 10000 --repeats 1"),
    "one_million": Run("ten_million", "--count 1000000", "--count 5000"),
    "ten_million": Run("ten_million", "", "--count 10000"),
    "onnx_import": Run("onnx_import"),
    "digits_noise": Run("digits_noise", quick="", writes=False),
    "defaults": Run("defaults", quick=None, writes=False),
}

LEFT_OUT = {
    "every_space": "makes docs/every-space.md, with the tables in ARCHFLOW_DATA",
    "predictors": "makes docs/predictor-results.md, with the tables in ARCHFLOW_DATA",
    "proxies": "compares with a table in ARCHFLOW_DATA, for an hour",
}
"""Scripts that are not run here, and why."""


def carry_out(name: str, run: Run, options: str, results: Path) -> int:
    """Run a benchmark, print what it prints, keep it, and return its exit code."""
    command = [sys.executable, str(HERE / f"{run.script}.py"), *options.split()]
    if run.writes:
        command += ["--json", str(results / f"{name}.json")]
    with (
        (results / f"{name}.txt").open("w", encoding="utf-8") as kept,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            kept.write(line)
    return process.returncode


def main() -> int:
    """Run what was asked for; 1 if something failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, without what has none")
    parser.add_argument("--only", nargs="+", default=list(RUNS), metavar="NAME", help=", ".join(RUNS))
    parser.add_argument(
        "--results", type=Path, help=f"where figures go (default {RESULTS.name}, or {QUICK.name})"
    )
    arguments = parser.parse_args()
    for name in arguments.only:
        if name not in RUNS:
            parser.error(str(unknown_name("benchmark", name, RUNS)))
    results = arguments.results or (QUICK if arguments.quick else RESULTS)
    results.mkdir(parents=True, exist_ok=True)
    failed = []
    for number, name in enumerate(arguments.only, start=1):
        run = RUNS[name]
        options = run.quick if arguments.quick else run.options
        if options is None:
            continue
        print(f"\n[{number}/{len(arguments.only)}] {name}", flush=True)
        start = time.perf_counter()
        if carry_out(name, run, options, results):
            failed.append(name)
        print(f"{name}: {'failed' if name in failed else 'done'} in {time.perf_counter() - start:.0f} s")
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
