"""Progress bars: for people at a terminal, and silent for everybody else."""

import io

import pytest
from rich.console import Console

from archflow.progress import progress_bar, silent


def test_nothing_is_printed_where_there_is_no_terminal(capfd):
    with progress_bar("working") as report:
        for done in range(1, 4):
            report(done, 3, f"loss {done}")
    assert capfd.readouterr() == ("", "")


def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)


def test_a_terminal_shows_title_count_and_remark():
    console = terminal()
    with progress_bar("pre-training", console=console) as report:
        report(2, 5, "loss 0.1234")
    shown = console.file.getvalue()
    assert "pre-training" in shown
    assert "2/5" in shown
    assert "loss 0.1234" in shown


def test_a_report_may_leave_the_remark_out_and_change_the_total():
    console = terminal()
    with progress_bar("ranking", console=console) as report:
        report(1, 5, "first")
        report(3, 7)
    last = console.file.getvalue().rsplit("ranking", 1)[1]
    assert "3/7" in last
    assert "first" not in last


def test_an_error_comes_through_and_the_cursor_comes_back():
    console = terminal()
    with pytest.raises(KeyboardInterrupt), progress_bar("working", console=console):
        raise KeyboardInterrupt
    hidden, shown = "\x1b[?25l", "\x1b[?25h"
    written = console.file.getvalue()
    assert written.rfind(shown) > written.rfind(hidden) >= 0


def test_silence_is_silent(capfd):
    assert silent(1, 2) is None
    assert silent(1, 2, "remark") is None
    assert capfd.readouterr() == ("", "")
