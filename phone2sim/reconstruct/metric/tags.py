"""AprilTags in the pictures: found, triangulated through the SfM cameras, and turned into votes for the scale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phone2sim import sheet
from phone2sim.images import read_rgb
from phone2sim.intervals import Interval
from phone2sim.progress import track
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.sfm.model import normalised, pixels_of

MIN_VIEWS = 3
MAX_ERROR_PX = 2.5
LEAST_HALF_WIDTH = 0.003
"""Print and paper leave at least this relative uncertainty."""


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """A tag in one picture."""

    tag: int
    camera: int
    corners_px: np.ndarray
    """(4, 2) as printed: top-left, top-right, bottom-right, bottom-left; pixel centre at +0.5."""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A triangulated tag."""

    tag: int
    corners: np.ndarray
    """(4, 3) in the world of the cameras."""
    views: int
    error_px: float
    """Median reprojection error."""


def find_tags(rgb: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """`(id, corners (4, 2) px)` of the tag36h11 tags in an upright picture (h, w, 3) uint8."""
    import cv2

    settings = cv2.aruco.DetectorParameters()
    settings.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    settings.adaptiveThreshWinSizeMax = 43
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11)
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    times = 2 if max(grey.shape) < 1100 else 1  # a tag of twenty pixels is read better enlarged
    big = cv2.resize(grey, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC) if times > 1 else grey
    quads, ids, _ = cv2.aruco.ArucoDetector(dictionary, settings).detectMarkers(big)
    if ids is None:
        return []
    light = (grey.astype(np.float32) / 255) ** 2.2
    corners = [(q.reshape(4, 2) + 0.5) / times - 0.5 for q in quads]
    return [(int(i), refine_corners(light, q) + 0.5) for i, q in zip(ids.ravel(), corners, strict=True)]


