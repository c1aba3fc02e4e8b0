"""Comparing methods on tables of measured architectures."""

from archflow.benchmark.evaluate import Evaluation, Run, evaluate
from archflow.benchmark.protocol import Protocol
from archflow.benchmark.protocol_file import read_protocol, shipped_protocols
from archflow.benchmark.runner import BenchmarkRun, run_benchmark
from archflow.benchmark.tables import Summary, summarise

__all__ = [
    "BenchmarkRun",
    "Evaluation",
    "Protocol",
    "Run",
    "Summary",
    "evaluate",
    "read_protocol",
    "run_benchmark",
    "shipped_protocols",
    "summarise",
]
