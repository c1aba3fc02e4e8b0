"""`archflow spaces`."""

from __future__ import annotations

from archflow.cli.common import Json, check_outputs, handled, owns_stdout, print_rows, write_record


@handled
def run(json: Json = None) -> None:
    """List the search spaces.

    Example: archflow spaces
    """
    from archflow.spaces import SPACES

    check_outputs(json, overwrite=False)
    rows = []
    for name, space in SPACES.items():
        summary = (space.__doc__ or "").strip().splitlines()[0]
        rows.append({"space": name, "architectures": space.size, "description": summary})
    write_record(json, {"spaces": rows})
    if not owns_stdout(json):
        print_rows(
            ("space", "architectures", "description"),
            [(row["space"], row["architectures"] or "no end", row["description"]) for row in rows],
        )
