"""Our zero-cost proxies against those published for NAS-Bench-201: Spearman, and seconds a cell.

    ARCHFLOW_DATA=FOLDER python benchmarks/proxies.py
    ARCHFLOW_DATA=FOLDER python benchmarks/proxies.py --cells 9445 --proxies synflow naswot jacov --out FILE

The published values (NAS-Bench-Suite-Zero, Krishnakumar et al., NeurIPS 2022) are of the full network on
CIFAR-10 images. Rows where ours is undefined, or where the published value is missing or the -1e8 that stands
for a failure, are left out and counted. Seconds are processor time of the workers, with the seconds that they
take to start; they are spread over the networks that were run, one for each function that the cells compute.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from archflow.datasets import read_table
from archflow.metrics import spearman
from archflow.networks import IMAGES, PROXIES, SKELETONS, ProxyConfig, measure_proxies
from archflow.progress import progress_bar
from archflow.spaces import NASBench201
from harness import print_hardware

PUBLISHED = {"naswot": "nwot"}
"""Published columns of another name than ours."""
FAILED = -1e8


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cells", type=int, default=300, help="cells drawn from the 9,445 (default 300)")
    parser.add_argument("--proxies", nargs="+", default=list(PROXIES), choices=PROXIES, metavar="NAME")
    parser.add_argument("--skeleton", default="reduced", choices=SKELETONS[NASBench201.name])
    parser.add_argument("--images", default="noise", choices=IMAGES)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument(
        "--seed", type=int, default=0, help="of the draw of cells, the images and the weights"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="keep the table, and go on where an earlier call stopped")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    chosen = options()
    if "ARCHFLOW_DATA" not in os.environ:
        sys.exit("set ARCHFLOW_DATA to the folder of the tables")
    space = NASBench201()
    published = read_table(Path(os.environ["ARCHFLOW_DATA"]) / "nasbench201_proxies.parquet", space)
    count = min(chosen.cells, len(published))
    rows = np.sort(np.random.default_rng(chosen.seed).choice(len(published), size=count, replace=False))
    config = ProxyConfig(
        tuple(chosen.proxies),
        skeleton=chosen.skeleton,
        images=chosen.images,
        batch_size=chosen.batch_size,
        seed=chosen.seed,
    )
    print_hardware()
    with tempfile.TemporaryDirectory() as folder, progress_bar("measuring proxies") as report:
        out = chosen.out or Path(folder) / "proxies.parquet"
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = measure_proxies(
            space,
            published.architectures[rows],
            config,
            out=out,
            texts=[published.texts[row] for row in rows],
            workers=chosen.workers,
            overwrite=True,
            report=report,
        )
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = read_table(out, space)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    skeleton = SKELETONS[space.name][config.skeleton]
    print(f"{config.skeleton} {skeleton}, {config.batch_size} images of {config.images}, seed {config.seed}")
    print(f"{count} cells, {done.networks} networks, {done.restored} more from an interrupted run")
    if done.networks:
        print(
            f"{processor:.0f} processor seconds of the workers, {wall:.0f} s in all: "
            f"{1000 * processor / done.networks:.0f} ms a network, {1000 * processor / count:.0f} ms a cell"
        )
    print(f"\n{'proxy':10}  {'Spearman':>8}  {'cells':>6}  {'undefined':>9}  {'published without':>17}")
    for name in config.proxies:
        measured, reference = ours.columns[name], published.columns[PUBLISHED.get(name, name)][rows]
        defined, known = np.isfinite(measured), np.isfinite(reference) & (reference > FAILED)
        both = defined & known
        print(
            f"{name:10}  {spearman(measured[both], reference[both]):8.3f}  {both.sum():6}  "
            f"{(~defined).sum():9}  {(~known).sum():17}"
        )


if __name__ == "__main__":
    main()
