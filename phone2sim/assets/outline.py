"""A closed surface moved to where the photos see it: its outline, which voxels and smoothing wear down, and its pattern.

Edges that voxels round off fit their outline only where the sides that meet there stand too far out; so a flat side is moved as one,
by its own pattern rather than by what its edges would have it do, and its edges stay behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from phone2sim._native.mesh import MeshWorld
from phone2sim.assets.drawn import depth_of, world_of
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.parallax import Slide, slide
from phone2sim.assets.sides import Side, flat_sides
from phone2sim.assets.views import View, spread

REACH_PX = 4.0
"""An outline of the photos farther than this from the surface's own belongs to something else."""
RIM_PX = 1.45
"""So near its drawn outline an edge of the surface is part of it."""
DOUBT_PX = 1.0
"""Distances beyond this count less and less (Cauchy)."""
ALIKE, STAY = 6.0, 2.0
"""How strongly neighbours one voxel apart move alike and all vertices stay, relative to one point of one outline."""
SLIDE, SURE = 30.0, 1e8
"""How much a pattern counts at most, relative to one point of one outline, and from which `Slide.weight` half as much."""
RIGID = 30.0
"""How strongly a flat side's vertices move alike,"""
FIRM = 4.0
"""and how much more its pattern counts."""
ROUNDS = 2
VIEWS = 24
"""Outlines that are looked at."""
MOST = 3.0
"""No vertex moves farther than this [voxels]."""


@dataclass(frozen=True, kw_only=True)
class _Rim:
    """Points of the surface's outline in the views."""

    ends: np.ndarray
    """(k, 2) vertices of the edge a point lies on."""
    gain: np.ndarray
    """(k, 2) how far the point moves outwards in its picture per unit that these move along their normals."""
    off: np.ndarray
    """(k,) [m] how far outside of it the mask ends."""
    pixel: np.ndarray
    """(k,) [m] a pixel at its distance."""


def moved_to_photos(mesh: Any, views: list[View], masks: list[np.ndarray], *, level: float, foot_m: float, voxel: float) -> Any:
    """The watertight `trimesh.Trimesh` (world frame) with vertices moved along their normals, so that its outline in the views
    meets that of the `masks` ((h, w) bool per view) and the photos agree on the pattern of what lies between.

    Masks end early at the support: outlines lower than `foot_m` [m] above z = `level` say nothing, vertices there move sideways only.
    """
    import trimesh

    vertices, faces = np.array(mesh.vertices, float), np.asarray(mesh.faces)
    direction = _even(np.array(mesh.vertex_normals, float), vertices, np.asarray(mesh.edges_unique), voxel)
    direction[vertices[:, 2] < level + foot_m, 2] = 0
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-6)
    sides = flat_sides(mesh, voxel=voxel)
    slid = slide(mesh, views, masks, voxel=voxel, tolerance_m=5 * voxel, together=[s.own for s in sides])
    every = [(view, mask, *signed) for view, mask in zip(views, masks, strict=True) if (signed := _signed(mask)) is not None]
    some = [every[i] for i in spread(len(every), VIEWS)] if every else []
    move = np.zeros(len(vertices))
    for _ in range(ROUNDS):
        now = vertices + move[:, None] * direction
        world = world_of(trimesh.Trimesh(now, faces, process=False))
        rims = [_rim(now, mesh, world, direction, *seen, lowest=level + foot_m) for seen in some]
        rims = [r for r in rims if len(r.off)]
        if not rims:
            return mesh
        rim = _Rim(**{key: np.concatenate([getattr(r, key) for r in rims]) for key in ("ends", "gain", "off", "pixel")})
        move, shifts = _solved(vertices, direction, np.asarray(mesh.edges_unique), rim, move, slid, sides, voxel)
        move = np.clip(_behind(vertices, direction, move, sides, shifts), -MOST * voxel, MOST * voxel)
    out = trimesh.Trimesh(vertices + move[:, None] * direction, faces, process=False)
    return out if TexturedMesh(vertices=out.vertices, faces=faces).welded().is_volume else mesh


def _even(normals: np.ndarray, vertices: np.ndarray, edges: np.ndarray, voxel: float) -> np.ndarray:
    """(n, 3) normals averaged with those of neighbours within about a voxel: slivers have wild ones."""
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    near = np.exp(-((length / voxel) ** 2))[:, None]
    for _ in range(2):
        total = normals.copy()
        np.add.at(total, edges[:, 0], near * normals[edges[:, 1]])
        np.add.at(total, edges[:, 1], near * normals[edges[:, 0]])
        normals = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-6)
    return normals


