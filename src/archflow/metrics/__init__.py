"""How good a ranking is: rank correlations, precision at the top, regret, calibration, intervals."""

from archflow.metrics.bootstrap import bootstrap_interval
from archflow.metrics.calibration import calibration_error, coverage
from archflow.metrics.pairs import paired
from archflow.metrics.pareto import pareto_fronts
from archflow.metrics.ranks import kendall_tau, spearman
from archflow.metrics.summary import Scores, scores
from archflow.metrics.top import precision_at, regret

__all__ = [
    "Scores",
    "bootstrap_interval",
    "calibration_error",
    "coverage",
    "kendall_tau",
    "paired",
    "pareto_fronts",
    "precision_at",
    "regret",
    "scores",
    "spearman",
]
