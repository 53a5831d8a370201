"""Compressed splats: Niantic's `.spz`, through the package gsply (extra `spz`)."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.poses import Pose
from phone2sim.reconstruct.splat.cloud import SplatCloud

FINEST_BITS = 16
"""Fraction bits of a coordinate at most: 15 µm steps, which reach 128 m."""
_OTHER_WAY_UP = Pose(np.zeros(3), np.array([0.0, 1, 0, 0]))  # y and z negated: axes right-down-front ↔ right-up-back


def write_spz(path: Path, cloud: SplatCloud) -> None:
    """Write version 3, in right-up-back axes as the reference converter does from a `.ply` with the same numbers.

    About a quarter of the `.ply`, and coarser: positions to 15 µm within 128 m (twice as coarse for each doubling), the
    logarithm of a scale to 1/32 within 45 µm – 380 m, opacity to 1/510, SH to 1/256 within ±1 and the first band to 1/76,
    orientation to 0.3°. Raises MissingDependencyError without gsply.
    """
    gsply = _gsply()
    turned = cloud.moved(_OTHER_WAY_UP)
    reach = max(float(np.abs(turned.means).max(initial=0.0)), 1e-6)
    bits = int(np.clip(np.floor(np.log2((2**23 - 1) / reach)), 1, FINEST_BITS))
    o = np.clip(turned.opacities.astype(np.float64), 1e-6, 1 - 1e-6)
    data = gsply.GSData(
        means=turned.means, scales=np.log(np.maximum(turned.scales, 1e-12)), quats=turned.quats_wxyz,
        opacities=np.log(o / (1 - o)).astype(np.float32), sh0=np.ascontiguousarray(turned.sh[:, 0]),
        shN=np.ascontiguousarray(turned.sh[:, 1:]),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    gsply.write_spz(path, data, version=3, fractional_bits=bits)


def read_spz(path: Path) -> SplatCloud:
    """Read a `.spz` of any version. Raises InputError for a damaged file, MissingDependencyError without gsply."""
    gsply = _gsply()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            data = gsply.read_spz(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except (ValueError, IndexError, EOFError, OSError, struct.error, zlib.error) as e:
        raise InputError(f"{path} cannot be read as .spz: {e}.") from None
    n = len(data.means)
    higher = np.zeros((n, 0, 3), np.float32) if data.shN is None else np.asarray(data.shN, np.float32).reshape(n, -1, 3)
    q = np.asarray(data.quats, np.float64)
    cloud = SplatCloud(
        means=data.means, quats_wxyz=q / np.maximum(np.linalg.norm(q, axis=1, keepdims=True), 1e-12), scales=np.exp(data.scales),
        opacities=1 / (1 + np.exp(-np.asarray(data.opacities, np.float64).reshape(n))),
        sh=np.concatenate([np.asarray(data.sh0, np.float32).reshape(n, 1, 3), higher], axis=1),
    )  # fmt: skip
    return cloud.moved(_OTHER_WAY_UP)


def _gsply() -> Any:
    try:
        import gsply
    except ImportError:
        raise MissingDependencyError("Reading and writing .spz needs gsply.", hint="pip install 'phone2sim[spz]'") from None
    return gsply
