"""The embedded benchmark: NAS-Bench-201 cells trained on scikit-learn's digits."""

from __future__ import annotations

from importlib import resources

from archflow.datasets.tables import MeasuredTable, read_table
from archflow.spaces.nasbench201 import NASBench201

TARGET = "valid_acc"


def digits_table() -> MeasuredTable:
    """Return the digits benchmark that ships with archflow.

    Columns: `valid_acc_seed0` and `valid_acc_seed1`, the validation accuracies of two training runs;
    `valid_acc`, their mean and the target; `train_seconds`; `parameters`.

    Raises:
        TableError: The installed file is missing or damaged.
    """
    resource = resources.files("archflow").joinpath("data", "digits_nasbench201.parquet")
    with resources.as_file(resource) as path:
        return read_table(path, NASBench201(), target=TARGET)
