"""Base of every configuration and every JSON document: frozen, unknown keys refused, errors in one line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from phone2sim.errors import InputError, did_you_mean

T = TypeVar("T", bound="Config")


class Config(BaseModel):
    """A frozen pydantic model; change with `model_copy(update=...)`."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_config(cls: type[T], data: Any, *, where: str) -> T:
    """Validate `data` as `cls`; a failure becomes an `InputError` naming `where`, the key and the valid keys."""
    try:
        return cls.model_validate(data)
    except ValidationError as e:
        error = e.errors()[0]
        key = ".".join(str(p) for p in error["loc"])
        if error["type"] == "extra_forbidden":
            raise InputError(f"{where}: unknown key {key!r};", hint=did_you_mean(key, cls.model_fields)) from None
        raise InputError(f"{where}: {key or 'document'}: {error['msg']}.") from None


def read_json(path: Path) -> Any:
    """Parse a JSON file; a missing or damaged one is an `InputError` naming it."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise InputError(f"{path} is not valid JSON: {e}.") from None


def write_json(path: Path, data: Any) -> None:
    """`data` as a JSON file, by rename: a killed run leaves the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial-{os.getpid()}")
    try:
        partial.write_text(json.dumps(data, indent=1, sort_keys=False) + "\n")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
