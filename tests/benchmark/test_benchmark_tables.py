"""Tables of a benchmark: means, deviations, what is missing, and the three kinds of text."""

import csv
import io
import json
import statistics

import pytest

from archflow.benchmark import summarise
from archflow.benchmark.folder import BenchmarkFolder
from archflow.benchmark.tables import QUANTITIES

TAUS = {"random": (0.1, 0.2), "gin": (0.6, 0.8), "gin + flow+proxy": (0.7, None)}
"""Kendall tau of each method and permutation with 30 labels; None failed, and 1 % is not run at all."""


@pytest.fixture
def folder(opened, record_of):
    folder = opened()
    for run in folder.plan():
        if run.config["labels"] == "30":
            tau = TAUS[run.config["method"]][run.seeds["permutation"] == 2021]
            if tau is None:
                folder.fail(run, "out of luck")
            else:
                extra = {} if run.config["method"] == "random" else {"parameters": 1234}
                folder.finish(run, record_of(run, tau, **extra))
    return folder


@pytest.fixture
def summary(folder):
    return summarise(folder.path)


def test_means_and_deviations_are_over_runs(summary):
    few, many = summary.comparisons
    assert (few.labels, few.labelled, many.labels, many.labelled) == ("1%", 6, "30", 30)
    assert [row.runs for row in few.rows] == [0, 0, 0]
    for row in many.rows:
        taus = [tau for tau in TAUS[row.method] if tau is not None]
        assert row.mean["kendall_tau"] == pytest.approx(statistics.mean(taus))
        assert row.std["kendall_tau"] == pytest.approx(statistics.pstdev(taus))
        assert row.mean["precision_at_50"] == pytest.approx(0.8)
        assert ("parameters" in row.mean) == (row.method != "random")
        assert set(row.mean) <= {quantity.key for quantity in QUANTITIES}


def test_what_is_missing_or_failed_is_counted(summary):
    assert (summary.finished, summary.expected) == (5, 12)
    assert summary.status == "tiny: 5 of 12 runs, 1 failed"
    assert [(row.runs, row.expected, row.failed) for row in summary.comparisons[1].rows] == [
        (2, 2, 0),
        (2, 2, 0),
        (1, 2, 1),
    ]


def test_json_holds_it_all(summary):
    value = json.loads(json.dumps(summary.to_json(), allow_nan=False))
    assert value["comparisons"][1]["rows"][1]["mean"]["kendall_tau"] == pytest.approx(0.7)
    assert list(value["failures"].values()) == ["out of luck"]


def test_markdown_says_what_is_best(summary):
    lines = summary.to_markdown().splitlines()
    assert lines[0] == "# tiny"
    assert "tiny: 5 of 12 runs, 1 failed." in lines
    tables = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in tables} == {len(QUANTITIES) + 3}
    assert "| gin | **0.700 ± 0.100** |" in summary.to_markdown()
    assert "| gin + flow+proxy | **0.700 ± 0.000** |" in summary.to_markdown()
    assert "| random | 0.150 ± 0.050 |" in summary.to_markdown()
    assert tables[-1].endswith("| 1 of 2 |")
    assert "**2.0**" not in summary.to_markdown()  # seconds are no contest


def test_csv_has_every_digit(summary):
    rows = list(csv.DictReader(io.StringIO(summary.to_csv())))
    assert len(rows) == 6
    assert [row["method"] for row in rows[3:]] == list(TAUS)
    assert float(rows[4]["kendall_tau_mean"]) == summary.comparisons[1].rows[1].mean["kendall_tau"]
    assert rows[0]["kendall_tau_mean"] == rows[3]["parameters_mean"] == ""
    assert (rows[5]["runs"], rows[5]["expected"], rows[5]["failed"]) == ("1", "2", "1")


def test_latex_is_escaped_and_bold(summary):
    text = summary.to_latex()
    assert text.count("\\begin{tabular}") == text.count("\\bottomrule") == 2
    assert "valid\\_acc, 1\\%, 6 labels" in text
    assert "gin & \\textbf{0.700 $\\pm$ 0.100} & " in text
    rows = [line for line in text.splitlines() if line.endswith("\\\\")]
    assert {line.count(" & ") for line in rows} == {len(QUANTITIES) + 1}


def test_names_are_escaped(opened):
    names = "  - {encoder: gin, pretext: proxy, name: 'a_b & 50% | *c* \\ ~^'}\n  - random\n"
    summary = summarise(opened(("  - random\n", names)).path)
    latex = summary.to_latex()
    assert "a\\_b \\& 50\\% | *c* \\textbackslash{} \\textasciitilde{}\\textasciicircum{} & " in latex
    assert "| a\\_b & 50% \\| \\*c\\* \\\\ ~^ |" in summary.to_markdown()


def test_it_needs_neither_the_protocols_file_nor_the_tables(folder, summary, tmp_path):
    moved = folder.path.rename(tmp_path / "moved")
    (tmp_path / "tiny.yaml").unlink()
    assert summarise(moved).status == summary.status
    assert BenchmarkFolder.open(moved).protocol.name == "tiny"