def refine_corners(light: np.ndarray, quad: np.ndarray) -> np.ndarray:
    """Corners (4, 2) of a black square on white, as the crossings of lines fitted to its four edges.

    `light` (h, w) float32 is linear in the light: blur moves an edge of the gamma-encoded picture towards the dark
    side and would shrink every tag. An edge lies where the area under its profile says. Pixel centre at integers.
    """
    import cv2

    quad = np.asarray(quad, dtype=np.float64)
    shortest = float(np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1).min())
    if shortest < 14:  # its border is hardly wider than the blur
        return quad
    inward = quad.mean(axis=0)
    lines = []
    for k in range(4):
        a, b = quad[k], quad[(k + 1) % 4]
        length = float(np.linalg.norm(b - a))
        along = (b - a) / max(length, 1e-9)
        out = np.array([along[1], -along[0]])
        out *= -1.0 if out @ (inward - a) > 0 else 1.0
        half = float(np.clip(0.08 * length, 1.5, 6.0))  # less than the border of one module, an eighth of the edge
        steps = np.linspace(-half, half, 25)
        base = a + np.linspace(0.1, 0.9, max(8, min(60, int(length))))[:, None] * (b - a)
        at = (base[:, None] + steps[None, :, None] * out).astype(np.float32)
        profile = cv2.remap(light, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        black, white = np.median(profile[:, :4]), np.median(profile[:, -4:])
        if white - black < 0.02:
            return quad
        share = ((white - profile) / (white - black)).mean(axis=1)  # the part of the profile inside the tag
        off = (share - 0.5) * 2 * half
        keep = np.abs(off - np.median(off)) < 0.5 + 2 * np.median(np.abs(off - np.median(off)))
        x = (base - a) @ along
        slope, shift = np.polyfit(x[keep], off[keep], 1) if keep.sum() >= 6 else (0.0, float(np.median(off)))
        p, q = a + shift * out, b + (shift + slope * length) * out
        lines.append(np.cross(np.append(p, 1.0), np.append(q, 1.0)))
    refined = np.empty((4, 2))
    for k in range(4):
        crossing = np.cross(lines[k - 1], lines[k])
        if abs(crossing[2]) < 1e-12:
            return quad
        refined[k] = crossing[:2] / crossing[2]
    most = float(np.clip(0.06 * shortest, 1.5, 3.0))
    return refined if np.linalg.norm(refined - quad, axis=1).max() < most else quad


def look_for_tags(cameras: Cameras, frames: Path, *, most: int = 60) -> list[Sighting]:
    """Sightings in at most `most` evenly chosen pictures, full resolution."""
    n = len(cameras)
    chosen = np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
    seen: list[Sighting] = []
    for i in track(chosen, "Looking for tags", unit="frames"):
        found = find_tags(read_rgb(frames / cameras.names[i]))
        counts = {tag: sum(t == tag for t, _ in found) for tag, _ in found}
        seen += [Sighting(tag=t, camera=int(i), corners_px=c) for t, c in found if counts[t] == 1]
    return seen


def triangulate(cameras: Cameras, which: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One point (3,) from its pixels (k, 2) in cameras `which` (k,), k ≥ 2, and its errors (k,) [px].

    Nearest point to all rays, then reprojection error under a Huber loss of 1 px, twice, without gross outliers.
    """
    from scipy.optimize import least_squares

    which = np.asarray(which, dtype=int)
    inverse = np.linalg.inv(cameras.T_world_camera[which])
    K, lens = cameras.K[which], cameras.distortion[which]

    def errors(xyz: np.ndarray) -> np.ndarray:
        p = inverse[:, :3, :3] @ xyz + inverse[:, :3, 3]
        xy = p[:, :2] / np.where(np.abs(p[:, 2:]) < 1e-12, 1e-12, p[:, 2:])
        return pixels_of(xy, K, lens) - pixels

    A, b = np.zeros((3, 3)), np.zeros(3)
    for c, p in zip(which, pixels, strict=True):
        T = cameras.T_world_camera[int(c)]
        ray = T[:3, :3] @ np.append(normalised(cameras, int(c), p[None])[0], 1.0)
        ray /= np.linalg.norm(ray)
        M = np.eye(3) - np.outer(ray, ray)
        A += M
        b += M @ T[:3, 3]
    xyz = np.linalg.lstsq(A, b, rcond=None)[0]
    size = np.linalg.norm(cameras.centres[which] - xyz, axis=1).mean()
    keep = np.ones(len(which), bool)
    for _ in range(2):

        def kept(d: np.ndarray, start: np.ndarray = xyz, keep: np.ndarray = keep) -> np.ndarray:
            return errors(start + d * size)[keep].ravel()

        xyz = xyz + size * least_squares(kept, np.zeros(3), loss="huber", x_scale=1e-3, max_nfev=30).x
        off = np.linalg.norm(errors(xyz), axis=1)
        keep = off < max(MAX_ERROR_PX, 3 * float(np.median(off)))
    return xyz, off


def triangulate_tags(cameras: Cameras, seen: list[Sighting]) -> dict[int, Tag]:
    """Tags seen in at least three pictures that agree on where they are."""
    tags: dict[int, Tag] = {}
    for tag in sorted({s.tag for s in seen}):
        mine = [s for s in seen if s.tag == tag]
        if len(mine) < MIN_VIEWS:
            continue
        which = np.array([s.camera for s in mine])
        centres = cameras.centres[which]
        if np.linalg.norm(centres - centres.mean(axis=0), axis=1).max() < 1e-6:
            continue
        solved = [triangulate(cameras, which, np.array([s.corners_px[k] for s in mine])) for k in range(4)]
        error = float(np.median(np.concatenate([e for _, e in solved])))
        if error <= MAX_ERROR_PX:
            tags[tag] = Tag(tag=tag, corners=np.array([x for x, _ in solved]), views=len(mine), error_px=error)
    return tags


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale s, rotation R (3, 3), translation t (3,) with target ≈ s R source + t by least squares (Umeyama 1991)."""
    a, b = source - source.mean(axis=0), target - target.mean(axis=0)
    U, S, Vt = np.linalg.svd(b.T @ a)
    D = np.diag([1.0, 1.0, 1.0 if np.linalg.det(U @ Vt) > 0 else -1.0])
    R = U @ D @ Vt
    s = float((S * np.diag(D)).sum() / (a**2).sum())
    return s, R, target.mean(axis=0) - s * R @ source.mean(axis=0)


def point_set_scale(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Metres per unit of a point set of known shape, and its standard error (jackknife over the points)."""
    n = len(found)
    s = similarity(found, true)[0]
    without = np.array([similarity(np.delete(found, i, 0), np.delete(true, i, 0))[0] for i in range(n)])
    return s, float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum()))


def sheet_vote(tags: dict[int, Tag]) -> Interval | None:
    """Metres per unit from the phone2sim sheet; None when none of its tags was triangulated."""
    known = {i: c for i, c in sheet.corners().items() if i in tags}
    if not known:
        return None
    s, error = point_set_scale(np.concatenate([tags[i].corners for i in known]), np.concatenate(list(known.values())))
    half = s * max(LEAST_HALF_WIDTH, 3 * error / s)
    views = max(tags[i].views for i in known)
    why = f"the scale sheet: {len(known)} of {len(sheet.TAG_IDS)} tags in {views} pictures"
    return Interval(value=s, low=s - half, high=s + half, why=why)


def tag_vote(tags: dict[int, Tag], edge_m: float) -> Interval | None:
    """Metres per unit from tags of the given edge [m] that do not belong to the sheet."""
    e = edge_m / 2
    square = np.array([[-e, e, 0], [e, e, 0], [e, -e, 0], [-e, -e, 0]])
    own = [t for i, t in sorted(tags.items()) if i not in sheet.TAG_IDS]
    if not own:
        return None
    each = np.array([point_set_scale(t.corners, square) for t in own])
    s = float(np.median(each[:, 0]))
    spread = float(np.abs(each[:, 0] - s).max()) if len(own) > 1 else 0.0
    half = max(s * 0.005, 3 * float(np.median(each[:, 1])), spread)
    return Interval(value=s, low=s - half, high=s + half, why=f"{len(own)} tags with an edge of {edge_m * 1000:g} mm")


def sheet_normal(tags: dict[int, Tag]) -> tuple[np.ndarray, np.ndarray] | None:
    """`(normal (3,), centre (3,))` of the sheet, out of the page; None unless two of its tags were triangulated."""
    known = {i: c for i, c in sheet.corners().items() if i in tags}
    if len(known) < 2:
        return None
    s, R, t = similarity(np.concatenate(list(known.values())), np.concatenate([tags[i].corners for i in known]))
    return R[:, 2], t
