"""`Workspace`: which support is worked on, where the robot is bolted, and where it reaches. In the support's frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from phone2sim.assets.scene import Asset, Scene, SupportSurface
from phone2sim.augment.footprints import area, centroid, convex_hull_2d, inset, outward_normals
from phone2sim.errors import AssetError
from phone2sim.poses import Pose

ROOF_M = 0.8
"""An arm needs this much height over what it grasps."""
LOW_M = 0.002
"""What rises less than this over a support is not in the way."""


class PlacementError(AssetError):
    """Objects could not be placed as the recipe asks; the hint lists remedies. A generator records it as rejected."""


@dataclass(frozen=True, kw_only=True)
class RobotReach:
    """What the sampler must know of a table-mounted arm. Its base frame has z up and x forward."""

    model: str = "p2s_arm"
    home_rad: tuple[float, ...] = (0.0, -0.1, 0.0, -2.2, 0.0, 2.1, 0.785)
    """Joints [rad] of the start posture."""
    near_m: float = 0.30
    """Nearest distance from the base axis at which it grasps well."""
    far_m: float = 0.65
    """Farthest."""
    half_angle_rad: float = 1.2
    """Work to both sides of straight ahead."""
    gripper_m: float = 0.075
    """Widest object it spans."""
    base_radius_m: float = 0.12
    """Footprint of the base, kept free."""
    wrist_mount: str = "hand"
    """Body that carries a wrist camera."""
    wrist_eye_m: tuple[float, float, float] = (0.085, 0.0, 0.035)
    """Where that camera sits in the body's frame,"""
    wrist_target_m: tuple[float, float, float] = (0.0, 0.0, 0.17)
    """and what it looks at: a little beyond the finger tips."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """A support with a robot beside it."""

    support: SupportSurface
    outline: np.ndarray
    """(k, 2) convex counter-clockwise outline of the support, surface frame [m]."""
    base_xy: np.ndarray
    """(2,) the robot's axis, surface frame [m]."""
    base_yaw_rad: float
    """Its x axis about the surface's z."""
    reach: RobotReach
    middle: np.ndarray
    """(2,) centre of the part in reach, surface frame [m]."""
    roofs: tuple[np.ndarray, ...] = ()
    """(k, 2) convex outlines of boards over the support and of what stands on it for good, surface frame [m]: nothing is placed there."""

    def in_reach(self, xy: np.ndarray) -> np.ndarray:
        """(n,) bool for points (n, 2) of the surface."""
        d = np.atleast_2d(xy) - self.base_xy
        r = np.linalg.norm(d, axis=1)
        turn = np.arctan2(d[:, 1], d[:, 0]) - self.base_yaw_rad
        turn = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
        return (r >= self.reach.near_m) & (r <= self.reach.far_m) & (turn <= self.reach.half_angle_rad)

    def to_world(self, xy: np.ndarray, z: float = 0.0) -> np.ndarray:
        """A point (2,) of the surface, `z` above it, in the world [m]."""
        return self.support.T_world_surface.apply(np.array([[*xy, z]]))[0]

    def base_pose(self, shift: np.ndarray | None = None, yaw_rad: float = 0.0) -> Pose:
        """T_world_base: on the support's plane, upright in the world. `shift` (2,) is along the base's axes [m]."""
        a = self.base_yaw_rad
        xy = self.base_xy if shift is None else self.base_xy + _turn(a) @ shift
        ahead = self.to_world(self.base_xy + np.array([np.cos(a), np.sin(a)])) - self.to_world(self.base_xy)
        return Pose.from_xyz_yaw(self.to_world(xy), float(np.arctan2(ahead[1], ahead[0])) + yaw_rad)


def _turn(a: float) -> np.ndarray:
    return np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])


def choose_support(scene: Scene) -> SupportSurface:
    """The surface most assets stand on; the largest of equals.

    Raises `AssetError` for a background-only scene.
    """
    if not scene.supports:
        raise AssetError(
            "The scene has no support surface, so there is nothing to place objects on.",
            hint="Capture a table or floor with objects on it; a background-only scene can be exported but not varied.",
        )
    if not scene.assets:
        raise AssetError(
            "The scene has no objects.", hint="Rebuild with objects on the support, or lower the size limit."
        )

    standing = [scene.support_of(a).name for a in scene.assets]
    return max(scene.supports, key=lambda s: (standing.count(s.name), area(convex_hull_2d(s.outline))))


def roofs_over(scene: Scene, support: SupportSurface) -> tuple[np.ndarray, ...]:
    """(k, 2) outlines, in its frame [m], of what lies less than `ROOF_M` over a support, a shelf's boards, and of what stands on it for good."""
    T_surface_world = support.T_world_surface.inverse()
    low, high = support.height_m + LOW_M, support.height_m + ROOF_M
    boards = [s.T_world_surface.apply(np.c_[s.outline, np.zeros(len(s.outline))]) for s in scene.supports if 0 < s.height_m - support.height_m < ROOF_M]
    solid = [c for u in scene.uprights if (c := u.corners())[:, 2].max() > low and c[:, 2].min() < high]
    roofs = [convex_hull_2d(T_surface_world.apply(b)[:, :2]) for b in boards]
    for corners in solid:
        outline = convex_hull_2d(T_surface_world.apply(corners)[:, :2])
        if not any(inset(r, outline).min() > -1e-6 for r in roofs):  # a shelf's own side
            roofs.append(outline)
    return tuple(roofs)


