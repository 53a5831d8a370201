"""A built scene against the sample's truth: cameras, scale, and every object. Plain functions, no test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Scene
from phone2sim.config import read_json
from phone2sim.poses import Pose

MATCH_M = 0.06
"""Centres of boxes farther apart than this are not the same object."""


def similarity(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Least-squares s, R, t with b ≈ s R a + t for points (n, 3) (Umeyama 1991)."""
    ma, mb = a.mean(axis=0), b.mean(axis=0)
    u, d, vt = np.linalg.svd((b - mb).T @ (a - ma) / len(a))
    sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    R = u @ sign @ vt
    s = float(np.trace(np.diag(d) @ sign) / ((a - ma) ** 2).sum() * len(a))
    return s, R, mb - s * R @ ma


def frame_indices(sources: tuple[str, ...], times: np.ndarray) -> np.ndarray:
    """Index of the truth's frame for each `clip.mp4@1.234s`."""
    t = np.array([float(s.rsplit("@", 1)[1].rstrip("s")) for s in sources])
    return np.abs(times[None] - t[:, None]).argmin(axis=1)


def oriented_extents(vertices: np.ndarray) -> np.ndarray:
    """(3,) sides of the smallest upright box around points (n, 3): longer side, shorter side, height [m]."""
    import cv2

    (_, (w, h), _) = cv2.minAreaRect(np.asarray(vertices[:, :2] * 1000, np.float32))
    return np.array([max(w, h) / 1000, min(w, h) / 1000, np.ptp(vertices[:, 2])])


def evaluate(scene_dir: Path, truth_json: Path) -> dict[str, Any]:
    """Figures of a scene folder against `<clip>.truth.json`.

    Lengths are compared without any scale correction: `T_truth_world` below is the rigid part of the camera
    alignment. `objects` has one row per true object (`match` None when missed); `invented` names assets without a
    true partner. `mask_iou` is pooled over the input frames.
    """
    truth = read_json(truth_json)
    scene = Scene.load(scene_dir)
    times = np.array([f["time_s"] for f in truth["frames"]])
    index = frame_indices(scene.cameras.sources, times)
    T_true = np.array([truth["frames"][i]["T_world_camera"] for i in index])
    s, R, t = similarity(scene.cameras.centres, T_true[:, :3, 3])
    error = np.linalg.norm(s * scene.cameras.centres @ R.T + t - T_true[:, :3, 3], axis=1)
    radius = float(np.median(np.linalg.norm(T_true[:, :3, 3] - T_true[:, :3, 3].mean(axis=0), axis=1)))
    middle = np.mean([o["T_world_asset"]["translation"] for o in truth["objects"]], axis=0)
    orbit = float(np.median(np.linalg.norm(T_true[:, :3, 3] - middle, axis=1)))
    rigid = np.eye(4)
    rigid[:3, :3] = R
    rigid[:3, 3] = T_true[:, :3, 3].mean(axis=0) - R @ scene.cameras.centres.mean(axis=0)
    T_truth_world = Pose.from_matrix(rigid)

    estimates = [_box(a.visual.vertices, T_truth_world @ a.T_world_asset) for a in scene.assets]
    rows: list[dict[str, Any]] = []
    used: set[int] = set()
    bodies = []
    for o in truth["objects"]:
        mesh = TexturedMesh.load_glb(truth_json.parent / o["mesh"])
        bodies.append(_box(mesh.vertices, Pose.from_json(o["T_world_asset"])))
    partner = assign([b["centre"] for b in bodies], [e["centre"] for e in estimates])
    for n, o in enumerate(truth["objects"]):
        v = bodies[n]["vertices"]
        row: dict[str, Any] = {"name": o["name"], "id": o["id"], "match": None}
        rows.append(row)
        if n not in partner:
            continue
        k = partner[n]
        gap = float(np.linalg.norm(estimates[k]["centre"] - bodies[n]["centre"]))
        used.add(k)
        a = scene.assets[k]
        want, got = oriented_extents(v), oriented_extents(estimates[k]["vertices"])
        row |= {
            "match": a.name, "asset": k, "centroid_error_m": gap, "extents_true_m": want.tolist(), "extents_m": got.tolist(),
            "extents_error_m": float(np.abs(got - want).max()),
            "extents_ok": bool((np.abs(got - want) <= np.maximum(0.008, 0.08 * want)).all()),
            "volume_ratio": a.volume_m3 / o["volume_m3"], "mass_kg": o["mass_kg"], "mass_inside": o["mass_kg"] in a.mass_kg,
            "mass_interval_kg": [a.mass_kg.low, a.mass_kg.high], "watertight": bool(a.visual.welded().is_watertight),
            "hulls": len(a.hulls), "seen_fraction": a.seen_fraction,
        }  # fmt: skip
    overlap = mask_iou(scene_dir, truth_json.parent, truth, scene, index, rows)
    for row in rows:
        if row["match"] is not None:
            row["mask_iou"] = overlap[row["name"]]
    return {
        "frames": len(scene.cameras), "camera_error_percent": float(100 * error.max() / orbit),
        "camera_error_median_percent": float(100 * np.median(error) / orbit), "orbit_radius_m": orbit, "spread_radius_m": radius,
        "scale_error_percent": float(100 * (1 / s - 1)), "objects": rows, "missed": [r["name"] for r in rows if r["match"] is None],
        "invented": [a.name for k, a in enumerate(scene.assets) if k not in used],
        "support_height_error_m": float(_support_height(scene, T_truth_world)) if scene.supports else None,
    }  # fmt: skip


