"""Progress that libraries report and a front end may show. Silent by default; the CLI installs a rich display.

    with progress("Training splat", total=3000, unit="it") as bar:
        bar.advance(1, note="27.4 dB")
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Bar(Protocol):
    def advance(self, n: float = 1, *, note: str = "") -> None: ...


class Display(Protocol):
    def start(self, label: str, total: float | None, unit: str) -> Bar: ...
    def stop(self, bar: Bar) -> None: ...
    def message(self, text: str) -> None: ...


class _Silent:
    def start(self, label: str, total: float | None, unit: str) -> Bar:
        return self

    def stop(self, bar: Bar) -> None: ...
    def advance(self, n: float = 1, *, note: str = "") -> None: ...
    def message(self, text: str) -> None: ...


_display: ContextVar[Display] = ContextVar("phone2sim_display", default=_Silent())  # noqa: B039


def set_display(display: Display) -> None:
    """Install the display for this context (the CLI does)."""
    _display.set(display)


@contextmanager
def progress(label: str, *, total: float | None = None, unit: str = "") -> Iterator[Bar]:
    """A bar for work that may take longer than a second."""
    display = _display.get()
    bar = display.start(label, total, unit)
    try:
        yield bar
    finally:
        display.stop(bar)


def abreast(work: Callable[[S], T], items: Sequence[S], label: str) -> Iterator[T]:
    """`work` of each item, in their order, with a bar; as many at once as there are processors, in threads: it pays where most of the
    time goes by in libraries that let go of Python's lock. What `work` would say is not shown."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from track(pool.map(work, items), label, total=len(items))


def track(items: Iterable[T], label: str, *, total: int | None = None, unit: str = "") -> Iterator[T]:
    """Iterate with a bar."""
    n = total if total is not None else (len(items) if isinstance(items, Sized) else None)
    with progress(label, total=n, unit=unit) as bar:
        for item in items:
            yield item
            bar.advance(1)


def message(text: str) -> None:
    """One line for the user (a choice made, a thing flagged); shown once, on stderr in the CLI."""
    _display.get().message(text)
