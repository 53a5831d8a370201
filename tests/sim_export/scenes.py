"""A tiny procedural `Scene` for tests: boxes and cans of known mass on a table at z = 0, and a splat of the table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Asset, Inertia, Scene, SupportSurface
from phone2sim.intervals import Interval
from phone2sim.keys import Key
from phone2sim.poses import Pose, look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SH_C0, SplatCloud

TABLE_M = (1.0, 0.7)


def checker(rgb: tuple[int, int, int], *, seed: int = 0, side: int = 64) -> np.ndarray:
    """(side, side, 3) uint8: a two-tone checker of one hue with some grain."""
    i = np.arange(side) * 8 // side
    tone = np.where((i[:, None] + i[None]) % 2, 1.0, 0.7)[..., None]
    grain = Key(seed).child("texture").rng().normal(0, 6, (side, side, 1))
    return np.clip(np.array(rgb) * tone + grain, 0, 255).astype(np.uint8)


def box_mesh(size: tuple[float, float, float], rgb: tuple[int, int, int] | None = None) -> TexturedMesh:
    """A box standing on z = 0 with its own picture on each face."""
    sx, sy, sz = size
    corners, uv, faces = [], [], []
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]])
    for axis in range(3):
        for sign in (-1.0, 1.0):
            a, b = ((1, 2), (2, 0), (0, 1))[axis]
            p = np.zeros((4, 3))
            p[:, axis] = sign / 2
            p[:, a] = (square[:, 0] - 0.5) * sign
            p[:, b] = square[:, 1] - 0.5
            n = len(corners) * 4
            corners.append(p)
            uv.append(square)
            faces += [[n, n + 1, n + 2], [n, n + 2, n + 3]]
    v = np.concatenate(corners) * [sx, sy, sz] + [0, 0, sz / 2]
    if rgb is None:
        return TexturedMesh(vertices=v, faces=np.array(faces))
    return TexturedMesh(vertices=v, faces=np.array(faces), uv=np.concatenate(uv), texture=checker(rgb))


def cylinder_mesh(radius: float, height: float, rgb: tuple[int, int, int] | None = None, n: int = 24) -> TexturedMesh:
    """An upright can standing on z = 0."""
    t = np.linspace(0, 2 * np.pi, n + 1)
    ring = np.stack([radius * np.cos(t), radius * np.sin(t)], axis=1)
    low, high = np.c_[ring, np.zeros(n + 1)], np.c_[ring, np.full(n + 1, height)]
    v = np.concatenate([low, high, low, high, [[0, 0, 0]], [[0, 0, height]]])
    u = np.arange(n + 1) / n
    disc = 0.5 + 0.5 * ring / radius
    uv = np.concatenate([np.c_[u, 0 * u], np.c_[u, 0 * u + 1], disc, disc, [[0.5, 0.5]], [[0.5, 0.5]]])
    m = n + 1
    f = []
    for i in range(n):
        f += [[i, i + 1, m + i + 1], [i, m + i + 1, m + i]]
        f += [[4 * m, 2 * m + i + 1, 2 * m + i], [4 * m + 1, 3 * m + i, 3 * m + i + 1]]
    if rgb is None:
        return TexturedMesh(vertices=v, faces=np.array(f))
    return TexturedMesh(vertices=v, faces=np.array(f), uv=uv, texture=checker(rgb))


def box_asset(
    name: str, *, size: tuple[float, float, float] = (0.05, 0.05, 0.05), xy: tuple[float, float] = (0.0, 0.0),
    yaw_rad: float = 0.0, density: float = 600.0, rgb: tuple[int, int, int] = (200, 60, 50),
) -> Asset:  # fmt: skip
    volume = float(np.prod(size))
    mass = density * volume
    sq = np.square(size)
    return _asset(
        name, box_mesh(size, rgb), box_mesh(size), volume, mass,
        mass / 12 * np.diag([sq[1] + sq[2], sq[0] + sq[2], sq[0] + sq[1]]), size[2], xy, yaw_rad, "block",
    )  # fmt: skip


def can_asset(
    name: str, *, radius: float = 0.03, height: float = 0.1, xy: tuple[float, float] = (0.0, 0.0),
    density: float = 500.0, rgb: tuple[int, int, int] = (50, 110, 200),
) -> Asset:  # fmt: skip
    volume = np.pi * radius**2 * height
    mass = density * volume
    side = (3 * radius**2 + height**2) / 12
    return _asset(
        name, cylinder_mesh(radius, height, rgb), cylinder_mesh(radius, height, n=16), volume, mass,
        mass * np.diag([side, side, radius**2 / 2]), height, xy, 0.0, "can",
    )  # fmt: skip


def _asset(
    name: str, visual: TexturedMesh, hull: TexturedMesh, volume: float, mass: float, moments: np.ndarray,
    height: float, xy: tuple[float, float], yaw: float, label: str,
) -> Asset:  # fmt: skip
    return Asset(
        name=name, T_world_asset=Pose.from_xyz_yaw(np.array([*xy, 0.0]), yaw), visual=visual, hulls=(hull,), splat=None,
        volume_m3=volume, mass_kg=Interval(value=mass, low=0.7 * mass, high=1.4 * mass, why="test"),
        inertia=Inertia(center_of_mass=np.array([0, 0, height / 2]), moments=moments),
        friction=Interval(value=0.7, low=0.5, high=0.9), restitution=Interval(value=0.1, low=0.0, high=0.3),
        material="wood", label=label,
    )  # fmt: skip


def table_splat(spacing: float = 0.04) -> SplatCloud:
    """Flat Gaussians covering the table top in two browns."""
    x = np.arange(-TABLE_M[0] / 2 + spacing / 2, TABLE_M[0] / 2, spacing)
    y = np.arange(-TABLE_M[1] / 2 + spacing / 2, TABLE_M[1] / 2, spacing)
    X, Y = np.meshgrid(x, y)
    n = X.size
    tone = np.where((np.round(X / spacing) + np.round(Y / spacing)).ravel() % 2, 1.0, 0.85)
    rgb = tone[:, None] * np.array([0.62, 0.47, 0.33])
    return SplatCloud(
        means=np.stack([X.ravel(), Y.ravel(), np.zeros(n)], axis=1), quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)),
        scales=np.tile([0.6 * spacing, 0.6 * spacing, 5e-4], (n, 1)), opacities=np.full(n, 0.97),
        sh=((rgb - 0.5) / SH_C0)[:, None],
    )  # fmt: skip


def table_cameras(n: int = 4) -> Cameras:
    """n 320×240 views on a circle of 0.9 m around the table's middle."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    eyes = np.stack([0.7 * np.cos(angle), 0.7 * np.sin(angle), np.full(n, 0.55)], axis=1)
    T = np.stack([look_at(e, np.array([0, 0, 0.03])).matrix for e in eyes])
    K = np.tile(np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]]), (n, 1, 1))
    return Cameras(
        T_world_camera=T, K=K, size_wh=np.tile([320, 240], (n, 1)), distortion=np.zeros((n, 4)),
        names=tuple(f"frame_{i:05d}.jpg" for i in range(n)),
    )  # fmt: skip


