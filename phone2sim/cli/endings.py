"""How a command ends before its time: Ctrl-C, SIGTERM, and what the system refuses (a full disk, a folder one may not write)."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
TERMINATED = 143

_REMEDIES = {
    errno.ENOSPC: "Make room, then run the same command again to go on.",
    errno.EDQUOT: "Make room, then run the same command again to go on.",
    errno.EACCES: "Choose another place, or change its permissions.",
    errno.EPERM: "Choose another place, or change its permissions.",
    errno.EROFS: "Choose a place that can be written.",
    errno.EMFILE: "Raise the limit: ulimit -n 4096.",
}


class Ending:
    """Which exit code an interrupt stands for."""

    code = INTERRUPTED
    """143 once SIGTERM came."""

    @property
    def text(self) -> str:
        """What is said about it."""
        return "Interrupted" if self.code == INTERRUPTED else "Terminated"


@contextmanager
def terminable() -> Iterator[Ending]:
    """SIGTERM ends what runs inside as Ctrl-C does, so that child processes and half-made folders go too; a second one ends
    it at once."""
    ending = Ending()
    if threading.current_thread() is not threading.main_thread():  # where Python sets no handlers
        yield ending
        return

    def end(number: int, frame: FrameType | None) -> None:
        ending.code = TERMINATED
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield ending
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def refusal(e: OSError) -> tuple[str, str] | None:
    """Message and hint for what the system refuses; None when it is none of a user's concern.

    An unnamed file is one only when the disk is full: libraries then raise without a name.
    """
    if e.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No room left on the disk{_at(e)}.", _REMEDIES[e.errno]
    if e.errno is None or e.filename is None:
        return None
    return f"{e.strerror}{_at(e)}.", _REMEDIES.get(e.errno, "")


def _at(e: OSError) -> str:
    name = e.filename2 or e.filename
    return f": {name}" if name is not None else ""
