"""A second opinion: the exported USD, simulated by Newton in a Python of its own, against MuJoCo's own trials.

Newton wants packages that do not stand beside this package's, so a child process runs `newton_worker.py` by path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phone2sim.assets.scene import Asset, Scene
from phone2sim.errors import MissingDependencyError
from phone2sim.poses import Pose
from phone2sim.progress import message
from phone2sim.sim_export.certificate import trials
from phone2sim.sim_export.certificate.check import Check, at_most
from phone2sim.sim_export.friction import SUPPORT_FRICTION

if TYPE_CHECKING:
    from phone2sim.sim_export.certificate.certify import CertificateConfig

VARIABLE = "PHONE2SIM_NEWTON_PYTHON"
REQUIREMENTS = "'newton[sim]==1.8.0' usd-core==26.8 newton-usd-schemas==0.6.0 scipy trimesh requests"
INSTALL = f"In an environment of its own: pip install {REQUIREMENTS}; then set {VARIABLE} to that environment's python."
SECONDS = 2.0
TIMEOUT_S = 1200.0
_MISSING = 3
"""The worker's exit code where Newton cannot be imported."""


def find_python() -> str:
    """The interpreter that has Newton: the one named in `PHONE2SIM_NEWTON_PYTHON`, else this one.

    Raises `MissingDependencyError` when there is none.
    """
    from importlib.util import find_spec

    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise MissingDependencyError(f"{VARIABLE} names {named}, which is not there.", hint=INSTALL)
        return named
    if find_spec("newton") is not None:
        return sys.executable
    raise MissingDependencyError("Newton is not installed.", hint=INSTALL)


def agreement(scene: Scene, scene_dir: Path, config: CertificateConfig, notes: list[str]) -> list[Check]:
    """Per object the gates `newton: same mass`, `same rest` and `same slide`; the last two not for what rolls.

    A USD that Newton cannot load or simulate fails the gate `newton: takes the USD` of the scene. The USD in
    `scene_dir/export` is brought up to date first. Raises `MissingDependencyError` without Newton.
    """
    python = find_python()
    export = exported(scene_dir)
    stands = {a.name: trials.footing(a) for a in scene.assets}
    slides = {a.name: trials.slide(a, stands[a.name]) for a in scene.assets if not stands[a.name].rolls}
    job = {
        "usd": str((export / "scene.usda").resolve()), "seconds": SECONDS, "support_friction": SUPPORT_FRICTION,
        "slides": [slide_job(a, stands[a.name], slides[a.name], export) for a in scene.assets if a.name in slides],
    }  # fmt: skip
    message("Newton simulates the USD; its first run on a machine compiles for a minute or two.")
    answer, said = _ask(python, job)
    if answer is None:
        why = f"Newton gave up on it: {said}"
        return [
            Check(
                subject="scene", name="newton: takes the USD", passed=False, measured=1.0, limit=0.0, unit="", why=why
            )
        ]
    notes.append(
        f"Newton {answer['newton']} simulated the exported USD for {SECONDS:g} s at {answer['steps_per_second']} Hz"
    )
    rest = mujoco_rest(scene, seconds=SECONDS)
    checks = []
    for a in scene.assets:
        body = answer["bodies"].get(a.name)
        if body is None:
            why = "Newton found no rigid body of this name in the USD"
            checks.append(at_most(a.name, "newton: same mass", float("inf"), config.newton_mass, "", why))
            continue
        checks.append(_mass(a, body, config))
        if a.name not in slides:
            notes.append(f"{a.name} rolls: Newton's rest and slide are not compared")
            continue
        checks.append(_rest(a, body, rest[a.name], config))
        checks.append(_slide(a, answer["slides"][a.name], slides[a.name], config))
    return checks


def mujoco_rest(scene: Scene, *, seconds: float) -> dict[str, Pose]:
    """Asset → its pose in the world after `seconds` in MuJoCo, from where it was captured."""
    import mujoco

    from phone2sim.sim_export.mjcf import build_mjcf

    model = build_mjcf(scene).compile()
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, round(seconds / model.opt.timestep))
    mujoco.mj_kinematics(model, data)
    return {a.name: Pose(data.body(a.name).xpos.copy(), data.body(a.name).xquat.copy()) for a in scene.assets}


