"""What is public is documented, what is promised exists, and importing archflow costs nothing."""

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "archflow"
FILES = sorted(SOURCE.rglob("*.py"))
# The command line is no library: its public names are its commands.
ROOMS = sorted(path.parent for path in SOURCE.rglob("__init__.py") if path.parent.name != "cli")
HEAVY = ("torch", "sklearn", "pyarrow", "scipy", "rich", "typer", "safetensors", "numpy")


def name_of(path):
    """Return the dotted name of a module or package."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def undocumented(node, prefix):
    """Yield the public definitions under a node that have no docstring."""
    if not ast.get_docstring(node):
        yield prefix
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        overload = any(getattr(mark, "id", None) == "overload" for mark in child.decorator_list)
        if child.name.startswith("_") or overload:
            continue
        if isinstance(child, ast.ClassDef):
            yield from undocumented(child, f"{prefix}.{child.name}")
        elif not ast.get_docstring(child):
            yield f"{prefix}.{child.name}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_everything_public_has_a_docstring(path):
    assert list(undocumented(ast.parse(path.read_text()), name_of(path))) == []


def test_a_missing_docstring_would_be_found():
    code = '"""Module."""\nclass A:\n    """A."""\n    def f(self): ...\n    def _g(self): ...\ndef h(): ...'
    assert list(undocumented(ast.parse(code), "m")) == ["m.A.f", "m.h"]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_every_room_lists_names_that_exist(room):
    package = importlib.import_module(name_of(room / "__init__.py"))
    assert package.__all__, "a room says what is public"
    assert len(set(package.__all__)) == len(package.__all__)
    missing = [name for name in package.__all__ if not hasattr(package, name)]
    assert missing == []


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_what_a_room_brings_in_for_others_is_listed(room):
    """A public name in `__init__.py` that comes from the room's own files is in `__all__`."""
    tree = ast.parse((room / "__init__.py").read_text())
    own = name_of(room / "__init__.py")
    brought = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{own}.") and own != "archflow"
        for alias in node.names
    }
    public = {name for name in brought if not name.startswith("_")}
    assert public <= set(importlib.import_module(own).__all__)


def loaded_by(code):
    """Return the modules that a fresh interpreter has loaded after some code."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


def test_importing_archflow_loads_nothing_heavy():
    loaded = loaded_by("import archflow")
    assert "archflow" in loaded
    assert loaded.isdisjoint(HEAVY)
    assert not {name for name in loaded if name.startswith("archflow.")}


def test_the_front_door_opens_what_it_lists():
    import archflow

    assert sorted(dir(archflow)) == sorted(archflow.__all__)
    for name in archflow.__all__:
        assert getattr(archflow, name) is not None
    with pytest.raises(AttributeError, match="module 'archflow' has no attribute 'Predictorr'"):
        _ = archflow.Predictorr


def test_no_import_touches_global_state():
    """Threads, default precision and random generators are the caller's."""
    modules = "\n".join(f"import {name_of(path)}" for path in FILES if path.name != "__main__.py")
    code = f"""
import numpy, torch
def state():
    numbers = numpy.random.get_state()[1].tolist()
    return torch.get_num_threads(), torch.get_default_dtype(), torch.initial_seed(), numbers
before = state()
{modules}
assert state() == before
"""
    assert "archflow.graphs.table" in loaded_by(code)
