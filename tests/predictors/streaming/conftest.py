import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archflow.graphs.arrow import to_arrow
from archflow.predictors import Predictor


@pytest.fixture(scope="session")
def cells(space):
    """Ninety cells, some of them equal, in a table."""
    drawn = space.sample(70, np.random.default_rng(3))
    return drawn[np.concatenate([np.arange(70), np.arange(20)])]


@pytest.fixture(scope="session")
def texts(space, cells):
    return [space.format(cell) for cell in cells]


@pytest.fixture
def folder(tmp_path, cells, texts):
    """The cells in three files: texts in row groups of 7, texts in one, graphs in groups of 11."""
    folder = tmp_path / "cells"
    folder.mkdir()
    write_texts(folder / "a.parquet", texts[:40], row_group_size=7)
    write_texts(folder / "b.parquet", texts[40:60])
    table = cells[np.arange(60, 90)]
    pq.write_table(to_arrow(table.columns, table.operations), folder / "c.parquet", row_group_size=11)
    return folder


@pytest.fixture(scope="session")
def fit(space, table, values):
    """Fit a quick predictor."""

    def build(method="onehot-rf", targets=1, columns=None, **options):
        wanted = values if targets == 1 else np.stack([values, -(values**2)], axis=1)
        return Predictor(space, method, device="cpu", **options).fit(table, wanted, columns=columns)

    return build


@pytest.fixture(scope="session")
def forest(fit):
    return fit()


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    """Cut files into parts of 10 rows or a little more."""
    monkeypatch.setattr("archflow.predictors.streaming.parts.PART_ROWS", 10)


def write_texts(path, texts, **options):
    pq.write_table(pa.table({"arch": texts}), path, write_page_checksum=True, **options)


@pytest.fixture(scope="session")
def write():
    """Write a file of texts: (path, texts, options of pyarrow)."""
    return write_texts


@pytest.fixture(scope="session")
def damage():
    """Change bytes in the middle of a file's data, which its checksums notice; its footer stays whole."""

    def spoil(path, place=40):
        content = bytearray(path.read_bytes())
        content[place : place + 8] = b"\xff" * 8
        path.write_bytes(bytes(content))

    return spoil
