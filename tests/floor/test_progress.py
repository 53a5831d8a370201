"""Progress is silent by default and always closes what it opened."""

from __future__ import annotations

import contextvars
import os
import threading

import pytest

from phone2sim.progress import abreast, message, progress, set_display, track


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple] = []

    def start(self, label: str, total: float | None, unit: str) -> Recorder:
        self.events.append(("start", label, total, unit))
        return self

    def stop(self, bar: object) -> None:
        self.events.append(("stop",))

    def advance(self, n: float = 1, *, note: str = "") -> None:
        self.events.append(("advance", n, note))

    def message(self, text: str) -> None:
        self.events.append(("message", text))


def test_silent_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    def job() -> list[int]:
        message("hello")
        return list(track([1, 2], "Counting"))

    assert contextvars.Context().run(job) == [1, 2]
    assert capfd.readouterr() == ("", "")


def test_events_and_stop_on_failure() -> None:
    recorder = Recorder()

    def job() -> None:
        set_display(recorder)
        assert list(track("ab", "Letters", unit="x")) == ["a", "b"]
        with pytest.raises(RuntimeError), progress("Failing", total=3):
            raise RuntimeError

    contextvars.Context().run(job)
    assert recorder.events == [
        ("start", "Letters", 2, "x"), ("advance", 1, ""), ("advance", 1, ""), ("stop",),
        ("start", "Failing", 3, ""), ("stop",),
    ]  # fmt: skip


def test_abreast_works_on_several_at_once_and_keeps_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    both = threading.Barrier(2, timeout=20)  # one alone would wait in vain

    def work(n: int) -> int:
        both.wait()
        return 10 * n

    assert list(abreast(work, [3, 1, 2, 4], "Working")) == [30, 10, 20, 40]
    with pytest.raises(ZeroDivisionError):
        list(abreast(lambda n: 1 // n, [1, 0], "Failing"))