def exported(scene_dir: Path) -> Path:
    """`scene_dir/export` with an up-to-date USD, keeping the formats that were exported before."""
    from phone2sim.sim_export.pipeline import ExportConfig, export_scene
    from phone2sim.stage import read_manifest

    before = read_manifest(scene_dir / "export")
    config = ExportConfig(**before["config"]) if before else ExportConfig()
    if "usd" not in config.to:
        config = config.model_copy(update={"to": ("usd", *config.to)})
    return export_scene(scene_dir, config).folder


def slide_job(asset: Asset, stands: trials.Footing, slid: dict[str, float], export: Path) -> dict[str, Any]:
    """What `trials.slide` does, as numbers for the worker."""
    R = asset.T_world_asset.rotation
    low = float((np.concatenate([h.vertices for h in asset.hulls]) @ R.T)[:, 2].min())
    speed = np.sqrt(2 * slid["friction"] * trials.GRAVITY * slid["expected_m"])
    return {
        "name": asset.name, "usd": str((export / "assets" / asset.name / f"{asset.name}.usd").resolve()), "low_m": low,
        "quat_wxyz": asset.T_world_asset.quat_wxyz.tolist(), "friction": slid["friction"],
        "velocity": (speed * stands.stablest).tolist(),
        "own_friction": bool(slid["friction"] == asset.friction.value),
    }  # fmt: skip


def _ask(python: str, job: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """The worker's answer, or None and its last word."""
    worker = Path(__file__).with_name("newton_worker.py")  # isolated (-I): beside it stands a newton.py
    try:
        done = subprocess.run(
            [python, "-I", str(worker)], input=json.dumps(job), capture_output=True, text=True, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer in {TIMEOUT_S:.0f} s"
    except OSError as e:
        raise MissingDependencyError(f"{python} cannot be started: {e.strerror}.", hint=INSTALL) from e
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    if done.returncode == _MISSING:
        raise MissingDependencyError(f"{python} has no Newton: {last}.", hint=INSTALL)
    if done.returncode != 0:
        return None, last
    try:
        return json.loads(done.stdout), last
    except json.JSONDecodeError:
        return None, "its answer is not JSON"


def _mass(asset: Asset, body: dict[str, Any], config: CertificateConfig) -> Check:
    mass = abs(body["mass_kg"] / asset.mass_kg.value - 1)
    moments = asset.inertia.moments
    inertia = float(np.abs(np.array(body["inertia"]) - moments).max() / np.abs(moments).max())
    off = float(np.linalg.norm(np.array(body["com"]) - asset.inertia.center_of_mass))
    size = float(np.linalg.norm(asset.extents_m))
    said = f"{body['mass_kg']:.4f} kg in Newton, {asset.mass_kg.value:.4f} kg here; inertia differs by {inertia:.1e}, centre by {1000 * off:.3f} mm"
    return at_most(asset.name, "newton: same mass", max(mass, inertia, off / size), config.newton_mass, "", said)


def _rest(asset: Asset, body: dict[str, Any], here: Pose, config: CertificateConfig) -> Check:
    there = Pose(np.array(body["position"]), np.array(body["quat_wxyz"]))
    points = np.concatenate([h.vertices for h in asset.hulls])
    apart = float(np.linalg.norm(there.apply(points) - here.apply(points), axis=1).max())
    turned = float(np.degrees(2 * np.arccos(min(1.0, abs(float(there.quat_wxyz @ here.quat_wxyz))))))
    said = f"rests {1000 * apart:.2f} mm and {turned:.2f}° from where MuJoCo rests it"
    return at_most(asset.name, "newton: same rest", apart, config.newton_rest_m, "m", said)


def _slide(asset: Asset, there: dict[str, float], here: dict[str, float], config: CertificateConfig) -> Check:
    off = abs(there["slid_m"] - here["slid_m"])
    limit = max(config.newton_slide_m, 0.1 * here["slid_m"])
    said = f"slides {1000 * there['slid_m']:.1f} mm in Newton, {1000 * here['slid_m']:.1f} mm in MuJoCo, at a friction of {here['friction']:.2f}"
    return at_most(asset.name, "newton: same slide", off, limit, "m", said)
