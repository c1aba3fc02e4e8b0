"""What is shown while a benchmark runs."""

import io

import pytest
from rich.console import Console

from archflow.benchmark.live import LiveTable
from archflow.workers import Done, Failed, Under


@pytest.fixture
def heard(opened, record_of):
    """Let a live table hear of a few events; return what it printed."""

    def build(*, terminal):
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=120, height=40)
        runs = opened().plan()
        first, second, third, *rest = runs
        with LiveTable(2, console) as live:
            live.begin(runs, {first.id: record_of(first, 0.25)}, [second, third.encoder, third, *rest])
            live.happened(Under(second, 1, 2, "loss 0.5"))
            live.happened(Done(second, record_of(second, 0.75)))
            live.happened(Under(third.encoder, 1, 2, "loss 0.7"))
            live.happened(Failed(third, "out of [luck]"))
            if terminal:
                console.print(live._drawn())
        return text.getvalue()

    return build


def test_without_a_terminal_each_job_is_a_line(heard):
    assert heard(terminal=False).splitlines() == [
        "12 runs, 11 left to do, 1 encoders to pre-train",
        "gin on digits, 1% labels: tau 0.7500 (11 left)",
        "failed: gin + flow+proxy on digits, 1% labels: out of [luck] (10 left)",
    ]


def test_on_a_terminal_the_table_grows(heard):
    text = heard(terminal=True)
    for part in ("0.250 (1)", "0.750 (1)", "2 of 12 runs, 1 failed", "pre-training gin on digits: 1 of 2"):
        assert part in text
    assert "loss 0.7" in text
    assert "time left unknown" in text  # no pre-training has said how fast it is


def test_the_time_left_follows_the_pace(opened, record_of, monkeypatch):
    clock = iter([100.0, 160.0])
    monkeypatch.setattr("archflow.benchmark.live.time.monotonic", lambda: next(clock))
    runs = opened().plan()
    live = LiveTable(2, Console(file=io.StringIO()))
    encoder = runs[2].encoder
    slow = {run.id: record_of(run, fit_seconds=119.5) for run in runs[:3]}  # two minutes with predicting
    live.begin(runs[:6], slow, [encoder, *runs[3:6]])
    live.happened(Under(encoder, 10, 40, ""))
    live.happened(Under(encoder, 20, 40, ""))  # a minute for 10 epochs, so two more
    assert live._time_left() == "about 4 minutes left"  # and three runs, by two workers
    monkeypatch.undo()
    live.happened(Done(encoder, None))
    assert live._time_left() == "about 3 minutes left"