def assign(true: list[np.ndarray], found: list[np.ndarray]) -> dict[int, int]:
    """Index of the found centre of each true one: the pairs of least total distance, none farther than `MATCH_M`."""
    from scipy.optimize import linear_sum_assignment

    if not true or not found:
        return {}
    gaps = np.linalg.norm(np.array(true)[:, None] - np.array(found)[None], axis=2)
    pairs = zip(*linear_sum_assignment(np.minimum(gaps, 10 * MATCH_M)))
    return {int(i): int(k) for i, k in pairs if gaps[i, k] <= MATCH_M}


def shapes(scene_dir: Path, truth_json: Path, rows: list[dict[str, Any]]) -> None:
    """Add `volume_iou` and `f_score` with `surface_precision` and `surface_recall` to the matched rows of `evaluate`.

    For a scene whose world is the truth's.
    """
    from tests.e2e.shape import Body, Sight, f_score, volume_iou

    truth, scene = read_json(truth_json), Scene.load(scene_dir)
    bodies = []
    for o in truth["objects"]:
        mesh = TexturedMesh.load_glb(truth_json.parent / o["mesh"])
        bodies.append(Body(vertices=Pose.from_json(o["T_world_asset"]).apply(mesh.vertices.astype(float)), faces=mesh.faces))
    x, y = (s / 2 for s in truth["table"]["size_m"])
    ground = Body(vertices=np.array([[-x, -y, 0], [x, -y, 0], [x, y, 0], [-x, y, 0.0]]), faces=np.array([[0, 1, 2], [0, 2, 3]]))
    sight = Sight(scene.cameras, bodies, ground)
    for row, true in zip(rows, bodies):
        if row["match"] is None:
            continue
        a = scene.assets[row["asset"]]
        body = Body(vertices=a.T_world_asset.apply(a.visual.vertices.astype(float)), faces=a.visual.faces)
        row["volume_iou"] = volume_iou(body, true)
        row["f_score"], row["surface_precision"], row["surface_recall"] = f_score(body, true, sight)


def mask_iou(
    scene_dir: Path, truth_dir: Path, truth: dict[str, Any], scene: Scene, index: np.ndarray, rows: list[dict[str, Any]]
) -> dict[str, float]:
    """Intersection over union per true object, pooled over the input frames."""
    both = {r["name"]: 0 for r in rows}
    either = {r["name"]: 0 for r in rows}
    for k, i in enumerate(index):
        want = np.asarray(Image.open(truth_dir / truth["frames"][i]["mask"]))
        got = np.asarray(Image.open((scene_dir / "scene" / "masks" / scene.cameras.names[k]).with_suffix(".png")))
        if got.shape != want.shape:
            want = np.asarray(Image.fromarray(want).resize(got.shape[::-1], Image.Resampling.NEAREST))
        for r in rows:
            if r["match"] is None:
                continue
            a, b = want == r["id"], got == r["asset"] + 1
            both[r["name"]] += int((a & b).sum())
            either[r["name"]] += int((a | b).sum())
    return {n: both[n] / max(either[n], 1) for n in both}


def _box(vertices: np.ndarray, pose: Pose) -> dict[str, np.ndarray]:
    v = pose.apply(vertices.astype(float))
    return {"vertices": v, "centre": (v.min(axis=0) + v.max(axis=0)) / 2}


def _support_height(scene: Scene, T_truth_world: Pose) -> float:
    return float(T_truth_world.apply(scene.supports[0].T_world_surface.translation[None])[0, 2])
