"""`EngineProcess`: a worker in another Python, asked line by line in JSON.

The worker says hello with the protocol's version; then each request `{"id", "do", ...}` has one answer `{"id", "ok"}` or
`{"id", "error": {"kind", "message"}}`. What is asked is listed in `workers/wire.py`. A worker that dies, is silent for
too long, or says something else, ends in an `EngineError` with its last words, and is gone.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from phone2sim.errors import MissingDependencyError, Phone2SimError
from phone2sim.sim_export.engines.catalog import Engine, find_python

PROTOCOL = 1
START_TIMEOUT_S = 600.0
TIMEOUT_S = 1200.0
QUIT_S = 5.0
START = Path(__file__).parent / "workers" / "start.py"
_MISSING = 3
"""A worker's exit code where its engine cannot be imported."""


class EngineError(Phone2SimError):
    """An engine's process died, fell silent, or could not do what was asked."""


class EngineProcess:
    """A running worker. Use as a context, or `close`; a parent that dies takes it along (its input ends)."""

    def __init__(self, engine: Engine, *, python: str | None = None, command: list[str] | None = None) -> None:
        """Start the worker of `engine`. Raises `MissingDependencyError` without one, `EngineError` when it does not
        come up. `command` runs another program in the worker's place."""
        self.engine = engine
        self.python = python or (command[0] if command else find_python(engine))
        self._said = tempfile.TemporaryFile()
        self._buffer, self._next = b"", 0
        try:
            self._child = subprocess.Popen(
                command or [self.python, "-I", str(START), engine.worker], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=self._said, start_new_session=True,
            )  # fmt: skip
        except OSError as e:
            raise MissingDependencyError(f"{self.python} cannot be started: {e.strerror}.", hint=engine.install) from e
        try:
            hello = self._read(time.monotonic() + START_TIMEOUT_S, "come up")
        except EngineError as e:
            if self._child.poll() == _MISSING:
                why = self._last_words()
                raise MissingDependencyError(f"{self.python} has no {engine.title}: {why}.", hint=engine.install) from e
            raise
        if hello.get("protocol") != PROTOCOL:
            self.kill()
            raise EngineError(
                f"{engine.title}'s worker speaks protocol {hello.get('protocol')}, this version speaks {PROTOCOL}.",
                hint="It belongs to another phone2sim.",
            )
        self.version = str(hello.get("version", ""))

    def ask(self, do: str, *, timeout_s: float = TIMEOUT_S, **what: Any) -> dict[str, Any]:
        """The worker's answer to one request. Raises `EngineError`; after one about the process itself it is gone."""
        if self._child.poll() is not None:
            raise EngineError(f"{self.engine.title}'s process has ended: {self._last_words()}.")
        self._next += 1
        line = json.dumps({"id": self._next, "do": do, **what}, separators=(",", ":")) + "\n"
        try:
            assert self._child.stdin is not None
            self._child.stdin.write(line.encode())
            self._child.stdin.flush()
            answer = self._read(time.monotonic() + timeout_s, f"do '{do}'")
        except (BrokenPipeError, OSError) as e:
            self.kill()
            raise EngineError(f"{self.engine.title} died before '{do}': {self._last_words()}.") from e
        except BaseException:  # a cancelled or half-read request leaves nobody who knows where the other one is
            self.kill()
            raise
        if answer.get("id") != self._next:
            self.kill()
            raise EngineError(f"{self.engine.title} answered request {answer.get('id')}, asked was {self._next}.")
        if "error" in answer:
            error = answer["error"]
            raise EngineError(f"{self.engine.title} could not do '{do}': {error.get('kind')}: {error.get('message')}")
        return answer["ok"]

    def close(self) -> None:
        """Let it end by itself, and end it when it does not."""
        if self._child.poll() is None and self._child.stdin is not None:
            try:
                self._child.stdin.close()
                self._child.wait(QUIT_S)
            except (OSError, subprocess.TimeoutExpired):
                pass
        self.kill()

    def kill(self) -> None:
        """End it and what it started, now."""
        if self._child.poll() is None:
            try:
                os.killpg(self._child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                self._child.kill()
            self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_child", None) is not None:
            self.kill()

    def _read(self, until: float, what: str) -> dict[str, Any]:
        """The next line as JSON; what is not JSON is some library's chatter and is passed over."""
        out = self._child.stdout
        assert out is not None
        with selectors.DefaultSelector() as ready:
            ready.register(out, selectors.EVENT_READ)
            while True:
                while b"\n" in self._buffer:
                    line, self._buffer = self._buffer.split(b"\n", 1)
                    if line.startswith(b"{"):
                        try:
                            return json.loads(line)
                        except json.JSONDecodeError:
                            continue
                left = until - time.monotonic()
                if left <= 0 or not ready.select(left):
                    self.kill()
                    raise EngineError(f"{self.engine.title} did not {what} in time; its process was ended.")
                chunk = os.read(out.fileno(), 1 << 20)
                if not chunk:
                    self._child.wait()
                    raise EngineError(f"{self.engine.title} died: {self._last_words()}.")
                self._buffer += chunk

    def _last_words(self) -> str:
        """Last line of its standard error, else how it ended."""
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, self._said.tell() - 4096))
        lines = [x for x in self._said.read().decode(errors="replace").splitlines() if x.strip()]
        code = self._child.poll()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return lines[-1].strip().rstrip(".") if lines else how