def choose_workspace(scene: Scene, reach: RobotReach, *, keep_captured: bool = False) -> Workspace:
    """Bolt the robot beside the support, facing its middle, where it reaches most of it.

    Candidates are 24 directions around the middle, at the edge or somewhat outside it, clear of walls and shelves. With `keep_captured` the
    objects stay where they are, so reaching them counts first and the base keeps off them. Where the capture saw the
    support from one side only, the base goes opposite, to face the cameras.
    """
    support = choose_support(scene)
    outline = convex_hull_2d(support.outline)
    T_surface_world = support.T_world_surface.inverse()
    own = [a for a in scene.assets if scene.support_of(a).name == support.name]
    objects = T_surface_world.apply(np.array([a.T_world_asset.translation for a in own]).reshape(-1, 3))[:, :2]
    inside = inset(outline, objects) > 0
    middle = centroid(outline)
    # Phones look at the objects: on a large table the seen-best part is around them.
    focus = 0.5 * (middle + objects[inside].mean(axis=0)) if inside.any() else middle
    roofs = roofs_over(scene, support)
    grid = _grid(outline, 0.02)
    grid = grid[[all(inset(r, p[None])[0] < 0 for r in roofs) for p in grid]] if roofs else grid
    radii = [_radius(a) for a in own]
    views = T_surface_world.apply(scene.cameras.centres)[:, :2] - focus
    facing = views.mean(axis=0) / max(float(np.linalg.norm(views, axis=1).mean()), 1e-9)

    best: tuple[float, Workspace] | None = None
    for i in range(24):
        angle = i * np.pi / 12
        out = np.array([np.cos(angle), np.sin(angle)])
        edge, square = _edge(outline, focus, out)
        for shift in (-0.10, -0.04, 0.02, 0.1, 0.18, 0.26, 0.34):
            if edge + shift < reach.near_m:
                continue
            ws = Workspace(
                support=support, outline=outline, base_xy=focus + (edge + shift) * out, reach=reach, middle=focus, roofs=roofs,
                base_yaw_rad=float((angle + 2 * np.pi) % (2 * np.pi) - np.pi),
            )  # fmt: skip
            if not _is_clear(scene, ws):
                continue
            hit = grid[ws.in_reach(grid)]
            near = np.linalg.norm(hit - focus, axis=1) < 0.35
            score = (
                float(near.sum()) / max(len(grid), 1) - 0.1 * max(shift, 0) - 0.15 * float(facing @ out) + 0.2 * square
            )
            if keep_captured and own:
                score += float(np.mean(ws.in_reach(objects)))
                room = np.linalg.norm(objects - ws.base_xy, axis=1) - np.array(radii) - reach.base_radius_m
                score -= 2.0 * float((room < 0.02).any())
            if len(hit) and (best is None or score > best[0] + 1e-9):
                best = score, _with_middle(ws, hit[near] if near.any() else hit)
    if best is None:
        raise PlacementError(
            f"No place for the robot beside {support.name!r}: its seen part ({area(outline):.2f} m²) is nowhere "
            f"{reach.near_m:g}–{reach.far_m:g} m from a base at its edge.",
            hint="Capture more of the support.",
        )
    return best[1]


def _is_clear(scene: Scene, ws: Workspace) -> bool:
    """Whether the robot's base is as a whole in front of every wall that rises beside it, and not where a higher surface is."""
    if any(inset(r, ws.base_xy[None])[0] > -ws.reach.base_radius_m for r in ws.roofs):
        return False
    at = ws.to_world(ws.base_xy, 0.05)[None]
    middle = ws.to_world(ws.middle, 0.05)[None]
    for wall in scene.walls:
        before, inside = (x[0] for x in wall.beside(at))
        if before < ws.reach.base_radius_m and inside > -ws.reach.base_radius_m and wall.beside(middle)[0][0] > 0:
            return False
    return True


def _with_middle(ws: Workspace, hit: np.ndarray) -> Workspace:
    return replace(ws, middle=hit.mean(axis=0))


def _grid(outline: np.ndarray, step: float) -> np.ndarray:
    lo, hi = outline.min(axis=0), outline.max(axis=0)
    g = np.stack(np.meshgrid(*(np.arange(a, b + step, step) for a, b in zip(lo, hi))), axis=-1).reshape(-1, 2)
    return g[inset(outline, g) > 0.02]


def _edge(outline: np.ndarray, start: np.ndarray, direction: np.ndarray) -> tuple[float, float]:
    """Distance to the outline [m], and how squarely its edge is met there (cosine)."""
    n = outward_normals(outline)
    room = ((outline - start) * n).sum(axis=1)
    speed = n @ direction
    t = np.where(speed > 1e-9, room / np.maximum(speed, 1e-9), np.inf)
    i = int(t.argmin())
    return float(t[i]), float(speed[i])


def _radius(asset: Asset) -> float:
    return float(np.linalg.norm(asset.visual.vertices[:, :2], axis=1).max())
