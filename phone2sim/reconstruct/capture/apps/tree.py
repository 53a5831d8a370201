"""The files of a capture, in a folder or still inside a zip, read the same way."""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from phone2sim.errors import CaptureError
from phone2sim.reconstruct.capture.photos import natural_key

_DEPTH = 6
_MOST = 200_000

_UNREADABLE = (OSError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError)
"""What a damaged or oddly packed member of a zip raises (an unknown compression is a RuntimeError too)."""


class Tree:
    """A folder or a zip file. Names are relative posix paths; hidden files do not exist.

    Nothing is unpacked under its own name: a zip member is only read, or copied into a scratch file while it is used.
    """

    def __init__(self, root: Path, prefix: str = "") -> None:
        self.root, self.prefix = Path(root), prefix
        self._zip: zipfile.ZipFile | None = None
        if self.root.is_dir():
            self.names = _walk(self.root)
            return
        try:
            self._zip = zipfile.ZipFile(self.root)
        except (zipfile.BadZipFile, OSError, ValueError) as e:
            raise CaptureError(f"{self.root.name} is a damaged zip ({e}).", hint="Export it again.") from None
        every = [i.filename for i in self._zip.infolist() if not i.is_dir()]
        below = [n[len(prefix) :] for n in every if n.startswith(prefix)]
        self.names = tuple(sorted((n for n in below if _shown(n)), key=lambda n: natural_key(PurePosixPath(n))))

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._zip is not None:
            self._zip.close()

    @property
    def title(self) -> str:
        return self.root.name

    def within(self, folder: str) -> Tree:
        """The tree below `folder`."""
        if self._zip is None:
            return Tree(self.root / folder)
        return Tree(self.root, f"{self.prefix}{folder}/")

    def folders(self) -> list[str]:
        """Top-level folders that hold files."""
        return sorted({n.split("/", 1)[0] for n in self.names if "/" in n})

    def files(self, folder: str = "") -> list[str]:
        """Names of the files directly in `folder`, naturally sorted."""
        start = f"{folder}/" if folder else ""
        return [n for n in self.names if n.startswith(start) and "/" not in n[len(start) :]]

    def has(self, name: str) -> bool:
        """Whether a file is there; a folder also finds what a `..` or an absolute path leads to."""
        if self._zip is None:
            return (self.root / name).is_file()
        return posixpath.normpath(name) in self.names

    def read(self, name: str) -> bytes:
        try:
            if self._zip is None:
                return (self.root / name).read_bytes()
            return self._zip.read(self.prefix + posixpath.normpath(name))
        except _UNREADABLE as e:
            raise CaptureError(f"{self.title}: {name} cannot be read ({e}).", hint="Export it again.") from None

    def text(self, name: str) -> str:
        return self.read(name).decode("utf-8-sig", "replace")

    def json(self, name: str) -> Any:
        try:
            return json.loads(self.text(name))
        except json.JSONDecodeError as e:
            raise CaptureError(f"{self.title}: {name} is not valid JSON ({e}).", hint="Export it again.") from None

    @contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """A path that holds the file, for readers that need one."""
        if self._zip is None:
            yield self.root / name
            return
        scratch = Path(tempfile.mkdtemp(prefix="phone2sim-zip-"))
        try:
            path = scratch / PurePosixPath(name).name
            try:
                with self._zip.open(self.prefix + posixpath.normpath(name)) as src, path.open("wb") as dst:
                    shutil.copyfileobj(src, dst, 1 << 20)
            except _UNREADABLE as e:
                raise CaptureError(f"{self.title}: {name} cannot be read ({e}).", hint="Export it again.") from None
            yield path
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _shown(name: str) -> bool:
    return not any(p.startswith(".") or p == "__MACOSX" for p in name.split("/"))


def _walk(root: Path) -> tuple[str, ...]:
    found: list[str] = []
    for at, folders, files in os.walk(root):
        inside = Path(at).relative_to(root)
        folders[:] = [] if len(inside.parts) >= _DEPTH else sorted(f for f in folders if _shown(f))
        found += [(inside / f).as_posix() for f in files if _shown(f)]
        if len(found) > _MOST:  # no capture, but perhaps photos at the top of something large
            break
    return tuple(sorted(found, key=lambda n: natural_key(PurePosixPath(n))))
