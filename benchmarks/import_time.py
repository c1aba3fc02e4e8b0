"""How long `import archflow` takes, against `import torch`: each in interpreters of its own, in turn.

    python benchmarks/import_time.py

The time is that of the whole process. Names of archflow bring their rooms when they are first used, so
that the import alone says little; hence the row of the first use, which has to load PyTorch, SciPy and
scikit-learn.
"""

from __future__ import annotations

import functools
import subprocess
import sys

from harness import measure_in_turn, parser, print_hardware, print_seconds, write_json

TITLE = "A fresh interpreter"
STATEMENTS = {
    "nothing imported": "pass",
    "import archflow": "import archflow",
    "import archflow; archflow.Predictor": "import archflow; archflow.Predictor",
    "import torch": "import torch",
}
"""What is timed; the last is the reference."""


def run(statement: str) -> None:
    """Run a statement in a fresh interpreter."""
    subprocess.run([sys.executable, "-c", statement], check=True)


def main() -> None:
    """Parse the options, run and print."""
    arguments = parser(__doc__).parse_args()
    print_hardware()
    runs = [(name, 1, functools.partial(run, statement)) for name, statement in STATEMENTS.items()]
    timings = measure_in_turn(runs, repeats=arguments.repeats)  # the warm-up fills the caches of the disk
    print_seconds(TITLE, timings)
    *others, torch = timings
    for timing in others[1:]:
        print(f"{timing.name} takes {timing.median / torch.median:.2f} times as long as import torch")
    write_json(arguments.json, {TITLE: timings})


if __name__ == "__main__":
    main()
