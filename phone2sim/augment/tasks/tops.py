"""What can hold something: a flat top to stand on, a hollow to lie in. Measured on the collision hulls, which is what
the simulator knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim.assets.surface import surface_of
from phone2sim.augment.footprints import centroid, convex_hull_2d, inset, least_width
from phone2sim.augment.objects import Resting
from phone2sim.errors import ShapeError

FLAT_M = 0.006
"""A top may be this uneven."""
STABLE_M = 0.008
"""The upper object's middle stays this far inside the lower one's top."""
HOLLOW_M = 0.015
"""A hollow is at least this deep."""
WALL_ROOM_M = 0.004
"""Gap between what lies in a hollow and its wall."""


@dataclass(frozen=True, kw_only=True)
class Seat:
    """Where another object comes to rest: in the resting object's own frame, before its extra yaw."""

    xy: np.ndarray
    """(2,) [m]."""
    height_m: float
    """Above the support."""
    room_m: float
    """Least width of a top, radius of a hollow."""


def resting_points(body: Resting) -> tuple[np.ndarray, np.ndarray]:
    """Points and normals (n, 3) of the hulls as it rests, its lowest point at zero."""
    s = surface_of(body.asset)
    R = body.T_surface_asset.rotation
    p = s.points @ R.T
    return p - [0, 0, p[:, 2].min()], s.normals @ R.T


def flat_top(body: Resting) -> Seat | None:
    """The top, where it is level and wide enough to stand something on; else None."""
    p, n = resting_points(body)
    top = p[(p[:, 2] > p[:, 2].max() - FLAT_M) & (n[:, 2] > 0.9)]
    if len(top) < 12:
        return None
    try:
        outline = convex_hull_2d(top[:, :2])
    except ShapeError:
        return None
    # A rim around a hollow has an outline too, but nothing inside.
    middle = centroid(outline)
    inside = np.linalg.norm(top[:, :2] - middle, axis=1) < 0.35 * least_width(outline)
    if inside.sum() < 4:
        return None
    return Seat(xy=middle, height_m=float(np.median(top[:, 2])), room_m=least_width(outline))


def hollow(body: Resting) -> Seat | None:
    """A bowl's or mug's inside, open at the top; else None."""
    p, n = resting_points(body)
    rim = p[p[:, 2] > p[:, 2].max() - 0.01]
    middle = 0.5 * (rim[:, :2].min(axis=0) + rim[:, :2].max(axis=0))
    r = np.linalg.norm(p[:, :2] - middle, axis=1)
    inner = (r < 0.012) & (n[:, 2] > 0.3)
    if not inner.any():
        return None
    floor, top = float(p[inner, 2].max()), float(p[:, 2].max())
    wall = r[(p[:, 2] > floor + 0.006) & (r > 0.006)]
    if top - floor < HOLLOW_M or not len(wall):
        return None
    return Seat(xy=middle, height_m=floor, room_m=float(wall.min()))


def stands_on(upper: Resting, lower: Resting) -> bool:
    """Whether `upper` would stay on the top of `lower`."""
    seat = flat_top(lower)
    if seat is None:
        return False
    p, _ = resting_points(upper)
    base = p[p[:, 2] < FLAT_M]
    try:
        contact = convex_hull_2d(base[:, :2])
    except ShapeError:
        return False
    com = (upper.asset.inertia.center_of_mass @ upper.T_surface_asset.rotation.T)[:2]
    return seat.room_m >= 2 * STABLE_M + 0.012 and inset(contact, com[None])[0] > STABLE_M


def lies_in(inner: Resting, outer: Resting) -> bool:
    """Whether `inner`, held upright over the hollow of `outer`, goes down to its floor: at every height on its way the wall
    leaves room for all of it that gets there."""
    seat = hollow(outer)
    if seat is None:
        return False
    p, _ = resting_points(inner)
    wall, _ = resting_points(outer)
    r_wall = np.linalg.norm(wall[:, :2] - seat.xy, axis=1)
    above = wall[:, 2] - seat.height_m
    sides = (above > FLAT_M) & (r_wall > FLAT_M)
    order = np.argsort(above[sides])
    room = np.minimum.accumulate(r_wall[sides][order][::-1])[::-1]  # of the wall from here up
    at = np.searchsorted(above[sides][order], p[:, 2])
    inside = at < len(room)
    return bool((np.linalg.norm(p[inside, :2], axis=1) + WALL_ROOM_M <= room[at[inside]]).all())
