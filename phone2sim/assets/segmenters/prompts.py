"""Points and boxes that a user gives in a picture, and the objects they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phone2sim.assets.views import View
from phone2sim.config import read_json
from phone2sim.errors import AssetError, InputError
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.sfm.model import normalised

NEAR = 0.02
"""How far beside an object a pick may fall, relative to the picture's longer side."""
LEAST_BOX = 0.25
"""Least intersection over union of a given box with the box around an object."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A point (x, y) or a box (x0, y0, x1, y1) [px] in a picture of the capture, as the user wrote it."""

    option: str
    text: str
    frame: str
    xy: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.option} {self.text!r}"


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A prompt in the undistorted pixels of one view's depth."""

    prompt: Prompt
    view: int
    xy: np.ndarray
    """(2,) point or (4,) box [px]."""

    @property
    def is_box(self) -> bool:
        return len(self.xy) == 4


def parse_pick(text: str) -> Prompt:
    """`x,y@frame`."""
    return _parse("--pick", text, 2, "x,y@frame, for example 812,455@0003.jpg")


def parse_box(text: str) -> Prompt:
    """`x0,y0,x1,y1@frame`."""
    prompt = _parse("--box", text, 4, "x0,y0,x1,y1@frame, for example 700,380,930,560@0003.jpg")
    x0, y0, x1, y1 = prompt.xy
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise InputError(f"{prompt} is empty.", hint="x0,y0 is the upper left corner, x1,y1 the lower right one.")
    return prompt


def _parse(option: str, text: str, count: int, syntax: str) -> Prompt:
    numbers, at, frame = text.strip().partition("@")
    parts = [p.strip() for p in numbers.split(",")]
    if not at or not frame.strip() or len(parts) != count or not all(re.fullmatch(r"-?\d+(\.\d*)?", p) for p in parts):
        raise InputError(f"{option} {text!r} cannot be read.", hint=f"Write {syntax}; pixels of SCENE/capture/frames.")
    return Prompt(option=option, text=text, frame=frame.strip(), xy=tuple(float(p) for p in parts))


def locate(prompt: Prompt, cameras: Cameras, capture: Path) -> int:
    """Index of the camera of a prompt's picture.

    The picture is named as in `capture/frames`, with or without its suffix, or as the original photo. Raises `InputError`
    for a picture that does not exist or has no camera, and for pixels outside it.
    """
    file = _frame(prompt, cameras, capture)
    i = cameras.names.index(file)
    w, h = (int(v) for v in cameras.size_wh[i])
    xy = np.array(prompt.xy).reshape(-1, 2)
    if (xy < 0).any() or (xy > [w, h]).any():
        raise InputError(
            f"{prompt} lies outside {file}, which is {w}x{h}.", hint="Pixels of the picture in SCENE/capture/frames, from its top left."
        )
    return i


def place(prompt: Prompt, cameras: Cameras, views: list[View], capture: Path) -> Placed:
    """Map a prompt's pixels, lens distortion included, to those of the `views` of all cameras. Raises as `locate`."""
    i = locate(prompt, cameras, capture)
    xy = np.array(prompt.xy).reshape(-1, 2)
    if len(xy) == 2:
        (x0, y0), (x1, y1) = xy
        xy = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    ray = normalised(cameras, i, xy)
    uv = ray * np.diag(views[i].K)[:2] + views[i].K[:2, 2]
    if len(uv) == 4:
        uv = np.concatenate([uv.min(axis=0), uv.max(axis=0)])
    return Placed(prompt=prompt, view=i, xy=uv.ravel())


def _frame(prompt: Prompt, cameras: Cameras, capture: Path) -> str:
    rows = read_json(capture / "capture.json")["frames"] if (capture / "capture.json").exists() else []
    files = [str(r["file"]) for r in rows] or list(cameras.names)
    sources = [str(r["source"]) for r in rows] or files
    for named in (files, [Path(f).stem for f in files], sources, [s.rsplit(".", 1)[0] for s in sources]):
        if prompt.frame in named:
            file = files[named.index(prompt.frame)]
            if file not in cameras.names:
                raise InputError(f"{prompt}: picture {file} has no camera.", hint="Point at the object in another picture.")
            return file
    known = list(cameras.names)
    short = known if len(known) <= 8 else [*known[:3], "…", known[-1]]
    raise InputError(f"{prompt}: no picture {prompt.frame!r};", hint=f"have {', '.join(short)}.")


def choose(placed: Sequence[Placed], masks: np.ndarray, names: Sequence[str]) -> set[int]:
    """Ids in `masks` (n views, h, w) of the objects that are pointed at; `names` are those of ids 1….

    A point takes the object under it, or the nearest one within `NEAR`; a box the one whose own box it fits best. Raises
    `AssetError` when there is none, and says where the objects are in that picture.
    """
    return {_one(p, masks[p.view], names) for p in placed}


def _one(p: Placed, ids: np.ndarray, names: Sequence[str]) -> int:
    best = _fitting(ids, p.xy) if p.is_box else _under(ids, p.xy)
    if best:
        return best
    here = []
    for k in np.unique(ids[ids > 0]):
        v, u = np.nonzero(ids == k)
        h, w = ids.shape
        here.append(f"{names[k - 1]} ({u.mean() / w:.0%} from the left, {v.mean() / h:.0%} from the top)")
    seen = f"That picture shows {', '.join(here)}." if here else "No object was found in that picture."
    raise AssetError(f"{p.prompt} points at no object.", hint=seen)


def _under(ids: np.ndarray, xy: np.ndarray) -> int:
    h, w = ids.shape
    x, y = np.clip(xy, 0, [w - 1, h - 1]).astype(int)
    if ids[y, x]:
        return int(ids[y, x])
    v, u = np.nonzero(ids)
    if not len(u):
        return 0
    far = np.hypot(u + 0.5 - xy[0], v + 0.5 - xy[1])
    nearest = int(np.argmin(far))
    return int(ids[v[nearest], u[nearest]]) if far[nearest] < NEAR * max(h, w) else 0


def _fitting(ids: np.ndarray, box: np.ndarray) -> int:
    best, found = LEAST_BOX, 0
    for k in np.unique(ids[ids > 0]):
        v, u = np.nonzero(ids == k)
        own = np.array([u.min(), v.min(), u.max() + 1, v.max() + 1], float)
        if (score := box_overlap(own, box)) > best:
            best, found = score, int(k)
    return found


def box_overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = float(np.prod(np.clip(high - low, 0, None)))
    return both / (float(np.prod(a[2:] - a[:2])) + float(np.prod(b[2:] - b[:2])) - both)
