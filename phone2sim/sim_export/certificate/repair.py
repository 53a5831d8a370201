"""Safe repairs of what a certificate found: stand objects where they come to rest, refit hulls, recompute inertia."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from phone2sim.assets.fewer import PHYSX_FACES, with_few_faces
from phone2sim.assets.hulls import OVERFILL, decompose
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.scene import Asset, Inertia, Scene
from phone2sim.poses import Pose
from phone2sim.sim_export.certificate.certify import CertificateConfig, Check, judge_asset
from phone2sim.sim_export.certificate.trials import penetration
from phone2sim.sim_export.mjcf import build_mjcf
from phone2sim.stage import publish, read_manifest

FURTHEST_M = 0.02
"""An object that comes to rest further away than this is left where it was captured."""
_STANDING = {"no overlap", "settles", "stays upright"}
_SHAPE = {"tips as it should", "slides as it should", "survives a drop"}


def repair(scene_dir: Path, failures: Iterable[Check], config: CertificateConfig) -> list[str]:
    """Repair the objects that failed and save the scene in place; one sentence per thing done, empty when nothing was.

    Geometry and looks are never touched: only poses, hulls and inertia. The scene folder is replaced by rename, and the
    repairs are listed in its manifest.
    """
    scene = Scene.load(scene_dir)
    failed: dict[str, set[str]] = {}
    for c in failures:
        failed.setdefault(c.subject, set()).add(c.name)
    done: list[str] = []
    assets = []
    for a in scene.assets:
        wrong = failed.get(a.name, set())
        if "inertia is possible" in wrong:
            a = _with_inertia(a)
            done.append(f"{a.name}: inertia computed again from its mesh")
        if wrong & _SHAPE:
            a = _with_hulls(a, config, done)
        if "sound USD" in wrong:
            a = _with_few_faces(a, done)
        assets.append(a)
    scene = replace(scene, assets=tuple(assets))
    scene = _stood(scene, {n for n, wrong in failed.items() if wrong & (_STANDING | _SHAPE)}, done)
    if done:
        _save(scene_dir / "scene", scene, done)
    return done


def _with_inertia(asset: Asset) -> Asset:
    body = asset.visual.welded()
    body.density = asset.mass_kg.value / abs(float(body.volume))
    return replace(asset, inertia=Inertia(center_of_mass=body.center_mass, moments=body.moment_inertia))


def _with_hulls(asset: Asset, config: CertificateConfig, done: list[str]) -> Asset:
    """Finer convex parts, kept only when fewer gates fail with them."""
    before = [c for c in judge_asset(asset, config, []) if not c.passed]
    for concavity in (0.04, 0.02):
        hulls = decompose(asset.visual.welded(), concavity=concavity, max_parts=24, faces=800, single_excess=0.02)
        notes = (*(n for n in asset.notes if OVERFILL not in n), *([hulls.said] if hulls.said else []))
        other = replace(asset, hulls=hulls.parts, notes=notes)
        after = [c for c in judge_asset(other, config, []) if not c.passed]
        if len(after) < len(before):
            done.append(f"{asset.name}: {len(hulls.parts)} hulls instead of {len(asset.hulls)}, overfilling {hulls.excess:.0%}")
            return other
    return asset


def _with_few_faces(asset: Asset, done: list[str]) -> Asset:
    """Hulls of no more triangles than PhysX keeps."""
    import trimesh

    many = [h for h in asset.hulls if len(h.faces) > PHYSX_FACES and h.primitive is None]
    if not many:
        return asset
    parts = []
    for h in asset.hulls:
        if any(h is m for m in many):
            few = with_few_faces(trimesh.Trimesh(h.vertices, h.faces, process=False).convex_hull)
            h = TexturedMesh(vertices=few.vertices, faces=few.faces)
        parts.append(h)
    done.append(f"{asset.name}: {len(many)} of {len(parts)} hulls cut down to {PHYSX_FACES} triangles, as PhysX keeps")
    return replace(asset, hulls=tuple(parts))


def _stood(scene: Scene, names: set[str], done: list[str]) -> Scene:
    """Objects `names` lifted out of what they overlap, then left to come to rest; the rest pose is the new pose."""
    import mujoco

    if not names:
        return scene
    model = build_mjcf(scene).compile()
    everything = [a.name for a in scene.assets]
    lift = penetration(model, everything)
    data = mujoco.MjData(model)
    for n in everything:
        data.joint(n).qpos[2] += lift[n] + 2e-4
    for _ in range(1500):
        mujoco.mj_step(model, data)
        data.qvel[:] *= 0.99  # comes to rest where it stands instead of rolling on
    assets = []
    for a in scene.assets:
        if a.name in names:
            q = data.joint(a.name).qpos
            pose = Pose(q[:3].copy(), q[3:].copy())
            moved = float(np.linalg.norm(pose.translation - a.T_world_asset.translation))
            lean = float(np.arccos(np.clip((pose.rotation @ a.T_world_asset.rotation.T)[2, 2], -1, 1)))
            if 1e-5 < moved < FURTHEST_M and lean < np.radians(8):
                a = replace(a, T_world_asset=pose)
                done.append(f"{a.name}: stood where it rests, {1000 * moved:.1f} mm and {np.degrees(lean):.1f}° away")
        assets.append(a)
    return replace(scene, assets=tuple(assets))


def _save(folder: Path, scene: Scene, done: list[str]) -> None:
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(folder, partial)
    for a in scene.assets:
        shutil.rmtree(partial / a.name / "hulls", ignore_errors=True)
    scene.save(partial)
    manifest = read_manifest(folder) or {}
    manifest["repairs"] = [*manifest.get("repairs", []), *done]
    (partial / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    publish(partial, folder)
