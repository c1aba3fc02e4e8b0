"""`archflow methods`."""

from __future__ import annotations

from archflow.cli.common import Json, handled, print_rows, write_record


@handled
def run(json: Json = None) -> None:
    """List the prediction methods.

    Example: archflow methods
    """
    from archflow.predictors.methods import METHODS

    rows = [{"method": method.name, "description": method.description} for method in METHODS.values()]
    write_record(json, {"methods": rows})
    if json is None:
        print_rows(("method", "description"), [tuple(row.values()) for row in rows])