def _signed(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Distance [px] inside (+) the mask around it, and its corner (2,) x, y; None where it is empty."""
    import cv2

    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    pad = int(REACH_PX) + 4
    corner = np.maximum([cols[0] - pad, rows[0] - pad], 0)
    part = mask[corner[1] : rows[-1] + pad + 1, corner[0] : cols[-1] + pad + 1].astype(np.uint8)
    inside, outside = (cv2.distanceTransform(x, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for x in (part, 1 - part))
    return np.where(part > 0, inside - 0.5, 0.5 - outside), corner


def _rim(
    vertices: np.ndarray, mesh: Any, world: MeshWorld, direction: np.ndarray, view: View, mask: np.ndarray, signed: np.ndarray,
    corner: np.ndarray, *, lowest: float,
) -> _Rim:  # fmt: skip
    """Points of the outline of `mesh` with other `vertices`, drawn as `world`, in a view, every two pixels, where nothing nearer hides what is beside."""
    import cv2
    from scipy import ndimage

    edges = np.asarray(mesh.face_adjacency_edges)
    u, v, z = view.project(vertices)
    p = np.stack([u, v], axis=1).astype(float) - corner
    a, b, c = p[np.asarray(mesh.faces)].transpose(1, 0, 2)
    front = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0] < 0  # rows count downwards
    crop = np.s_[corner[1] : corner[1] + signed.shape[0], corner[0] : corner[0] + signed.shape[1]]
    drawn = np.isfinite(depth_of(world, view, mask)[crop])
    depth_in = cv2.distanceTransform(drawn.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)

    turns = np.asarray(mesh.face_adjacency)
    rim = np.flatnonzero(front[turns[:, 0]] != front[turns[:, 1]])
    count = np.maximum(1, np.round(np.linalg.norm(p[edges[rim, 0]] - p[edges[rim, 1]], axis=1) / 2).astype(int))
    ends = edges[np.repeat(rim, count)]
    t = (np.arange(len(ends)) - np.repeat(np.cumsum(count) - count, count) + 0.5) / np.repeat(count, count)
    share = np.stack([1 - t, t], axis=1)
    q, depth, height = ((share[..., None] * x[ends]).sum(axis=1) for x in (p, z[:, None], vertices[:, 2:]))
    at = [q[:, 1] - 0.5, q[:, 0] - 0.5]
    slope = np.gradient(cv2.GaussianBlur(signed, (0, 0), 1.0))
    d = ndimage.map_coordinates(signed, at, order=1, mode="nearest")
    out = -np.stack([ndimage.map_coordinates(s, at, order=1, mode="nearest") for s in slope[::-1]], axis=1)
    out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)
    gain = share * ((direction @ view.T_camera_world[:2, :3].T)[ends] * out[:, None]).sum(axis=2)

    h, w = view.depth.shape
    beside = q + 3 * out + corner
    inside = (beside >= 0).all(axis=1) & (beside < [w, h]).all(axis=1)
    x, y = np.where(inside[:, None], beside, 0).astype(int).T
    i, j = (np.clip(q[:, k].astype(int), 0, signed.shape[1 - k] - 1) for k in (1, 0))
    ok = inside & (view.depth[y, x] > depth[:, 0] - 0.005) & (height[:, 0] > lowest)
    ok &= (np.abs(d) < REACH_PX) & (gain.sum(axis=1) > 0.4) & (depth_in[i, j] < RIM_PX)
    pixel = depth[:, 0] / view.K[0, 0]
    return _Rim(ends=ends[ok], gain=gain[ok], off=(d * pixel)[ok], pixel=pixel[ok])


def _solved(
    vertices: np.ndarray, direction: np.ndarray, edges: np.ndarray, rim: _Rim, moved: np.ndarray, slid: Slide, sides: list[Side], voxel: float
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) [m] how far each vertex moves in all, `moved` of it already, and (k,) each side: robust least squares, neighbours moving alike."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    n, k, size = len(vertices), len(rim.off), len(vertices) + len(sides)
    J = sparse.csr_matrix((rim.gain.ravel(), (np.repeat(np.arange(k), 2), rim.ends.ravel())), shape=(k, size))
    out = np.concatenate([moved, np.zeros(len(sides))])
    off = rim.off + J @ out
    length = np.linalg.norm(vertices[edges[:, 0]] - vertices[edges[:, 1]], axis=1)
    pull = np.sqrt(ALIKE * voxel / np.maximum(length, 0.3 * voxel))
    m = len(edges)
    D = sparse.csr_matrix((np.stack([pull, -pull], axis=1).ravel(), (np.repeat(np.arange(m), 2), edges.ravel())), shape=(m, size))
    steady = D.T @ D
    pattern = np.concatenate([SLIDE * slid.weight / (slid.weight + SURE), np.zeros(len(sides))])
    for i, side in enumerate(sides, start=n):
        own = np.flatnonzero(side.own)
        rows, ones = np.arange(len(own)), np.ones(len(own))
        G = sparse.csr_matrix(
            (np.concatenate([direction[own] @ side.normal, -ones]), (np.tile(rows, 2), np.concatenate([own, i * ones]))), shape=(len(own), size)
        )
        steady = steady + RIGID * G.T @ G
        pattern[own] *= FIRM
    steady = steady + sparse.diags(np.where(np.arange(size) < n, STAY, 1e-3) + pattern)
    wanted = pattern * np.concatenate([slid.move, np.zeros(len(sides))])
    sigma = DOUBT_PX * float(np.median(rim.pixel))
    for _ in range(4):
        w = 1 / (1 + ((J @ out - off) / sigma) ** 2)
        out = spsolve((J.T @ sparse.diags(w) @ J + steady).tocsc(), J.T @ (w * off) + wanted)
    return out[:n], out[n:]


def _behind(vertices: np.ndarray, direction: np.ndarray, move: np.ndarray, sides: list[Side], shifts: np.ndarray) -> np.ndarray:
    """(n,) [m] moves no longer than to the planes of the sides around, moved by their `shifts` (k,)."""
    move = move.copy()
    for side, shift in zip(sides, shifts, strict=True):
        along = direction @ side.normal
        rows = side.around & (along > 0.1)
        move[rows] = np.minimum(move[rows], (shift - side.beyond(vertices[rows])) / along[rows])
    return move
