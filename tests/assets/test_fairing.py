"""Noise taken off surfaces: flat sides get flat, edges and sizes stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import trimesh

from phone2sim.assets.fairing import faired

STEP = 0.002


def tessellated(solid: Any) -> Any:
    v, f = trimesh.remesh.subdivide_to_size(solid.vertices, solid.faces, STEP)
    mesh = trimesh.Trimesh(v, f)
    mesh.merge_vertices()
    return mesh


def rough(mesh: Any, sigma: float = 0.15 * STEP) -> Any:
    noise = np.random.default_rng(0).normal(0, sigma, len(mesh.vertices))
    return trimesh.Trimesh(mesh.vertices + noise[:, None] * mesh.vertex_normals, mesh.faces, process=False)


def tilt(mesh: Any, true: Any) -> np.ndarray:
    """(f,) [rad] between the normals of two meshes with the same triangles."""
    return np.asarray(np.arccos(np.clip((mesh.face_normals * true.face_normals).sum(axis=1), -1, 1)))


def test_a_rough_box_gets_flat_sides_and_keeps_its_edges() -> None:
    true = tessellated(trimesh.creation.box((0.03, 0.04, 0.05)))
    noisy = rough(true)
    fair = faired(noisy, radius_m=1.5 * STEP, most_m=STEP, rounds=10)
    assert np.median(tilt(fair, true)) < 0.25 * np.median(tilt(noisy, true))
    np.testing.assert_allclose(np.ptp(fair.vertices, axis=0), [0.03, 0.04, 0.05], atol=0.5 * STEP)
    assert fair.is_volume and abs(fair.volume / true.volume - 1) < 0.02


def test_a_ball_stays_a_ball() -> None:
    true = trimesh.creation.icosphere(subdivisions=4, radius=0.03)
    fair = faired(rough(true), radius_m=1.5 * STEP, most_m=STEP, rounds=10)
    radius = np.linalg.norm(fair.vertices, axis=1)
    assert abs(radius.mean() - 0.03) < 0.05 * STEP
    assert radius.std() < 0.08 * STEP < np.linalg.norm(rough(true).vertices, axis=1).std()


def test_no_vertex_moves_far_and_the_foot_stays_on_its_plane() -> None:
    noisy = rough(tessellated(trimesh.creation.box((0.03, 0.03, 0.03))))
    most, level = 0.05 * STEP, float(np.median(noisy.vertices[noisy.vertices[:, 2] < -0.014, 2]))
    noisy.vertices[:, 2] = np.maximum(noisy.vertices[:, 2], level)
    fair = faired(noisy, radius_m=2 * STEP, most_m=most, rounds=2, level=level)
    moved = np.linalg.norm(fair.vertices - noisy.vertices, axis=1)
    assert 0.9 * most < moved.max() <= most * (1 + 1e-6)
    low = noisy.vertices[:, 2] == level
    assert low.sum() > 50 and (moved[low] == 0).all() and fair.vertices[:, 2].min() >= level
