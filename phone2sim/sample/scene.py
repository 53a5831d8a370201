"""The sample's world in memory: table top at z = 0, objects standing on it, light; any view of it can be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phone2sim import sheet
from phone2sim._native.mesh import MeshImage, MeshLight, MeshPart, MeshWorld, contact_map, render, shadow_map
from phone2sim.config import Config
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sample.catalog import make_object
from phone2sim.sample.layout import Contact, Layout, arrange
from phone2sim.sample.objects import SampleObject
from phone2sim.sample.room import TABLE_M, Table, make_room, part
from phone2sim.sample.shapes import quad


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
    layout: Layout = "apart"
    """Objects stand apart, some touch side by side, or some stand on another's flat top."""
    table: Table = "terrazzo"
    """What the table's top looks like: chips of stone, wood, paint, marble or a checked cloth."""


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
    _casts: np.ndarray
    """(p,) bool: parts that cast shadows."""
    contacts: tuple[Contact, ...] = ()
    """Objects that touch or stand on another one."""
    spread: float = 1.0
    """How much wider than usual the objects stand: the camera keeps that much more distance."""

    def view(self, K: np.ndarray, T_world_camera: np.ndarray, width: int, height: int, *, supersample: int = 2, threads: int = 0) -> MeshImage:
        """Draw the world, linear RGB."""
        shadows, contact = self._maps
        return render(
            self.world, self.T_world_part, K=K, T_world_camera=T_world_camera, width=width, height=height, light=self.light,
            shadow_map=shadows, contact_map=contact, supersample=supersample, near_m=0.02, threads=threads,
        )  # fmt: skip

    def bare(self, *, threads: int = 0) -> SampleScene:
        """The same world, light and sheet without the objects and their shadows."""
        T, mine = self.T_world_part.copy(), self.part_ids[:-1] > 0
        T[mine, 2, 3] -= 1000.0
        maps = _light_maps(self.world, T, self.light, casts=self._casts & ~mine, objects=np.zeros_like(mine), threads=threads)
        return replace(self, T_world_part=T, _maps=maps)

    def instances(self, image: MeshImage) -> np.ndarray:
        """(h, w) uint8 instance ids of a view: 0 background, k + 1 for object k."""
        return self.part_ids[image.part].astype(np.uint8)


def make_scene(
    config: SampleConfig | None = None, *, furniture: Sequence[MeshPart] = (), places: Mapping[str, Pose] | None = None, threads: int = 0
) -> SampleScene:
    """Build the world of `config` in memory (a second or two), with more `furniture` in world coordinates, and with the objects
    named in `places` there rather than where the layout puts them."""
    config = config or SampleConfig()
    key = Key(config.seed).child("sample")
    names = config.objects
    if len(set(names)) != len(names):
        raise InputError("Sample objects must be named once each.")
    objects = tuple(make_object(n, key.child("object", n)) for n in names)
    placement = arrange(objects, config.layout, config.sheet, key.child("layout"))
    poses, T_sheet = _placed(objects, placement.T_world_object, places or {}), placement.T_world_sheet
    parts: list[MeshPart] = make_room(key.child("room"), table=config.table)
    T = [np.eye(4)] * len(parts)
    n_room = len(parts)
    parts += furniture
    T += [np.eye(4)] * len(furniture)
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
    maps = _light_maps(world, T_world_part, light, casts=casts, objects=ids[:-1] > 0, threads=threads)
    return SampleScene(
        objects=objects, T_world_object=poses, T_world_sheet=T_sheet, light=light, world=world, T_world_part=T_world_part,
        part_ids=ids, _maps=maps, _casts=casts, contacts=placement.contacts, spread=placement.spread,
    )  # fmt: skip


def _placed(objects: Sequence[SampleObject], poses: Pose, places: Mapping[str, Pose]) -> Pose:
    at, turned = poses.translation.copy(), poses.quat_wxyz.copy()
    for k, o in enumerate(objects):
        if o.name in places:
            at[k], turned[k] = places[o.name].translation, places[o.name].quat_wxyz
    return Pose(at, turned)


def _light_maps(
    world: MeshWorld, T_world_part: np.ndarray, light: MeshLight, *, casts: np.ndarray, objects: np.ndarray, threads: int
) -> tuple[Any, Any]:
    """Cast shadows of the parts `casts`, and the contact shadows of the `objects` on the table."""
    return (
        shadow_map(world, T_world_part, direction=light.direction, center=np.array([0, 0, -0.1]), radius_m=1.0, resolution=2048,
                   softness=0.06, casts=casts, threads=threads),
        contact_map(world, T_world_part, low=(-TABLE_M[0] / 2, -TABLE_M[1] / 2), high=(TABLE_M[0] / 2, TABLE_M[1] / 2),
                    height_m=0.0, cell_m=0.003, casts=objects, threads=threads),
    )  # fmt: skip
