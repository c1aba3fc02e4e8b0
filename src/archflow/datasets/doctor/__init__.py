"""The rules of the table check, a file a kind of trouble; each returns findings in words and numbers."""

from archflow.datasets.doctor.attributes import attribute_findings
from archflow.datasets.doctor.columns import column_findings
from archflow.datasets.doctor.copies import copy_findings
from archflow.datasets.doctor.duplicates import Level, duplicate_findings, levels_of
from archflow.datasets.doctor.findings import Finding, Severity
from archflow.datasets.doctor.leaks import leak_findings
from archflow.datasets.doctor.reach import reach_findings

__all__ = [
    "Finding",
    "Level",
    "Severity",
    "attribute_findings",
    "column_findings",
    "copy_findings",
    "duplicate_findings",
    "leak_findings",
    "levels_of",
    "reach_findings",
]
