"""The table that a long run writes at its end, and where its journal lies until then."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import csv, parquet

from archflow.errors import UsageError
from archflow.files import atomic_path, require_absent


def journal_path(out: Path) -> Path:
    """Return where the journal of a table lies while the table is being made."""
    return out.with_name(f"{out.name}.journal.jsonl")


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a path that no table can be written to.

    Raises:
        UsageError: It ends neither in .parquet nor in .csv.
        OutputExistsError: It exists and `overwrite` is false.
    """
    if out.suffix not in (".parquet", ".csv"):
        raise UsageError(f"{out}: a table ends in .parquet or .csv")
    require_absent(out, overwrite=overwrite)


def write_results(out: Path, columns: Mapping[str, pa.Array], provenance: Mapping[str, Any]) -> None:
    """Write a table, whole or not at all.

    Args:
        out: A path that ends in .parquet or .csv; a file that is there is replaced.
        columns: Arrays of one length by column name.
        provenance: What was run, as plain JSON values; a Parquet table carries it as JSON in its schema
            metadata under "archflow", a CSV table does not.
    """
    table = pa.table(dict(columns)).replace_schema_metadata({"archflow": json.dumps(provenance)})
    with atomic_path(out) as temporary:
        if out.suffix == ".csv":
            csv.write_csv(table, temporary)
        else:
            parquet.write_table(table, temporary, compression="zstd")
