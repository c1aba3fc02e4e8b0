"""What the tests of importers share."""

import onnx
import pytest

from archflow.importers import read_onnx


@pytest.fixture
def read(tmp_path):
    """Return a function that saves an ONNX model and reads it as an architecture."""

    def save_and_read(proto, **options):
        onnx.save(proto, tmp_path / "network.onnx")
        return read_onnx(tmp_path / "network.onnx", **options)

    return save_and_read
