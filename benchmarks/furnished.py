"""The sample's table against a wall, with a shelf over its back and a lower table beside it: `objects.py "shelf and wall"`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim._native.mesh import MeshPart
from phone2sim.assets.scene import Scene
from phone2sim.keys import Key
from phone2sim.poses import Pose, look_at
from phone2sim.sample import SampleConfig, SampleScene, make_scene, prints
from phone2sim.sample.room import moved as at
from phone2sim.sample.room import part
from phone2sim.sample.shapes import box, box_layout

WALL_Y = 0.46
SHELF_M, LOW_M = 0.27, -0.2
BOXES = {
    "shelf": ((0.66, 0.24, 0.018), (-0.1, 0.26, SHELF_M - 0.018)),
    "left": ((0.018, 0.24, SHELF_M - 0.018), (-0.4, 0.26, 0.0)),
    "right": ((0.018, 0.24, SHELF_M - 0.018), (0.2, 0.26, 0.0)),
    "low": ((0.44, 0.6, 0.03), (0.82, 0.05, LOW_M - 0.03)),
    "wall": ((2.2, 0.05, 1.9), (0.2, WALL_Y + 0.025, -0.74)),
}
"""Size and middle of the bottom [m]."""
PLACES = {
    "tea_box": (-0.22, 0.27, SHELF_M, 0.4), "mug": (0.02, 0.26, SHELF_M, 2.0),
    "can": (-0.2, -0.1, 0.0, 0.3), "jar": (0.02, 0.0, 0.0, 1.0), "pear": (0.2, -0.14, 0.0, 0.0),
    "block": (0.78, -0.05, LOW_M, 0.7),
}  # fmt: skip
"""x, y, z [m] and yaw of each object: on the shelf, the table, the lower table."""
HEIGHTS = {"table": 0.0, "shelf": SHELF_M, "low": LOW_M}


def make_furnished(config: SampleConfig, *, threads: int) -> SampleScene:
    """The sample's world with that furniture, its objects on all three surfaces."""
    furniture = [_wooden(name, *b, Key(config.seed).child("furniture", name)) for name, b in BOXES.items()]
    places = {n: Pose.from_xyz_yaw(np.array([x, y, z]), yaw) for n, (x, y, z, yaw) in PLACES.items()}
    return make_scene(config, furniture=furniture, places=places, threads=threads)


def _wooden(name: str, size: tuple[float, float, float], where: tuple[float, float, float], key: Key) -> MeshPart:
    rng = key.rng()
    _, (width, height) = box_layout(size)
    px = 400 if name == "wall" else 900
    w, h = round(width * px), round(height * px)
    if name == "wall":
        paper = np.tile(np.array([206, 200, 186], np.uint8), (h, w, 1))
        for _ in range(900):
            x, y, r = int(rng.uniform(0, w)), int(rng.uniform(0, h)), int(rng.uniform(4, 26))
            paper[max(0, y - r) : y + r, max(0, x - r) : x + r] = rng.integers(120, 235, 3)
        picture = prints.finish(paper, rng, mottle=6, grain=5)
    else:
        picture = prints.wood(h, w, rng, (96, 62, 36), (182, 132, 84), planks=9, px_per_m=px)
    return part(at(box(size), where), picture)


def from_the_front(n: int) -> np.ndarray:
    """T_world_camera (n, 4, 4): half around low, and back higher, turning from the shelf to the lower table and back on the way."""
    s = np.linspace(0, 1, n)
    azimuth = np.deg2rad(-160 + 140 * (1 - np.abs(1 - 2 * s)))
    elevation = np.deg2rad(np.where(s < 0.5, 30, 54) + 4 * np.sin(9 * s))
    eye = 1.05 * np.stack([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)], axis=1)
    aim = np.stack([0.15 + 0.25 * np.sin(7 * s), 0.06 + 0 * s, 0.1 + 0 * s], axis=1)
    return np.stack([look_at(e + [0.15, 0, 0], a).matrix for e, a in zip(eye, aim)])


def surfaces(folder: Path) -> dict[str, Any]:
    """What was found of the room's surfaces: error of each height [m], the wall's distance and tilt, what was invented."""
    scene = Scene.load(folder)
    free = list(scene.supports)
    out: dict[str, Any] = {}
    for name, z in HEIGHTS.items():
        near = [s for s in free if abs(s.height_m - z) < 0.03]
        out[name] = near[0].height_m - z if near else None
        free = [s for s in free if s not in near[:1]]
    back = [w for w in scene.walls if w.T_world_surface.rotation[1, 2] < -0.9]
    if back:
        n = back[0].T_world_surface.rotation[:, 2]
        out["wall"] = float(back[0].T_world_surface.translation[1] - WALL_Y)
        out["wall_tilt_deg"] = float(np.rad2deg(np.arccos(np.clip(-n[1], -1, 1))))
    others = [*(s.name for s in free), *(w.name for w in scene.walls if w not in back[:1])]
    return out | {"others": others, "standing": {a.name: a.support for a in scene.assets}}
