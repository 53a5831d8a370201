"""`certify`: trials, pictures and limits → a `Certificate`, kept as `certificate.json` beside the scene's exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Asset, Scene
from phone2sim.config import Config, write_json
from phone2sim.errors import InputError
from phone2sim.progress import progress
from phone2sim.sim_export.certificate import engines as others
from phone2sim.sim_export.certificate import trials
from phone2sim.sim_export.certificate.check import Check, at_least, at_most
from phone2sim.sim_export.certificate.looks import Look, compare

SCHEMA = 1


class CertificateConfig(Config):
    """Limits. A gate fails when its measure is beyond its limit."""

    settle_m: float = 0.004
    """How far an object may move from its captured pose when the simulation starts [m]."""
    settle_tilt_deg: float = 3.0
    """How far it may lean over meanwhile."""
    penetration_m: float = 0.001
    """Deepest overlap at the start [m]."""
    tip_deg: float = 4.0
    """Difference between the simulated and the static tipping slope, or a fifth of it if that is more."""
    slide_m: float = 0.006
    """Difference between the simulated and the expected sliding distance, or a fifth of it if that is more [m]."""
    drop_m: float = 0.5
    """Height of the drop test [m]."""
    sank_m: float = 0.003
    """How deep in the ground an object may rest after the drop [m]."""
    engine_mass: float = 1e-4
    """Relative difference of a mass between the USD as another engine reads it and the scene."""
    engine_inertia: float = 1e-3
    """The same of inertia."""
    engine_centre_m: float = 1e-5
    """The same of the centre of mass [m]."""
    engine_rest_m: float = 0.003
    """How far any point of an object may rest from where MuJoCo rests it, in another engine from the USD [m]."""
    engine_rest_deg: float = 2.0
    """How far it may be turned there."""
    engine_slide_m: float = 0.006
    """Difference between its and MuJoCo's sliding distance, or a tenth of it if that is more [m]."""
    engine_tip_deg: float = 2.0
    """Difference between the slopes at which it tips, or a tenth if that is more."""
    psnr_db: float = 20.0
    """Least mean PSNR of the scene at captured cameras, exposure matched."""
    object_psnr_db: float = 17.0
    """Least mean PSNR over an object's pixels."""
    views: int = 6
    """Captured cameras compared."""
    max_side: int = 480
    """Longer side of the compared pictures [px]."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """Every gate of a scene, and the pictures behind the last ones."""

    checks: tuple[Check, ...]
    looks: tuple[Look, ...]
    notes: tuple[str, ...] = ()
    engines: tuple[others.Opinion, ...] = ()
    """What each engine measured, MuJoCo first; empty when no other was asked."""

    @property
    def passed(self) -> bool:
        return all(c.passed for c in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(c for c in self.checks if not c.passed)

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA, "passed": self.passed, "checks": [c.to_json() for c in self.checks],
            "looks": [{"name": x.name, "psnr": x.psnr, "ssim": x.ssim, "objects": x.objects} for x in self.looks],
            "notes": list(self.notes), "engines": [e.to_json() for e in self.engines],
        }  # fmt: skip


def certify(scene_dir: Path, config: CertificateConfig | None = None, *, engines: Sequence[str] | None = None) -> Certificate:
    """Run every gate on a built scene and write `scene_dir/certificate/` (`certificate.json` and the compared pictures).

    `engines`: which ones are asked about the exported USD beside MuJoCo (`export/` is made or brought up to date for
    them); None asks those that are installed. Raises `InputError` when there is no scene, or nothing in it that could be
    judged, or for an unknown engine, `MissingDependencyError` when a named one is not there.
    """
    import shutil

    config = config or CertificateConfig()
    asked = others.choose(engines)
    scene = Scene.load(scene_dir)
    if not scene.supports:
        raise InputError(
            f"{scene_dir} has no support surface, so nothing stands on anything.", hint="Only scenes with objects can be checked."
        )
    partial = scene_dir / ".certificate.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    checks: list[Check] = []
    notes: list[str] = []
    behaviours: dict[str, trials.Behaviour] = {}
    with progress("Checking the twin", total=len(scene.assets) + 3) as bar:
        checks += _standing(scene, config)
        bar.advance(1, note="standing")
        for asset in scene.assets:
            behaviours[asset.name] = trials.behave(asset, drop_m=config.drop_m)
            checks += judge_asset(asset, config, notes, behaviours[asset.name])
            bar.advance(1, note=asset.name)
        parity = others.compare(scene, scene_dir, behaviours, asked, config)
        checks += parity.checks
        notes += parity.notes
        if engines is None and (absent := [e for e in others.JUDGES if e not in asked]):
            notes.append(f"not asked, for they are not installed: {', '.join(absent)} (phone2sim doctor says how to get them)")
        checks += _exported(scene, scene_dir)
        bar.advance(1, note="engines")
        looks: list[Look] = []
        if (scene_dir / "capture" / "frames").is_dir():
            looks = compare(scene, scene_dir, partial / "views", views=config.views, max_side=config.max_side)
            checks += _looks(scene, looks, config)
        else:
            notes.append("its photos are not there any more (capture/frames): whether it looks like them was not judged")
        bar.advance(1, note="pictures")
    certificate = Certificate(checks=tuple(checks), looks=tuple(looks), notes=tuple(notes), engines=tuple(parity.opinions))
    write_json(partial / "certificate.json", certificate.to_json())
    final = scene_dir / "certificate"
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    return certificate


def _exported(scene: Scene, scene_dir: Path) -> list[Check]:
    """Whether the USD, where there is one, has anything that validators let pass and engines take amiss; brought up to date first."""
    if not (scene_dir / "export" / "scene.usda").exists():
        return []
    from phone2sim.sim_export.usd.lint import lint_usd

    found = lint_usd(others.exported(scene_dir) / "scene.usda")
    subjects = dict.fromkeys([*(a.name for a in scene.assets), *(f.subject for f in found)])
    checks = []
    for subject in subjects:
        texts = [f.text for f in found if f.subject == subject]
        why = "; ".join(texts) or "its USD is sound"
        checks.append(at_most(subject, "sound USD", float(len(texts)), 0.0, "", why))
    return checks


def _standing(scene: Scene, config: CertificateConfig) -> list[Check]:
    """Overlap and rest of all objects together, as captured."""
    from phone2sim.sim_export.mjcf import build_mjcf, settle_drift

    names = [a.name for a in scene.assets]
    if not names:
        return []
    model = build_mjcf(scene).compile()
    deep = trials.penetration(model, names)
    rest = settle_drift(model, names, drop_m=0.0)
    checks = []
    for n in names:
        moved, leaned = rest[n]["moved_m"], float(np.degrees(rest[n]["tilted_rad"]))
        checks.append(
            at_most(n, "no overlap", deep[n], config.penetration_m, "m", f"overlaps by {1000 * deep[n]:.2f} mm as captured")
        )
        checks.append(
            at_most(n, "settles", moved, config.settle_m, "m", f"moves {1000 * moved:.2f} mm from where it was captured in 2 s")
        )
        checks.append(
            at_most(n, "stays upright", leaned, config.settle_tilt_deg, "deg", f"leans over by {leaned:.2f}° in 2 s")
        )
    return checks


def judge_asset(
    asset: Asset, config: CertificateConfig, notes: list[str], here: trials.Behaviour | None = None
) -> list[Check]:
    """The gates of one object alone, from its trials `here` (run when not given); what does not apply is said in `notes`."""
    checks = [_inertia(asset)]
    here = here or trials.behave(asset, drop_m=config.drop_m)
    if here.tip_rad is None or here.slid is None:
        notes.append(f"{asset.name} stands on so little that it rolls: no tipping or sliding test")
    else:
        expected, found = np.degrees(here.stands.tip_rad), np.degrees(here.tip_rad)
        limit, steepest = max(config.tip_deg, 0.2 * expected), np.degrees(trials.STEEPEST_RAD)
        said = f"{trials.said_tip(found)}, its footing says {expected:.1f}°"
        off = abs(found - min(expected, steepest))
        checks.append(at_most(asset.name, "tips as it should", float(off), float(limit), "deg", said))
        slid = here.slid
        off = abs(slid["slid_m"] - slid["expected_m"])
        limit = max(config.slide_m, 0.2 * slid["expected_m"])
        said = f"slides {1000 * slid['slid_m']:.1f} mm where a friction of {slid['friction']:.2f} says {1000 * slid['expected_m']:.0f} mm"
        if slid["friction"] < asset.friction.value:
            said += f" (at its own {asset.friction.value:.2f} it tips first)"
        checks.append(at_most(asset.name, "slides as it should", off, limit, "m", said))
    fallen = here.fallen
    survived = fallen["finite"] > 0 and fallen["highest_m"] < 0.05 * config.drop_m
    sank = fallen["sank_m"] if survived else float("inf")
    said = f"dropped from {config.drop_m} m it rests {1000 * fallen['sank_m']:.1f} mm deep"
    if not survived:
        said = f"dropped from {config.drop_m} m it rises {fallen['highest_m']:.2f} m above where it was let go"
    checks.append(at_most(asset.name, "survives a drop", sank, config.sank_m, "m", said))
    return checks


def _inertia(asset: Asset) -> Check:
    """a + b ≥ c of the principal moments, and the centre of mass inside the convex hull of the body."""
    from scipy.spatial import ConvexHull

    moments = np.sort(np.linalg.eigvalsh(asset.inertia.moments))
    slack = float((moments[0] + moments[1] - moments[2]) / max(moments[2], 1e-15))
    planes = ConvexHull(asset.visual.vertices.astype(float)).equations
    inside = bool((planes[:, :3] @ asset.inertia.center_of_mass + planes[:, 3] < 0).all())
    good = moments[0] > 0 and slack >= -1e-6 and inside
    said = f"moments {', '.join(f'{m:.3g}' for m in moments)} kg m²" + ("" if inside else ", centre of mass outside the body")
    return Check(
        subject=asset.name, name="inertia is possible", passed=bool(good), measured=max(0.0, -slack), limit=1e-6, unit="", why=said
    )


def _looks(scene: Scene, looks: list[Look], config: CertificateConfig) -> list[Check]:
    mean = float(np.mean([x.psnr for x in looks]))
    checks = [
        at_least("scene", "looks like the photos", mean, config.psnr_db, "dB", f"{mean:.1f} dB over {len(looks)} captured cameras")
    ]
    for a in scene.assets:
        values = [x.objects[a.name] for x in looks if a.name in x.objects]
        if values:
            v = float(np.mean(values))
            said = f"{v:.1f} dB over its pixels in {len(values)} captured cameras"
            checks.append(at_least(a.name, "looks like the photos", v, config.object_psnr_db, "dB", said))
    return checks
