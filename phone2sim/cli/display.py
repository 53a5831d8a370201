"""The progress display: live bars on a terminal, one plain line per finished step elsewhere. All on stderr."""

from __future__ import annotations

import sys
import threading
import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from phone2sim.progress import Bar

SHORT_S = 0.2
"""Steps faster than this leave no line."""


class ConsoleBar:
    """One running step."""

    def __init__(self, display: ConsoleDisplay, label: str, total: float | None, unit: str, depth: int) -> None:
        self.display, self.label, self.total, self.unit, self.depth = display, label, total, unit, depth
        self.done, self.note, self.start = 0.0, "", time.monotonic()
        self.task: TaskID | None = None
        self.outer = sys.exc_info()[1]

    def advance(self, n: float = 1, *, note: str = "") -> None:
        self.done += n
        self.note = note or self.note
        if self.task is not None and self.display.live is not None:
            self.display.live.update(self.task, completed=self.done, note=self.note)

    def summary(self) -> str:
        """`3000 it · 71.2 it/s · 27.4 dB`: what was done, how fast, and the last note."""
        seconds = max(time.monotonic() - self.start, 1e-9)
        parts = []
        if self.done and (self.unit or self.done > 1):
            parts.append(f"{self.done:,.0f} {self.unit}".rstrip())
            if self.unit and seconds > 1:
                parts.append(f"{self.done / seconds:,.1f} {self.unit}/s")
        if self.note:
            parts.append(self.note)
        return " · ".join(parts)


class ConsoleDisplay:
    """Implements `phone2sim.progress.Display`."""

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self.quiet = quiet
        self.live: Progress | None = None
        self.open: list[ConsoleBar] = []
        self.lock = threading.Lock()

    def start(self, label: str, total: float | None, unit: str) -> ConsoleBar:
        with self.lock:
            bar = ConsoleBar(self, label, total, unit, len(self.open))
            self.open.append(bar)
            if self.quiet:
                return bar
            if not self.console.is_terminal:
                self.console.print(f"{'  ' * bar.depth}{label} …", soft_wrap=True)
                return bar
            if self.live is None:
                self.live = Progress(
                    SpinnerColumn(finished_text="✓"),
                    TextColumn("{task.fields[indent]}{task.description}"),
                    BarColumn(bar_width=28),
                    _Rate(),
                    TimeElapsedColumn(),
                    TimeRemainingColumn(compact=True),
                    TextColumn("[dim]{task.fields[note]}"),
                    console=self.console,
                    transient=True,
                )
                self.live.start()
            indent = "  " * bar.depth
            bar.task = self.live.add_task(label, total=total, indent=indent, note="", unit=unit)
            return bar

    def stop(self, bar: Bar) -> None:
        assert isinstance(bar, ConsoleBar)
        with self.lock:
            if bar in self.open:
                self.open.remove(bar)
            seconds = time.monotonic() - bar.start
            if self.quiet:
                return
            if self.live is not None and bar.task is not None:
                self.live.remove_task(bar.task)
            if seconds >= SHORT_S or not self.console.is_terminal:
                summary = bar.summary()
                line = Text.assemble(
                    "  " * bar.depth,
                    ("✓ ", "green") if sys.exc_info()[1] is bar.outer else ("✗ ", "red"),
                    bar.label,
                    f"  {seconds:.1f} s",
                    (f"  {summary}" if summary else "", "dim"),
                )
                self.console.print(line, soft_wrap=True)
            if not self.open:
                self._end_live()

    def message(self, text: str) -> None:
        if not self.quiet:
            self.console.print(Text.assemble(("· ", "cyan"), text), soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal clean, whatever is still open."""
        with self.lock:
            self.open.clear()
            self._end_live()

    def _end_live(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None


class _Rate(TextColumn):
    """`1200/3000 it  71.2 it/s`."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        unit = task.fields.get("unit", "")
        text = (
            f"{task.completed:,.0f}/{task.total:,.0f} {unit}"
            if task.total
            else f"{task.completed:,.0f} {unit}"
            if task.completed
            else ""
        )
        if task.speed:
            text += f"  {task.speed:,.1f} {unit or 'steps'}/s"
        return Text(text, style="progress.download")
