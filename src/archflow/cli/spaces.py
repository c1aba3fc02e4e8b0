"""`archflow spaces`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from archflow.cli.common import ONNX, Json, check_outputs, handled, owns_stdout, print_rows, write_record
from archflow.errors import UsageError

if TYPE_CHECKING:
    from archflow.graphs import Operations
    from archflow.protocols import Space

_MEANINGS = ("parametric", "identity", "zero")


@handled
def run(
    space: Annotated[
        str | None, typer.Option("--space", help="Show this one, by name or as a .yaml file.")
    ] = None,
    json: Json = None,
) -> None:
    """List the search spaces, or show one: its operations, their meaning, and how it is written.

    Example: archflow spaces --space my_space.yaml
    """
    from archflow.spaces import SPACES, get

    check_outputs(json, overwrite=False)
    if space == ONNX:
        raise UsageError(
            f"space {ONNX} is a folder of files, which tell its operations; see docs/importers.md"
        )
    if space is not None:
        _show(get(space), json)
        return
    rows = []
    for name, listed in SPACES.items():
        summary = (listed.__doc__ or "").strip().splitlines()[0]
        rows.append({"space": name, "architectures": listed.size, "description": summary})
    rows.append({"space": ONNX, "architectures": None, "description": "The ONNX files of a folder, by name."})
    write_record(json, {"spaces": rows})
    if not owns_stdout(json):
        print_rows(
            ("space", "architectures", "description"),
            [(row["space"], _count(row["architectures"]), row["description"]) for row in rows],
        )


def _show(space: Space, json: Json) -> None:
    operations = _operations(space)
    record = {
        "space": space.name,
        "architectures": space.size,
        "operations": None if operations is None else operations.to_json(),
        "example": _example(space, operations),
    }
    write_record(json, record)
    if owns_stdout(json):
        return
    attributes = "any" if operations is None else ", ".join(operations.attributes) or "none"
    print_rows(
        ("what", "value"),
        [
            ("space", space.name),
            ("architectures", _count(space.size)),
            ("attributes", attributes),
            ("example", record["example"]),
        ],
    )
    if operations is None:
        print_rows(("operation", "meaning"), [("any", "by name, --identity and --zero")])
    else:
        print_rows(
            ("operation", "meaning"), [(name, _meaning(name, operations)) for name in operations.names]
        )


def _operations(space: Space) -> Operations | None:
    """Return the vocabulary, or None of the open free space."""
    from archflow.errors import UsageError

    try:
        return space.operations
    except UsageError:
        return None


def _example(space: Space, operations: Operations | None) -> str:
    """Return the text of a random architecture, or of a chain in the free space, which draws none."""
    import numpy as np

    from archflow.graphs import INPUT, OUTPUT, Architecture
    from archflow.spaces import Free

    if not isinstance(space, Free):
        return space.format(space.sample(1, np.random.default_rng(0))[0])
    names = [*(("conv", "relu") if operations is None else operations.names[1:-1][:2])]
    chain = [(node, node + 1) for node in range(len(names) + 1)]
    return space.format(Architecture((INPUT, *names, OUTPUT), tuple(chain)))


def _meaning(name: str, operations: Operations) -> str:
    from archflow.graphs import INPUT, OUTPUT

    if name in (INPUT, OUTPUT):
        return name
    meanings = [meaning for meaning in _MEANINGS if name in getattr(operations, meaning)]
    return ", ".join(meanings) or "plain"


def _count(size: Any) -> str:
    if size is None:
        return "no end"
    return str(size) if size < 10**12 else f"{Decimal(size):.3g}"
