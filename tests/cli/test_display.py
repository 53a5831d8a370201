"""What progress looks like, on a terminal and in a log."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from phone2sim.cli.display import ConsoleDisplay


def display(*, terminal: bool, quiet: bool = False) -> tuple[ConsoleDisplay, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120, highlight=False, color_system=None)
    return ConsoleDisplay(console=console, quiet=quiet), stream


def work(d: ConsoleDisplay) -> None:
    outer = d.start("Training splat", 2, "it")
    inner = d.start("Densify", None, "")
    d.stop(inner)
    outer.advance(1)
    outer.advance(1, note="27.4 dB")
    d.message("Scale from tag 583.")
    d.stop(outer)


def test_plain_lines() -> None:
    d, stream = display(terminal=False)
    work(d)
    lines = re.sub(r"\d+\.\d s", "0.0 s", stream.getvalue()).splitlines()
    assert lines == [
        "Training splat …",
        "  Densify …",
        "  ✓ Densify  0.0 s",
        "· Scale from tag 583.",
        "✓ Training splat  0.0 s  2 it · 27.4 dB",
    ]


def test_quiet_says_nothing() -> None:
    d, stream = display(terminal=False, quiet=True)
    work(d)
    assert stream.getvalue() == ""


def test_live_bars_are_taken_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phone2sim.cli.display.SHORT_S", 0.0)
    d, stream = display(terminal=True)
    work(d)
    assert d.live is None and d.open == []
    text = stream.getvalue()
    assert "✓ Training splat" in text and "27.4 dB" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")


def test_a_failed_step_is_marked() -> None:
    d, stream = display(terminal=False)
    bar = d.start("Cameras", None, "")
    try:
        raise RuntimeError
    except RuntimeError:
        d.stop(bar)
        inside = d.start("Second try", None, "")
        d.stop(inside)
    assert "✗ Cameras" in stream.getvalue() and "✓ Second try" in stream.getvalue()


def test_close_after_an_interrupt() -> None:
    d, stream = display(terminal=True)
    d.start("Long", 10, "")
    d.close()
    assert d.live is None and stream.getvalue().count("\x1b[?25h") == 1
