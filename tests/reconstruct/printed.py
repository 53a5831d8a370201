"""The sample's table with flat printed things on it, photographed with known cameras."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phone2sim._native.mesh import MeshLight, MeshPart, MeshWorld, contact_map, render, shadow_map, to_srgb8
from phone2sim.keys import Key
from phone2sim.poses import look_at
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.sample.room import make_room, moved, part
from phone2sim.sample.shapes import Shape, box

LIFT_M = 0.0006


@dataclass(frozen=True)
class Thing:
    """A flat printed thing: width and height [m], its picture, where it lies."""

    size: tuple[float, float]
    picture: np.ndarray
    at: tuple[float, float]
    yaw: float = 0.0
    corner_m: float = 0.0
    lift_m: float = LIFT_M

    @property
    def part(self) -> MeshPart:
        w, h = self.size
        r = max(self.corner_m, 1e-6)
        a = np.concatenate([np.linspace(k, k + 1, 9) * np.pi / 2 for k in range(4)])
        mid = np.repeat([[1, 1], [-1, 1], [-1, -1], [1, -1]], 9, axis=0) * (np.array([w, h]) / 2 - r)
        rim = mid + r * np.column_stack([np.cos(a), np.sin(a)])
        xy = np.concatenate([[[0.0, 0.0]], rim])
        n = len(rim)
        faces = np.array([[0, 1 + i, 1 + (i + 1) % n] for i in range(n)])
        v = np.column_stack([xy, np.zeros(len(xy))])
        shape = Shape(vertices=v, faces=faces, normals=np.tile([0, 0, 1.0], (len(v), 1)), uv=xy / [w, h] + 0.5)
        return part(moved(shape, (*self.at, self.lift_m), self.yaw), self.picture)

    @property
    def corners(self) -> np.ndarray:
        """(4, 3) in the world [m]: top-left, top-right, bottom-right, bottom-left as printed."""
        w, h = self.size
        c, s = np.cos(self.yaw), np.sin(self.yaw)
        xy = np.array([[-w, h], [w, h], [w, -h], [-w, -h]]) / 2 @ np.array([[c, s], [-s, c]]) + self.at
        return np.column_stack([xy, np.full(4, self.lift_m)])


def paper(at: tuple[float, float] = (0.02, 0.0), yaw: float = 0.4, size: tuple[float, float] = (0.210, 0.297)) -> Thing:
    """A blank white sheet."""
    rng = np.random.default_rng(1)
    white = np.clip(rng.normal(236, 2, (297, 210, 1)) + np.zeros(3), 0, 255).astype(np.uint8)
    return Thing(size, white, at, yaw)


def card(at: tuple[float, float] = (0.1, -0.08), yaw: float = -0.5) -> Thing:
    """A bank card: blue with stripes and a chip, corners rounded by 3.18 mm, 0.76 mm thick."""
    im = np.zeros((540, 856, 3), np.uint8) + np.array([32, 62, 140], np.uint8)
    im[60:150] = (60, 96, 190)
    im[230:320, 90:210] = (200, 170, 90)
    im[400:430, 90:700] = (210, 214, 225)
    return Thing((0.0856, 0.05398), im, at, yaw, corner_m=0.00318, lift_m=0.00076)


def block(size: tuple[float, float, float], at: tuple[float, float], yaw: float = 0.0) -> MeshPart:
    """Something standing about."""
    rng = np.random.default_rng(3)
    return part(moved(box(size), (*at, LIFT_M), yaw), rng.integers(30, 150, (40, 60, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1))


def orbit(n: int, width: int = 720, height: int = 960, radius: float = 0.62) -> Cameras:
    """Cameras round the middle of the table."""
    poses = []
    for i, a in enumerate(np.linspace(0.2, 4.6, n)):
        up = 0.42 + 0.12 * np.sin(2.1 * i)
        poses.append(look_at(np.array([radius * np.cos(a), radius * np.sin(a), up]), np.array([0.01 * (i % 3), 0, 0])).matrix)
    f = 0.85 * max(width, height)
    K = np.array([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1.0]])
    return Cameras(
        T_world_camera=np.array(poses), K=np.tile(K, (n, 1, 1)), size_wh=np.tile([width, height], (n, 1)),
        distortion=np.zeros((n, 4)), names=tuple(f"{i:04d}.jpg" for i in range(n)),
    )  # fmt: skip


def photograph(cameras: Cameras, things: list[Thing], *, blocks: tuple[MeshPart, ...] = (), room: bool = True) -> list[np.ndarray]:
    """(h, w, 3) uint8 pictures with shadows, a little blur and noise."""
    parts = [*make_room(Key(0).child("printed"))[: None if room else 6], *(t.part for t in things), *blocks]
    world = MeshWorld(parts)
    T = np.tile(np.eye(4), (len(parts), 1, 1))
    direction = np.array([0.4, 0.3, -1.0])
    direction /= np.linalg.norm(direction)
    sh = np.zeros((9, 3))
    sh[0] = 0.42 / 0.282095
    sh[2] = 0.13 / 0.488603
    light = MeshLight(direction=direction, key_rgb=np.array([0.55, 0.53, 0.5]), ambient_sh=sh)
    casts = np.zeros(len(parts), bool)
    casts[len(parts) - len(blocks) :] = True
    casts = casts if len(blocks) else np.zeros(len(parts), bool)
    shadow = shadow_map(world, T, direction=direction, center=np.zeros(3), radius_m=0.8, casts=casts, threads=2)
    contact = contact_map(world, T, low=(-0.55, -0.4), high=(0.55, 0.4), height_m=0.0, casts=casts, threads=2)
    out = []
    for i in range(len(cameras)):
        w, h = (int(v) for v in cameras.size_wh[i])
        image = render(
            world, T, K=cameras.K[i], T_world_camera=cameras.T_world_camera[i], width=w, height=h, light=light,
            shadow_map=shadow, contact_map=contact, supersample=3, near_m=0.02, threads=2,
        )  # fmt: skip
        out.append(to_srgb8(image.rgb, blur_px=0.6, noise_std=0.008, seed=i))
    return out
