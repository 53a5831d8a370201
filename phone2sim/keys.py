"""Randomness by name, not by order: a `Key` is a seed and a path of names.

A child's stream depends only on its own path, so adding one variation leaves every other draw unchanged and any
episode can be rebuilt alone on any worker. The global numpy generator is never touched.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Key:
    """A seed and a path of names; `Key(7).child("episode", 417).rng()` is the same stream everywhere."""

    seed: int
    path: tuple[str, ...] = ()

    def child(self, *names: str | int) -> Key:
        """The key of a named part. `child("a", 1)` and `child("a").child(1)` are the same key."""
        return Key(self.seed, self.path + tuple(f"{type(n).__name__}:{n}" for n in names))

    def _digest(self) -> bytes:
        h = hashlib.sha256(str(int(self.seed)).encode())
        for name in self.path:
            part = name.encode()
            h.update(len(part).to_bytes(8, "little") + part)
        return h.digest()

    def rng(self) -> np.random.Generator:
        """A fresh generator for this key; calling twice gives two equal streams."""
        return np.random.Generator(np.random.PCG64(int.from_bytes(self._digest()[:16], "little")))

    def integer(self) -> int:
        """A 31-bit integer for libraries that want a plain seed."""
        return int.from_bytes(self._digest()[16:20], "little") & 0x7FFFFFFF

    def __str__(self) -> str:
        return "/".join([str(self.seed), *(n.split(":", 1)[1] for n in self.path)])
