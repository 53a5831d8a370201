"""Stray Scanner: `rgb.mp4`, `camera_matrix.csv`, `odometry.csv`, `imu.csv`, `depth/%06d.png`, `confidence/%06d.png`.

`odometry.csv` holds `timestamp, frame, x, y, z, qx, qy, qz, qw` and, in newer versions, `fx, fy, cx, cy`: the pose of
each frame of the film, camera-to-world, camera axes already OpenCV's, world ARKit's (y up, metres). Depth is 16-bit
millimetres, confidence 0–2. `imu.csv` holds `timestamp, a_x, a_y, a_z, …` in the phone's axes (x right, y to the top,
z out of the screen), in g or m/s² by version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

import numpy as np

from phone2sim.errors import CaptureError
from phone2sim.poses import Pose
from phone2sim.reconstruct.capture.apps.reading import Reading, Shot, number, png16, pose, table
from phone2sim.reconstruct.capture.apps.tree import Tree
from phone2sim.reconstruct.capture.blur import grey
from phone2sim.reconstruct.capture.clip import decode

NAME = "stray"
UP = (0.0, 1.0, 0.0)
_CAMERA_DEVICE = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])
"""Film axes (OpenCV; the film is stored with the phone's top on its left) from the phone's axes."""


def entry_of(tree: Tree, given: str | None) -> str | None:
    """The film, or None."""
    if given is not None or not tree.has("odometry.csv"):
        return None
    head = tree.text("odometry.csv").split("\n", 1)[0]
    films = [n for n in ("rgb.mp4", "rgb.mov", "rgb.m4v") if tree.has(n)]
    return films[0] if films and {"qx", "qw", "x"} <= {w.strip() for w in head.split(",")} else None


def read(tree: Tree, entry: str) -> Reading:
    """Poses by frame number; the film decides which frames there are."""
    rows = table(tree.text("odometry.csv"), f"{tree.title}: odometry.csv")
    matrix = _matrix(tree)
    shots = []
    times = [number(r.get("timestamp", i / 60), "odometry.csv: timestamp") for i, r in enumerate(rows)]
    ups = _gravity(tree, np.array(times))
    for i, row in enumerate(rows):
        where = f"{tree.title}: odometry.csv, row {i + 1}"
        x, y, z, *q = (number(row.get(k), f"{where}: {k}") for k in ("x", "y", "z", "qx", "qy", "qz", "qw"))
        own = [row.get(k) or "" for k in ("fx", "fy", "cx", "cy")]
        lens = tuple(number(v, f"{where}: lens") for v in own) if all(own) else matrix
        number_of = row.get("frame") or f"{i:06d}"
        if lens is None:
            raise CaptureError(f"{tree.title} has no camera_matrix.csv.", hint="Copy the whole folder again.")
        if np.linalg.norm(q) < 0.1:
            raise CaptureError(f"{where} has no rotation.", hint="Export the capture again.")
        T = pose(Pose(np.array([x, y, z]), np.array([q[3], *q[:3]])).matrix, where)
        shots.append(
            Shot(
                name=f"{entry}#{number_of}", time_s=times[i] - times[0], T_world_camera=T,
                lens=(lens[0], lens[1], lens[2], lens[3]), depth=_depth(tree, number_of),
                up_camera=None if ups is None else _CAMERA_DEVICE @ ups[i],
            )
        )  # fmt: skip
    shots, notes = _agreeing(shots)
    return Reading(
        app=NAME, shots=tuple(shots), ordered=True, video=True, metric=True, up_world=UP,
        pictures=_film(tree, entry), previews=lambda: _previews(tree, entry, len(shots)), notes=notes,
    )  # fmt: skip


def _matrix(tree: Tree) -> tuple[float, ...] | None:
    if not tree.has("camera_matrix.csv"):
        return None
    lines = [s for s in tree.text("camera_matrix.csv").splitlines() if s.strip()]
    m = [[number(v, "camera_matrix.csv") for v in s.split(",")] for s in lines]
    if len(m) != 3 or any(len(r) != 3 for r in m):
        raise CaptureError(f"{tree.title}: camera_matrix.csv is not 3×3.", hint="Export the capture again.")
    return m[0][0], m[1][1], m[0][2], m[1][2]


def _film(tree: Tree, entry: str) -> Callable[[Sequence[int]], Iterator[tuple[int, np.ndarray, int]]]:
    def pictures(wanted: Sequence[int]) -> Iterator[tuple[int, np.ndarray, int]]:
        left = set(wanted)
        with ExitStack() as stack:
            path = stack.enter_context(tree.file(entry))
            for index, _, rgb in decode(path, upright=False, wanted=frozenset(wanted)):
                left.discard(index)
                yield index, rgb, 0
                if not left:
                    return

    return pictures


def _previews(tree: Tree, entry: str, count: int) -> Iterator[np.ndarray]:
    with tree.file(entry) as path:
        for index, _, rgb in decode(path, upright=False, tones=False):
            if index >= count:
                return
            yield grey(rgb, 640)


def _depth(tree: Tree, number_of: str) -> Callable[[], np.ndarray] | None:
    found = next((n for n in (f"depth/{number_of}.png", f"depth/{number_of}.npy") if tree.has(n)), None)
    if found is None:
        return None
    name, sure = found, f"confidence/{number_of}.png"

    def depth() -> np.ndarray:
        if name.endswith(".npy"):
            import io

            a = np.load(io.BytesIO(tree.read(name)), allow_pickle=False).astype(np.float32) / 1000
        else:
            a = png16(tree.read(name), name).astype(np.float32) / 1000
        if tree.has(sure) and (c := png16(tree.read(sure), sure)).shape == a.shape:
            a = np.where(c > 0, a, 0)
        return a

    return depth


def _gravity(tree: Tree, times: np.ndarray, *, window_s: float = 0.5) -> np.ndarray | None:
    """(n, 3) unit vectors against gravity in the phone's axes at `times`, or None.

    A line is fitted to the acceleration in a Gaussian window, so that a turning phone is followed. Versions that store
    it without gravity, or not beside the frames' times, give None. CoreMotion's raw acceleration points with gravity.
    """
    if not tree.has("imu.csv"):
        return None
    try:
        rows = table(tree.text("imu.csv"), "imu.csv")
        a = np.array([[float(r[k]) for k in ("timestamp", "a_x", "a_y", "a_z")] for r in rows])
    except (CaptureError, KeyError, ValueError):
        return None
    a = a[np.isfinite(a).all(axis=1)]
    inside = (a[:, 0] >= times[0] - 1) & (a[:, 0] <= times[-1] + 1)
    a = a[inside]
    if len(a) < 10:
        return None
    out = np.empty((len(times), 3))
    for i, t in enumerate(times):
        near = a[np.abs(a[:, 0] - t) < 2 * window_s]
        if len(near) < 5:
            return None
        since = near[:, 0] - t
        weight = np.exp(-0.25 * (since / (0.5 * window_s)) ** 2)[:, None]
        line = np.stack([np.ones_like(since), since], axis=1)
        out[i] = np.linalg.lstsq(line * weight, near[:, 1:] * weight, rcond=None)[0][0]
    size = float(np.median(np.linalg.norm(out, axis=1)))
    if not (0.8 < size < 1.2 or 8 < size < 11.5):
        return None
    return -out / np.linalg.norm(out, axis=1, keepdims=True)


def _agreeing(shots: list[Shot]) -> tuple[list[Shot], tuple[str, ...]]:
    """Gravity of the IMU as far as it agrees with ARKit's; its sign differs between versions of the app."""
    from dataclasses import replace

    if not shots or shots[0].up_camera is None:
        return shots, ()
    own = np.array([s.T_world_camera[:3, :3].T @ UP for s in shots if s.T_world_camera is not None])
    imu = np.array([s.up_camera for s in shots])
    cosine = (own * imu).sum(axis=1)
    sign = 1.0 if np.median(cosine) >= 0 else -1.0
    angle = float(np.rad2deg(np.median(np.arccos(np.clip(sign * cosine, -1, 1)))))
    if angle > 15:
        return [replace(s, up_camera=None) for s in shots], (
            f"The IMU's gravity is {angle:.0f}° off the poses' and is not used.",
        )
    return [replace(s, up_camera=sign * u) for s, u in zip(shots, imu)], ()