def scene_of(*assets: Asset) -> Scene:
    """These assets on the table."""
    w, d = TABLE_M[0] / 2, TABLE_M[1] / 2
    return Scene(
        cameras=table_cameras(),
        metric={"scale_source": "test", "up_source": "test"},
        supports=(
            SupportSurface(
                name="table",
                T_world_surface=Pose.identity(),
                outline=np.array([[-w, -d], [w, -d], [w, d], [-w, d]]),
            ),
        ),
        assets=assets,
        background=table_splat(),
        background_mesh=None,
        validity={
            "center": [0.0, 0.0, 0.0],
            "radius_m": [0.6, 1.2],
            "elevation_rad": [0.35, 1.1],
            "azimuth_rad": [-3.14, 3.14],
        },  # fmt: skip
    )


def cube_scene(*, cans: int = 1, boxes: int = 1) -> Scene:
    """A 5 cm cube `cube`, then `boxes` blocks `block_i` and `cans` cans `can_i` in a row beside it."""
    assets = [box_asset("cube")]
    for i in range(boxes):
        assets.append(
            box_asset(f"block_{i}", size=(0.08, 0.05, 0.04), xy=(0.12 + 0.12 * i, 0.1), yaw_rad=0.4, rgb=(70, 160, 80))
        )
    for i in range(cans):
        assets.append(can_asset(f"can_{i}", xy=(-0.14 - 0.1 * i, 0.08)))
    return scene_of(*assets)


def bowl_asset(
    name: str, *, radius: float = 0.06, height: float = 0.05, wall: float = 0.005, xy: tuple[float, float] = (0.0, 0.0),
    rgb: tuple[int, int, int] = (220, 200, 60), sides: int = 12,
) -> Asset:  # fmt: skip
    """An open pot: a floor 6 mm thick and a ring of flat walls, each its own convex hull."""
    floor = cylinder_mesh(radius, 0.006, n=sides)
    half = radius * np.tan(np.pi / sides)
    hulls = [floor]
    for t in np.arange(sides) * 2 * np.pi / sides:
        b = box_mesh((wall, 2 * half, height))
        c, s = np.cos(t), np.sin(t)
        R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        v = (b.vertices + [radius * np.cos(np.pi / sides) - wall / 2, 0, 0]) @ R.T
        hulls.append(TexturedMesh(vertices=v, faces=b.faces))
    mass = 0.15
    side, axis = 0.5 * mass * radius**2, 0.8 * mass * radius**2
    a = _asset(
        name, cylinder_mesh(radius, height, rgb), floor, 1e-4, mass, np.diag([side, side, axis]), 0.6 * height, xy, 0.0, "bowl"
    )
    return replace(a, hulls=tuple(hulls))
