"""The tree is its own map: a test file for every source file, short files, no code from data."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE, TESTS = ROOT / "src" / "archflow", ROOT / "tests"
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST = 400

# Source files without a test file of their own name, the test file that covers each, and why.
UNIQUE = "test files must have unique names"
TOPIC = "tested by topic and not by file"
ELSEWHERE = {
    "__main__.py": ("contracts/test_public_api.py", "one line that starts the command line"),
    "protocols.py": (
        "testing/test_space_suite.py",
        "declarations alone; the suites check what keeps to them",
    ),
    "cli/common.py": ("cli/test_cli_bad_input.py", "what the commands share, tested through them"),
    "cli/data.py": ("cli/test_cli_data_check.py", TOPIC),
    "datasets/check.py": ("datasets/test_check_table.py", UNIQUE),
    "datasets/digits.py": ("networks/test_digits_table.py", "one file that ships, checked where it was made"),
    "datasets/rows.py": ("datasets/test_bad_tables.py", TOPIC),
    "datasets/sources.py": ("datasets/test_read_table.py", TOPIC),
    "datasets/tables.py": ("datasets/test_read_table.py", TOPIC),
    "importers/aten_calls.py": ("importers/test_aten_operators.py", "a part of the torch importer"),
    "importers/aten_layers.py": ("importers/test_aten_operators.py", TOPIC),
    "importers/aten_rules.py": ("importers/test_aten_operators.py", TOPIC),
    "importers/matching.py": ("importers/test_folding.py", "what the folding rules ask, tested through them"),
    "importers/onnx_graph.py": ("importers/test_onnx_files.py", TOPIC),
    "importers/onnx_rules.py": ("importers/test_onnx_operators.py", TOPIC),
    "importers/onnx_values.py": ("importers/test_onnx_shapes.py", TOPIC),
    "importers/operators.py": ("importers/test_importers_sizes.py", TOPIC),
    "importers/patterns.py": ("importers/test_folding.py", TOPIC),
    "metrics/bootstrap.py": ("metrics/test_metric_values.py", TOPIC),
    "metrics/calibration.py": ("metrics/test_metric_values.py", TOPIC),
    "metrics/pairs.py": ("metrics/test_metric_input.py", TOPIC),
    "metrics/ranks.py": ("metrics/test_metric_values.py", TOPIC),
    "metrics/summary.py": ("metrics/test_metric_values.py", TOPIC),
    "metrics/top.py": ("metrics/test_metric_values.py", TOPIC),
    "networks/journal.py": ("networks/test_label.py", "a part of labelling, tested through it"),
    "networks/tasks.py": ("networks/test_train_network.py", TOPIC),
    "networks/train.py": ("networks/test_train_network.py", UNIQUE),
    "predictors/labels.py": ("predictors/test_predictor_labels.py", UNIQUE),
    "spaces/nasbench101_enumeration.py": ("spaces/test_nasbench101.py", "a part of one space"),
    "spaces/nasbench101_hash.py": ("spaces/test_nasbench101.py", "a part of one space"),
    "testing/require.py": ("testing/test_space_suite.py", "one line, exercised by every check of the suites"),
}


def of_source(path):
    return path.relative_to(SOURCE).as_posix()


def own_tests(path):
    """Return the test files that a source file may have; the second where names would not be unique."""
    relative = path.relative_to(SOURCE)
    folder, room = TESTS / relative.parent, relative.parent.name
    return [folder / f"test_{relative.name}", folder / f"test_{room}_{relative.name}"]


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "__init__.py"], ids=of_source)
def test_every_source_file_has_a_test_file(path):
    if of_source(path) in ELSEWHERE:
        test, _ = ELSEWHERE[of_source(path)]
        assert (TESTS / test).is_file()
    else:
        assert any(test.is_file() for test in own_tests(path))


def test_the_exceptions_are_all_needed():
    for source, (_, reason) in ELSEWHERE.items():
        assert (SOURCE / source).is_file(), f"{source} is gone"
        assert not any(test.is_file() for test in own_tests(SOURCE / source)), (
            f"{source} has its own test file"
        )
        assert reason


def test_test_files_have_unique_names():
    names = sorted(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name in names if names.count(name) > 1] == []


@pytest.mark.parametrize("path", FILES, ids=of_source)
def test_no_source_file_is_long(path):
    assert len(path.read_text().splitlines()) <= LONGEST


def calls_that_run_data(code):
    """Yield the calls in some code that can run what they read: eval, exec, pickle.load, torch.load."""
    banned_modules = {"pickle", "torch", "joblib", "dill", "cloudpickle", "marshal"}
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module in banned_modules:
            yield from (f"{node.module}.{a.name}" for a in node.names if a.name in ("load", "loads"))
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        module, _, name = called.rpartition(".")
        allows_pickle = any(
            word.arg == "allow_pickle" and getattr(word.value, "value", True) for word in node.keywords
        )
        only_weights = called == "torch.load" and any(
            word.arg == "weights_only" and getattr(word.value, "value", False) is True
            for word in node.keywords
        )
        runs = called in ("eval", "exec", "__import__") or (
            name in ("load", "loads") and module in banned_modules and not only_weights
        )
        if runs or allows_pickle:
            yield called


@pytest.mark.parametrize("path", FILES, ids=of_source)
def test_no_data_is_run_as_code(path):
    assert list(calls_that_run_data(path.read_text())) == []


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("eval('1')", ["eval"]),
        ("encoder.eval()", []),
        ("import pickle\npickle.load(file)", ["pickle.load"]),
        ("import torch\ntorch.load(path)", ["torch.load"]),
        ("torch.load(path, weights_only=False)", ["torch.load"]),
        ("torch.load(path, weights_only=True)", []),
        ("from pickle import loads", ["pickle.loads"]),
        ("np.load(path, allow_pickle=True)", ["np.load"]),
        ("np.load(path, allow_pickle=False)", []),
        ("json.load(file)", []),
    ],
)
def test_running_data_would_be_found(code, found):
    assert list(calls_that_run_data(code)) == found
