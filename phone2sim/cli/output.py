"""What a command prints: the result on stdout (JSON or a summary), progress and errors on stderr."""

from __future__ import annotations

import json as json_module
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import IO, Any

from rich.console import Console, RenderableType
from rich.text import Text

from phone2sim.cli.display import ConsoleDisplay
from phone2sim.progress import set_display


@dataclass(frozen=True, kw_only=True)
class Output:
    """Handed to a command: `result` once, at the end; `show` for people only."""

    stream: IO[str]
    json: bool
    quiet: bool

    def result(self, data: dict[str, Any]) -> None:
        """The machine-readable result; printed with `--json` only."""
        if self.json:
            json_module.dump(data, self.stream, indent=1, default=str, allow_nan=False)
            self.stream.write("\n")

    def show(self, *parts: RenderableType) -> None:
        """A summary for a person; left out with `--json` and `--quiet`."""
        if not self.json and not self.quiet:
            console = Console(file=self.stream, highlight=False, soft_wrap=False)
            for part in parts:
                console.print(part, soft_wrap=isinstance(part, str))


@contextmanager
def output(*, json: bool = False, quiet: bool = False) -> Iterator[Output]:
    """Keep stdout for the result alone: what a C++ library prints there goes to stderr meanwhile."""
    display = ConsoleDisplay(quiet=quiet)
    set_display(display)
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(os.dup(saved), "w", encoding="utf-8") as stream, redirect_stdout(sys.stderr):
            yield Output(stream=stream, json=json, quiet=quiet)
    finally:
        display.close()
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)


def print_error(message: str, hint: str = "") -> None:
    """`error: message hint`, red where stderr is a terminal; always one line."""
    text = " ".join(f"{message} {hint}".split())
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("error: ", "bold red"), text))
