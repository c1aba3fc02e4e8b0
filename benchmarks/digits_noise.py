"""How well one training seed of the digits benchmark ranks against the other: the noise ceiling.

Run: python benchmarks/digits_noise.py
"""

from __future__ import annotations

from importlib import resources

import numpy as np
from pyarrow import parquet

from archflow.metrics import bootstrap_interval, kendall_tau, precision_at, spearman

QUANTILES = (0, 5, 10, 25, 50, 75, 90, 95, 99, 100)
PERCENTS = (1, 5, 10)


def main() -> None:
    """Print spread, cost and agreement of the two seeds from the table that ships with archflow."""
    with resources.as_file(resources.files("archflow") / "data" / "digits_nasbench201.parquet") as path:
        table = parquet.read_table(path)
        size = path.stat().st_size
    columns = {name: table.column(name).to_numpy() for name in table.column_names if name != "arch"}
    first, second = columns["valid_acc_seed0"], columns["valid_acc_seed1"]
    mean = columns["valid_acc"]

    print(f"{table.num_rows} cells, {size / 1000:.0f} kB")
    print(f"made with {table.schema.metadata[b'archflow'].decode()}")
    print("quantile of valid_acc (percent):")
    for percent in QUANTILES:
        print(f"  {percent:3d} %  {np.percentile(mean, percent):6.2f}")
    for name in ("train_seconds", "parameters"):
        values = columns[name]
        print(f"{name}: median {np.median(values):.3g}, {values.min():.3g} to {values.max():.3g}")

    print("seed 0 as a prediction of seed 1:")
    low, high = bootstrap_interval(kendall_tau, first, second, rng=np.random.default_rng(0))
    print(f"  Kendall tau-b {kendall_tau(first, second):.3f} (95 % interval {low:.3f} to {high:.3f})")
    print(f"  Spearman {spearman(first, second):.3f}")
    for percent in PERCENTS:
        print(f"  precision@{percent} % {precision_at(first, second, percent):.3f}")
    half = mean >= np.median(mean)
    print(f"  Kendall tau-b in the better half (by mean) {kendall_tau(first[half], second[half]):.3f}")
    gap = np.std(first - second) / np.sqrt(2)
    top = mean >= np.percentile(mean, 90)
    top_gap = np.std((first - second)[top]) / np.sqrt(2)
    print(f"  deviation of one training {gap:.2f} points, {top_gap:.2f} among the best tenth")


if __name__ == "__main__":
    main()
