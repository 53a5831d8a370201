"""Readers of capture apps: one module per format, told by what the files hold."""

from __future__ import annotations

from pathlib import Path

from phone2sim.errors import CaptureError
from phone2sim.reconstruct.capture.apps import colmap, nerfstudio, polycam, realitycapture, record3d, stray
from phone2sim.reconstruct.capture.apps.reading import Reading, Shot
from phone2sim.reconstruct.capture.apps.tree import Tree
from phone2sim.reconstruct.capture.content import content_of

__all__ = ["APPS", "Reading", "Shot", "Tree", "find_app", "read_app"]

APPS = {m.NAME: m for m in (record3d, polycam, stray, nerfstudio, colmap, realitycapture)}
"""In the order in which they are asked. Each has `entry_of(tree, given)` and `read(tree, entry)`."""


_DAMAGE = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)


def find_app(source: Path) -> str | None:
    """The app whose capture lies at `source` (a folder, a zip, a `transforms.json` or a CSV), or None."""
    found = _located(source)
    if found is None:
        return None
    found[1].close()
    return found[0]


def read_app(source: Path) -> tuple[Reading, Tree]:
    """The capture at `source`, for which `find_app` is not None. Close the tree when its pictures are read."""
    found = _located(source)
    assert found is not None
    name, tree, entry = found
    try:
        return APPS[name].read(tree, entry), tree
    except _DAMAGE as e:  # numbers where lists should be, and the like
        tree.close()
        raise CaptureError(
            f"{Path(source).name} is a damaged {name} capture ({type(e).__name__}: {e}).", hint="Export it again."
        ) from None
    except BaseException:
        tree.close()
        raise


def _located(source: Path) -> tuple[str, Tree, str] | None:
    source = Path(source)
    given = None
    if source.is_dir():
        tree = Tree(source)
    elif (kind := content_of(source)) == "zip":
        tree = Tree(source)
    elif kind == "text":
        tree, given = Tree(source.parent), source.name
    else:
        return None
    trees = [tree]
    plain = sum(_is_picture(n) for n in tree.files())
    if given is None and plain < 3 and len(tree.folders()) <= 3:  # zips often hold one folder that holds everything
        trees += [tree.within(f) for f in tree.folders() if not tree.files(f) or not all(map(_is_picture, tree.files(f)))]
    result = None
    for t in trees:
        for name, app in APPS.items():
            entry = app.entry_of(t, given)
            if entry is not None and result is None:
                result = (name, t, entry)
    for t in trees:
        if result is None or t is not result[1]:
            t.close()
    return result


def _is_picture(name: str) -> bool:
    return name.lower().endswith((".jpg", ".jpeg", ".png", ".heic", ".heif", ".hif"))
