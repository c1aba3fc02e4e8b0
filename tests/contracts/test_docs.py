"""The documentation keeps its word: its Python runs, its commands parse, its names and links exist."""

import dataclasses
import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from archflow.cli import app
from archflow.datasets import write_table
from archflow.spaces import get

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
ROOMS = sorted(init.parent.name for init in (ROOT / "src" / "archflow").glob("*/__init__.py"))

# The line above a block may say why it is not run; a text block right after it is what it prints.
BLOCK = re.compile(
    r"(?P<not_run><!-- not run: \S[^\n]* -->\n)?"
    r"^```(?P<language>\w+)\n(?P<code>.*?)^```$"
    r"(?:\n+```text\n(?P<output>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
MOST_NOT_RUN = 2
COMMAND_LINE = re.compile(r"(?:\$ )?(?:\S*/)?archflow (.+)")
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
DOTTED_NAME = re.compile(r"`(archflow(?:\.\w+)+)`")


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the number of its first line."""

    page: Path
    line: int
    language: str
    code: str
    output: str | None
    runs: bool

    def __str__(self):
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page):
    text = page.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        runs = found["not_run"] is None
        yield Block(page, line, found["language"], found["code"], found["output"], runs)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]


def commands_of(block):
    """Yield the words after `archflow` of each line that begins with it, up to a pipe or the like."""
    for line in block.code.replace("\\\n", " ").splitlines():
        found = COMMAND_LINE.fullmatch(line)
        if found:
            words = shlex.split(found[1], comments=True)
            ends = [place for place, word in enumerate(words) if word in ("|", "&&", ";", ">", ">>")]
            yield words[: min(ends, default=len(words))]


COMMANDS = [
    pytest.param(words, id=f"{block} archflow {words[0]}")
    for block in BLOCKS
    if block.language in ("bash", "console", "sh")
    for words in commands_of(block)
]


def prose_of(page):
    return re.sub(r"`[^`\n]*`", "", BLOCK.sub("", page.read_text(encoding="utf-8")))


@pytest.fixture
def _working_folder(tmp_path, monkeypatch):
    """An empty working directory with the tables that the examples read."""
    space = get("nasbench201")
    cells = space.sample(40, np.random.default_rng(0))
    parameters = space.parameters(cells)
    noise = np.random.default_rng(1).normal(size=len(cells))
    measured = {
        "arch": [space.format(cell) for cell in cells],
        "accuracy": np.round(85 + 8 * parameters / parameters.max() + noise, 2),
        "latency_ms": np.round(parameters / 1e5, 3),
    }
    graphs = {
        "input,conv,relu,output;0>1,1>2,2>3": 0.5,
        "input,conv,skip,output;0>1,0>2,1>3,2>3": 0.4,
        "input,conv,none,output;0>1,0>2,1>3,2>3": 0.6,
        "input,pool,relu,output;0>1,1>2,2>3": 0.7,
        "input,pool,output;0>1,1>2": 0.9,
    }
    for name in ("results.csv", "measured.csv", "measured.parquet"):
        write_table(tmp_path / name, measured)
    write_table(tmp_path / "candidates.csv", {"arch": measured["arch"]})
    write_table(tmp_path / "graphs.csv", {"arch": list(graphs), "loss": list(graphs.values())})
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_working_folder")
@pytest.mark.parametrize("block", [block for block in PYTHON if block.runs], ids=str)
def test_python_runs_and_prints_what_the_page_says(block, capsys):
    source = "\n" * (block.line - 1) + block.code  # so that a traceback shows the line of the page
    exec(compile(source, str(block.page), "exec"), {"__name__": "example"})
    if block.output is not None:
        assert capsys.readouterr().out == block.output


def test_hardly_any_python_is_left_out():
    fences = sum(page.read_text(encoding="utf-8").count("```py") for page in PAGES)
    assert fences == len(PYTHON)  # none is misspelt or never closed
    left_out = [str(block) for block in PYTHON if not block.runs]
    assert len(left_out) <= MOST_NOT_RUN, left_out


@pytest.mark.parametrize("words", COMMANDS)
def test_command_lines_parse(words):
    command, path, rest = typer.main.get_command(app), [], list(words)
    while hasattr(command, "commands") and any(not word.startswith("-") for word in rest):
        name = next(word for word in rest if not word.startswith("-"))
        command.make_context("archflow", [*rest[: rest.index(name)], name])  # options before the command
        assert name in command.commands, f"there is no command {name!r}"
        command, path, rest = command.commands[name], [*path, name], rest[rest.index(name) + 1 :]

    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert options <= set(re.findall(r"--[a-z][a-z-]*", shown.output))
    if not options & {"--help", "--version"}:
        command.make_context(" ".join(path), rest)  # every value fits, and nothing required is missing


def test_every_command_has_an_example():
    root = typer.main.get_command(app)
    names = {
        f"{name} {below}".strip()
        for name, command in root.commands.items()
        for below in getattr(command, "commands", {"": None})
    }
    shown = {" ".join(words) for param in COMMANDS for words in param.values if "cli.md" in param.id}
    missing = {name for name in names if not any(line.startswith(name) for line in shown)}
    assert not missing


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_page_that_shows_its_public_names(room):
    page = DOCS / f"{room}.md"
    assert page.is_file()
    assert f"]({room}.md)" in (DOCS / "index.md").read_text(encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    names = getattr(importlib.import_module(f"archflow.{room}"), "__all__", [])
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = [target.partition("#")[0] for target in LINK.findall(prose_of(page)) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_dotted_names_exist(page):
    for name in DOTTED_NAME.findall(page.read_text(encoding="utf-8")):
        _, *parts = name.split(".")
        value, module = importlib.import_module("archflow"), "archflow"
        for part in parts:
            module = f"{module}.{part}"
            if not hasattr(value, part):
                importlib.import_module(module)  # a module that its parent does not import
            value = getattr(value, part)
