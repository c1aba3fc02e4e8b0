"""Reading and checking tables of measured architectures, the embedded benchmark, and splits."""

from archflow.datasets.check import ColumnReport, TableReport, check_table
from archflow.datasets.digits import digits_table
from archflow.datasets.doctor import Finding
from archflow.datasets.labels import MINIMUM_LABELS, require_labels
from archflow.datasets.rows import BadRow
from archflow.datasets.splits import PROTOCOL_SEEDS, Split, draw_labels, paper_split
from archflow.datasets.tables import Duplicates, MeasuredTable, read_table, read_texts, write_table

__all__ = [
    "MINIMUM_LABELS",
    "PROTOCOL_SEEDS",
    "BadRow",
    "ColumnReport",
    "Duplicates",
    "Finding",
    "MeasuredTable",
    "Split",
    "TableReport",
    "check_table",
    "digits_table",
    "draw_labels",
    "paper_split",
    "read_table",
    "read_texts",
    "require_labels",
    "write_table",
]
