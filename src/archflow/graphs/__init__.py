"""Architectures as labelled DAGs: one at a time, in tables of millions, in batches for encoders."""

from archflow.graphs.architecture import Architecture
from archflow.graphs.batch import GraphBatch
from archflow.graphs.columns import Columns
from archflow.graphs.forms import DEFAULT_FORM, FORMS, Form
from archflow.graphs.generations import Step, generations
from archflow.graphs.operations import INPUT, OUTPUT, Operations
from archflow.graphs.scale import LOGARITHM, AttributeScale
from archflow.graphs.table import ArchitectureTable
from archflow.graphs.wirings import rows_by_wiring

__all__ = [
    "DEFAULT_FORM",
    "FORMS",
    "INPUT",
    "LOGARITHM",
    "OUTPUT",
    "Architecture",
    "ArchitectureTable",
    "AttributeScale",
    "Columns",
    "Form",
    "GraphBatch",
    "Operations",
    "Step",
    "generations",
    "rows_by_wiring",
]
