"""`Recording`: a hand's path from outside — a handheld gripper, a tracked wrist — as CSV or zarr.

CSV: a header, then one row per time: `t` [s], `x y z` [m], `qw qx qy qz`, and `gripper` (opening in metres, or 0–1).
Zarr: a group or zip as handheld-gripper tools write it: `data/robot0_eef_pos` (n, 3), `data/robot0_eef_rot_axis_angle`
(n, 3), `data/robot0_gripper_width` (n, 1), `meta/episode_ends`; rates other than 60 Hz are given with `@HZ`.

The frame is anything with z up; only motion with respect to the moments of grasping and letting go is used.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import InputError, MissingDependencyError, did_you_mean
from phone2sim.poses import quat_to_matrix

COLUMNS = ("t", "x", "y", "z", "qw", "qx", "qy", "qz", "gripper")
ZARR_HZ = 60.0
CLOSED_SHARE = 0.45
"""Of its range: below it a hand is closed."""
LEAST_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One demonstrated grasp, carry and release."""

    times_s: np.ndarray
    """(n,) from 0."""
    positions: np.ndarray
    """(n, 3) [m], z up."""
    rotations: np.ndarray
    """(n, 3, 3) of the hand, any convention, in the same frame."""
    closing: int
    """Sample at which the hand closes."""
    opening: int
    """Sample at which it lets go again; n - 1 when it never does."""

    @property
    def releases(self) -> bool:
        return self.opening < len(self.times_s) - 1


def read_recordings(path: Path) -> list[Recording]:
    """Every demonstration in a file: one of a CSV, each episode of a zarr.

    Raises `InputError` naming the file and what is missing in it, `MissingDependencyError` without the zarr package.
    """
    name, _, hz = str(path).partition("@")
    file = Path(name)
    if not file.exists():
        raise InputError(f"Demonstration {file} does not exist.")
    if file.suffix.lower() == ".csv":
        return [_checked(*_read_csv(file), where=str(file))]
    if ".zarr" in file.name.lower():
        try:
            rate = float(hz or ZARR_HZ)
        except ValueError:
            raise InputError(f"{path}: {hz!r} is not a rate in Hz.") from None
        return [_checked(*rows, where=f"{file}, episode {i}") for i, rows in enumerate(_read_zarr(file, rate))]
    raise InputError(f"{file} is not a demonstration.", hint="Give a .csv, a .zarr folder or a .zarr.zip.")


def _read_csv(file: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    try:
        with file.open(newline="") as f:
            rows = list(csv.DictReader(f))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise InputError(f"{file} cannot be read as CSV: {e}.") from None
    have = [c for c in (rows[0] if rows else {}) if c]
    for column in COLUMNS:
        if column not in have:
            raise InputError(
                f"{file} has no column {column!r}; {did_you_mean(column, have)}", hint=f"Columns: {' '.join(COLUMNS)}."
            )
    try:
        a = np.array([[float(r[c]) for c in COLUMNS] for r in rows])
    except (TypeError, ValueError) as e:
        raise InputError(f"{file}: not a number: {e}.") from None
    q = a[:, 4:8]
    norm = np.linalg.norm(q, axis=1, keepdims=True)
    if not np.isfinite(a).all() or (norm < 1e-6).any():
        raise InputError(f"{file} holds numbers that are not finite, or a quaternion of length zero.")
    return a[:, 0], a[:, 1:4], quat_to_matrix(q / norm), a[:, 8]


def _read_zarr(file: Path, hz: float) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    from scipy.spatial.transform import Rotation

    try:
        import zarr
    except ImportError:
        raise MissingDependencyError("Reading zarr needs the zarr package.", hint="pip install 'phone2sim[demos]'") from None
    try:
        store: Any = zarr.storage.ZipStore(str(file), mode="r") if file.is_file() else str(file)
        group: Any = zarr.open_group(store, mode="r")
        found = {n: np.asarray(group[f"data/{n}"][:], float) for n in ZARR_ARRAYS}
        ends = np.asarray(group["meta/episode_ends"][:], int)
    except KeyError as e:
        raise InputError(f"{file} has no array {str(e.args[0])!r}; a demonstration needs {', '.join(ZARR_ARRAYS)}.") from None
    except Exception as e:
        raise InputError(f"{file} cannot be read as zarr: {' '.join(str(e).split())}.") from None
    position, turn, width = (found[n] for n in ZARR_ARRAYS)
    out = []
    for a, b in zip([0, *ends[:-1]], ends):
        rotations = Rotation.from_rotvec(turn[a:b]).as_matrix()
        out.append((np.arange(b - a) / hz, position[a:b], rotations, width[a:b].reshape(b - a, -1)[:, 0]))
    return out


ZARR_ARRAYS = ("robot0_eef_pos", "robot0_eef_rot_axis_angle", "robot0_gripper_width")


def _checked(times: np.ndarray, positions: np.ndarray, rotations: np.ndarray, width: np.ndarray, *, where: str) -> Recording:
    if len(times) < 4 or (np.diff(times) <= 0).any() or times[-1] - times[0] < LEAST_S:
        raise InputError(f"{where}: times must grow, over {LEAST_S} s or more.")
    low, high = float(width.min()), float(width.max())
    shut = width < low + CLOSED_SHARE * (high - low)
    starts = np.flatnonzero(~shut[:-1] & shut[1:]) + 1
    if high - low < 1e-3 or not len(starts):
        raise InputError(f"{where}: the hand never closes, so there is no grasp to carry over.")
    # The longest closed stretch is the grasp; shorter ones are fumbling.
    ends = [int(s + np.argmax(~shut[s:])) if (~shut[s:]).any() else len(shut) - 1 for s in starts]
    i = int(np.argmax([e - s for s, e in zip(starts, ends)]))
    return Recording(
        times_s=times - times[0], positions=positions, rotations=rotations, closing=int(starts[i]), opening=ends[i]
    )
