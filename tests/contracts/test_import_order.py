"""A room imports only rooms below it, as pyproject.toml lays them out."""

import tomllib
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "pyproject.toml"


def test_the_rooms_import_in_one_direction(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(CONFIG), no_cache=True)
    printed = capsys.readouterr().out
    assert status == 0, printed
    assert "1 kept, 0 broken" in printed


def test_a_broken_rule_would_be_found(tmp_path, capsys, monkeypatch):
    """With the lowest rooms on top, the linter must complain: it really looks at this package."""
    layers = tomllib.loads(CONFIG.read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    lines = ["[importlinter]", "root_package = archflow", "[importlinter:contract:upside-down]"]
    lines += ["name = upside down", "type = layers", "containers = archflow", "layers ="]
    (tmp_path / "upside_down.ini").write_text(
        "\n".join([*lines, *(f"    {layer}" for layer in layers[::-1])])
    )
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename=str(tmp_path / "upside_down.ini"), no_cache=True) != 0
    assert "0 kept, 1 broken" in capsys.readouterr().out


def test_every_room_has_its_place():
    """Nothing is exempt: the contract is exhaustive and ignores no import."""
    (contract,) = tomllib.loads(CONFIG.read_text())["tool"]["importlinter"]["contracts"]
    assert contract["exhaustive"] is True
    assert not set(contract) - {"name", "type", "containers", "exhaustive", "layers"}
