"""The public benchmark tables through the command line, where they are at hand."""

import json
import os
import sys
from pathlib import Path

import pytest

from archflow.cli import main

pytestmark = pytest.mark.skipif(
    "ARCHFLOW_DATA" not in os.environ,
    reason="the public benchmark tables are not shipped; set ARCHFLOW_DATA to the folder they are in",
)


@pytest.fixture
def mean_tau(monkeypatch, capsys):
    """Evaluate a method on a table and return its mean Kendall tau."""

    def evaluate(space, target, labels, method, *arguments, seeds=2):
        table = Path(os.environ["ARCHFLOW_DATA"]) / f"{space}.parquet"
        command = f"evaluate --space {space} --table {table} --target {target} --labels {labels}"
        words = f"{command} --method {method} --seeds {seeds} --json -".split()
        monkeypatch.setattr(sys, "argv", ["archflow", *words, *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        record = json.loads(capsys.readouterr().out)
        assert len(record["runs"]) == seeds
        return record["mean"]["kendall_tau"]

    return evaluate


def test_nasbench201(mean_tau):
    assert abs(mean_tau("nasbench201", "cifar10_test_acc", 78, "random", seeds=5)) < 0.05
    assert 0.3 < mean_tau("nasbench201", "cifar10_test_acc", 78, "onehot-rf") < 0.75


def test_nasbench101(mean_tau):
    target = "cifar10_val_acc_108ep"
    assert abs(mean_tau("nasbench101", target, 72, "random", seeds=5)) < 0.05
    assert 0.2 < mean_tau("nasbench101", target, 72, "onehot-rf") < 0.65


@pytest.mark.slow
def test_a_supervised_encoder_on_nasbench201(mean_tau):
    """Measured beforehand with another implementation: 0.76 on pruned cells (mean of three draws)."""
    assert mean_tau("nasbench201", "cifar10_test_acc", 78, "gin", "--form", "pruned", seeds=1) >= 0.70
