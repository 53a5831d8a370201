"""The sample's world in memory: table top at z = 0, objects standing on it, light; any view of it can be drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim import sheet
from phone2sim._native.mesh import MeshImage, MeshLight, MeshPart, MeshWorld, contact_map, render, shadow_map
from phone2sim.config import Config
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sample.objects import SampleObject, make_object
from phone2sim.sample.room import TABLE_M, make_room, part
from phone2sim.sample.shapes import quad

GAP_M = 0.062
REGION_M = (0.235, 0.20)
"""Half axes of the ellipse that objects stand in."""


class SampleConfig(Config):
    """The synthetic phone clip."""

    seed: int = 0
    """Arrangement, colours and camera motion."""
    n_frames: int = 120
    fps: int = 15
    width: int = 720
    """[px]."""
    height: int = 1280
    """[px]."""
    objects: tuple[str, ...] = ("tea_box", "can", "mug", "ball", "block", "pear")
    """Which objects stand on the table."""
    sheet: bool = True
    """Whether the printed scale sheet lies on the table."""


@dataclass(frozen=True, kw_only=True)
class SampleScene:
    """The synthetic world. Picture parts: the room, the sheet, then one part per object."""

    objects: tuple[SampleObject, ...]
    T_world_object: Pose
    """Batch of n poses."""
    T_world_sheet: Pose | None
    light: MeshLight
    world: MeshWorld
    T_world_part: np.ndarray
    """(p, 4, 4)."""
    part_ids: np.ndarray
    """(p + 1,) instance id of each part, 0 for the background; the last entry stands for "no part"."""
    _maps: tuple

    def view(self, K: np.ndarray, T_world_camera: np.ndarray, width: int, height: int, *, supersample: int = 2, threads: int = 0) -> MeshImage:
        """Draw the world, linear RGB."""
        shadows, contact = self._maps
        return render(
            self.world, self.T_world_part, K=K, T_world_camera=T_world_camera, width=width, height=height, light=self.light,
            shadow_map=shadows, contact_map=contact, supersample=supersample, near_m=0.02, threads=threads,
        )  # fmt: skip

    def instances(self, image: MeshImage) -> np.ndarray:
        """(h, w) uint8 instance ids of a view: 0 background, k + 1 for object k."""
        return self.part_ids[image.part].astype(np.uint8)


def _arrange(objects: tuple[SampleObject, ...], with_sheet: bool, key: Key) -> tuple[Pose, Pose | None]:
    """Poses of objects and sheet with at least `GAP_M` between the circles around objects."""
    sheet_r = float(np.hypot(*sheet.PAGE_M) / 2)
    order = np.argsort([-o.footprint_m for o in objects], kind="stable")
    for attempt in range(400):
        rng = key.child("attempt", attempt).rng()
        placed: list[tuple[float, float, float]] = []
        sheet_yaw = float(rng.uniform(0, 2 * np.pi))
        sheet_at = np.zeros(2)
        if with_sheet:
            a = rng.uniform(0, 2 * np.pi)
            sheet_at = np.array([np.cos(a), np.sin(a)]) * (0.17, 0.14)
            placed.append((*sheet_at, sheet_r - GAP_M + 0.008))
        xy = np.zeros((len(objects), 2))
        for k in order:
            r = objects[k].footprint_m
            for _ in range(200):
                a, q = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform())
                p = q * np.cos(a) * REGION_M[0], q * np.sin(a) * REGION_M[1]
                if all(np.hypot(p[0] - x, p[1] - y) >= r + s + GAP_M for x, y, s in placed):
                    placed.append((*p, r))
                    xy[k] = p
                    break
            else:
                break
        else:
            yaw = rng.uniform(0, 2 * np.pi, len(objects))
            q = np.stack([np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)], 1)
            poses = Pose(np.concatenate([xy, np.zeros((len(objects), 1))], 1), q)
            at = np.array([*sheet_at, 0.0004])
            return poses, Pose.from_xyz_yaw(at, sheet_yaw) if with_sheet else None
    raise InputError(f"{len(objects)} objects do not fit on the sample's table.", hint="Name fewer objects.")


def make_scene(config: SampleConfig | None = None, *, threads: int = 0) -> SampleScene:
    """Build the world of `config` in memory (a second or two)."""
    config = config or SampleConfig()
    key = Key(config.seed).child("sample")
    names = config.objects
    if len(set(names)) != len(names):
        raise InputError("Sample objects must be named once each.")
    objects = tuple(make_object(n, key.child("object", n)) for n in names)
    poses, T_sheet = _arrange(objects, config.sheet, key.child("layout"))
    parts: list[MeshPart] = make_room(key.child("room"))
    T = [np.eye(4)] * len(parts)
    n_room = len(parts)
    if T_sheet is not None:
        w, h = sheet.PAGE_M
        page = np.repeat(sheet.picture()[..., None], 3, 2)
        rng = key.child("sheet").rng()
        page = np.clip(page * 0.86 + 18 + rng.normal(0, 2, page.shape), 0, 255).astype(np.uint8)
        parts.append(part(quad((-w / 2, -h / 2, 0), (w, 0, 0), (0, h, 0)), page))
        T.append(T_sheet.matrix)
    for o, m in zip(objects, poses.matrix):
        parts.append(part(o.shape, o.texture, gloss=0.0))
        T.append(m)
    T_world_part = np.stack(T)
    ids = np.zeros(len(parts) + 1, np.int64)
    ids[len(parts) - len(objects) : len(parts)] = 1 + np.arange(len(objects))
    world = MeshWorld(parts)
    rng = key.child("light").rng()
    a = rng.uniform(0, 2 * np.pi)
    direction = np.array([0.55 * np.cos(a), 0.55 * np.sin(a), -1.0])
    direction /= np.linalg.norm(direction)
    warm = rng.uniform(0.0, 1.0)
    sh = np.zeros((9, 3))
    sh[0] = np.array([0.40, 0.41, 0.43]) / 0.282095
    sh[1] = -0.05 * np.sin(a) / 0.488603
    sh[2] = np.array([0.13, 0.13, 0.14]) / 0.488603
    sh[3] = -0.05 * np.cos(a) / 0.488603
    light = MeshLight(direction=direction, key_rgb=np.array([0.62, 0.60 - 0.03 * warm, 0.56 - 0.09 * warm]), ambient_sh=sh)
    casts = np.ones(len(parts), bool)
    casts[n_room - 11 : n_room - 6] = False  # floor and walls only receive
    maps = (
        shadow_map(world, T_world_part, direction=direction, center=np.array([0, 0, -0.1]), radius_m=1.0, resolution=2048,
                   softness=0.06, casts=casts, threads=threads),
        contact_map(world, T_world_part, low=(-TABLE_M[0] / 2, -TABLE_M[1] / 2), high=(TABLE_M[0] / 2, TABLE_M[1] / 2),
                    height_m=0.0, cell_m=0.003, casts=ids[:-1] > 0, threads=threads),
    )  # fmt: skip
    return SampleScene(
        objects=objects, T_world_object=poses, T_world_sheet=T_sheet, light=light, world=world, T_world_part=T_world_part,
        part_ids=ids, _maps=maps,
    )  # fmt: skip
