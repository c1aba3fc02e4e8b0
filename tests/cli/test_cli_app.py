"""The command line as a whole: help with examples that parse, versions, exit codes, tracebacks."""

import inspect
import shlex
import subprocess
import sys
from importlib import metadata

import pytest
import typer

from archflow.cli import app
from archflow.errors import TableError

GROUP = typer.main.get_command(app)


def leaves(group, path=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = dict(leaves(GROUP))
every_command = pytest.mark.parametrize("path", COMMANDS, ids=" ".join)


def example_of(command):
    """Return the words of the example in a command's help."""
    paragraphs = inspect.cleandoc(command.help).split("\n\n")
    (example,) = [part for part in paragraphs if part.startswith("Example: ")]
    return shlex.split(example.removeprefix("Example: "))


def test_the_promised_commands_are_there():
    promised = {"demo", "spaces", "methods", "encode", "pretrain", "fit", "rank", "evaluate", "label"}
    assert {(name,) for name in promised} | {("data", "check")} <= set(COMMANDS)


@every_command
def test_help_shows_the_example_and_says_what_every_option_is(run, path):
    outcome = run(*path, "--help")
    shown = " ".join(outcome.out.split())
    assert " ".join(example_of(COMMANDS[path])) in shown
    for parameter in COMMANDS[path].params:
        assert parameter.help, parameter.name


@every_command
def test_the_example_parses(path):
    words = example_of(COMMANDS[path])
    assert tuple(words[: 1 + len(path)]) == ("archflow", *path)
    context = COMMANDS[path].make_context(" ".join(path), words[1 + len(path) :])
    assert context.params  # parsed and converted, not run


def test_an_example_with_a_wrong_option_would_not_parse():
    with pytest.raises(Exception, match="--tabel"):
        COMMANDS["encode",].make_context("encode", ["--space", "s", "--tabel", "t", "--out", "o"])


def test_help_of_the_whole_lists_every_command(run):
    shown = run("--help").out
    for path in COMMANDS:
        assert f" {path[0]} " in shown


def test_without_a_command_it_explains_itself(run):
    outcome = run(code=2)
    assert "Usage: archflow" in outcome.out + outcome.err


def test_version(run):
    assert run("--version").out == f"archflow {metadata.version('archflow')}\n"


@pytest.mark.parametrize(
    ("arguments", "culprit"),
    [
        ("evalaute", "'evalaute'"),
        ("data chekc", "'chekc'"),
        ("fit", "--space"),
        ("fit --space nasbench201 --colour red", "--colour"),
        ("evaluate --space nasbench201 --table t --target a --labels many", "--labels"),
        ("evaluate --space nasbench201 --table t --target a --labels 0", "--labels"),
        ("label --space nasbench201 --out t.csv --count 0", "--count"),
        ("rank --space nasbench201 --out t.csv --seed -1", "--seed"),
        ("fit --space s --labels t --target a --out o --duplicates median", "'median'"),
        ("pretrain --space s --out o --epochs", "--epochs"),
    ],
)
def test_bad_use_exits_with_2_and_names_the_word_in_a_line(refused, arguments, culprit):
    refused(*arguments.split(), code=2, parts=[culprit])


def test_debug_lets_the_error_through_and_only_then(run, refused, tmp_path):
    arguments = ["data", "check", tmp_path / "nowhere.csv", "--space", "nasbench201"]
    with pytest.raises(TableError, match="no such file"):
        run("--debug", *arguments)
    refused(*arguments, code=1, parts=[tmp_path / "nowhere.csv", "there is no such file"])


def in_a_process(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "archflow", *map(str, arguments)], capture_output=True, text=True, check=False
    )


def test_as_a_module():
    done = in_a_process("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"archflow {metadata.version('archflow')}\n"


def test_as_a_module_errors_are_one_line_and_debug_shows_where(tmp_path):
    arguments = ["data", "check", tmp_path / "nowhere.csv", "--space", "nasbench201"]
    done = in_a_process(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"archflow: {tmp_path / 'nowhere.csv'}: there is no such file\n"
    done = in_a_process("--debug", *arguments)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "there is no such file" in done.stderr.splitlines()[-1]
