"""`archflow methods`."""

from __future__ import annotations

from archflow.cli.common import Json, check_outputs, handled, owns_stdout, print_rows, write_record


@handled
def run(json: Json = None) -> None:
    """List the prediction methods.

    Example: archflow methods
    """
    from archflow.predictors.methods import METHODS

    check_outputs(json, overwrite=False)
    rows = [{"method": method.name, "description": method.description} for method in METHODS.values()]
    write_record(json, {"methods": rows})
    if not owns_stdout(json):
        print_rows(("method", "description"), [tuple(row.values()) for row in rows])
