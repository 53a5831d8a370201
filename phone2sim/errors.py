"""Errors a user can see. Each says what is wrong, what exists, and what to do; the CLI maps each to an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class Phone2SimError(Exception):
    """Base of all errors shown to a user as one clear line. `hint` says what to do."""

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(f"{message} {hint}".strip())


class InputError(Phone2SimError):
    """A path, file or option that cannot be used as given."""


class CaptureError(InputError):
    """A photo, clip or capture folder that cannot be read or used."""


class ReconstructionError(Phone2SimError):
    """Cameras or a splat could not be recovered from a readable capture."""


class AssetError(Phone2SimError):
    """Objects could not be lifted from a reconstruction."""


class RecipeError(InputError):
    """A recipe with an unknown key or a value out of range."""


class ShapeError(Phone2SimError, ValueError):
    """An array handed to a public type has the wrong shape, dtype or range."""


class GateError(Phone2SimError):
    """A quality gate failed; nothing is wrong with the usage."""

    exit_code = 1


class MissingDependencyError(Phone2SimError, ImportError):
    """An optional package is not installed; the hint is the install command."""

    exit_code = 3


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """`'mugg'` among `['bowl', 'mug']` → `"have bowl, mug. Did you mean mug?"`, for use in error texts."""
    options = sorted(valid)
    close = difflib.get_close_matches(name, options, n=1)
    listed = f"have {', '.join(options)}." if options else "there are none."
    return f"{listed} Did you mean {close[0]}?" if close else listed
