"""Comparing methods on tables of measured architectures."""

from archflow.benchmark.evaluate import Evaluation, Run, evaluate

__all__ = ["Evaluation", "Run", "evaluate"]
