"""What a new space or encoder must pass, and toy graphs to try it on; nothing in the library imports this.

A test calls a suite with one line:

    def test_conforms():
        check_space(MySpace())

The hypothesis strategies are in `archflow.testing.strategies`, which alone needs hypothesis.
"""

from archflow.testing.encoder_suite import check_encoder
from archflow.testing.space_suite import TEXTS, check_space
from archflow.testing.toys import (
    SIZED_TOY_OPERATIONS,
    TOY_OPERATIONS,
    random_architecture,
    renumbered,
    toy_table,
)

__all__ = [
    "SIZED_TOY_OPERATIONS",
    "TEXTS",
    "TOY_OPERATIONS",
    "check_encoder",
    "check_space",
    "random_architecture",
    "renumbered",
    "toy_table",
]
