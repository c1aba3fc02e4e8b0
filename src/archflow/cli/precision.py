"""The precision of encoders on the command line, and what is said about a lower one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from archflow.cli.common import tell

if TYPE_CHECKING:
    from archflow.graphs import ArchitectureTable
    from archflow.predictors import Predictor

PrecisionName = Annotated[
    Literal["float32", "bfloat16"], typer.Option("--precision", help="What an encoder computes in.")
]


def tell_rank_change(
    predictor: Predictor, candidates: ArchitectureTable, top: int | None, of: int | None = None
) -> dict[str, Any]:
    """Say how much a lower precision changes a ranking, and return it for the record; nothing in float32."""
    from archflow.predictors.precision import rank_change

    if predictor.precision == "float32" or len(candidates) < 2:
        return {}
    change = rank_change(predictor, candidates, top, of=of)
    for sentence in change.sentences():
        tell(sentence)
    return {"precision": change.to_json()}
