"""Second opinions: the exported USD in other engines, in the same trials, against MuJoCo's.

Each engine runs in a process of its own (`sim_export.engines`); what is asked of it is the same for all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phone2sim.assets.scene import Asset, Scene
from phone2sim.errors import InputError, MissingDependencyError, did_you_mean
from phone2sim.poses import Pose, quat_to_matrix
from phone2sim.progress import message
from phone2sim.sim_export.certificate import trials
from phone2sim.sim_export.certificate.check import Check, at_most
from phone2sim.sim_export.certificate.lanes import Lane, lanes_of, write_lanes
from phone2sim.sim_export.engines import ENGINES, Engine, EngineError, EngineProcess, find_python

if TYPE_CHECKING:
    from phone2sim.sim_export.certificate.certify import CertificateConfig

REST_S = 2.0
SETTLE_S = 0.1
"""Before a push."""
SAMPLE_S = 0.01
"""Between two looks at a trial."""
JUDGES = tuple(n for n in ENGINES if n != "isaac")
"""Engines that `check` can ask."""


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What one engine made of a scene."""

    engine: str
    version: str
    objects: dict[str, dict[str, float]]
    """Per object what was measured: `rest_m`, `rest_deg` (from MuJoCo's rest), `slid_m`, `tip_deg`, `sank_m`, …"""

    def to_json(self) -> dict[str, Any]:
        measured = {n: {k: round(v, 6) for k, v in x.items() if np.isfinite(v)} for n, x in self.objects.items()}
        return {"engine": self.engine, "version": self.version, "objects": measured}


@dataclass
class Parity:
    """Gates and measures of every engine that was asked."""

    checks: list[Check] = field(default_factory=list)
    opinions: list[Opinion] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def choose(names: Sequence[str] | None) -> list[str]:
    """Engines to ask beside MuJoCo. None takes those that are installed; named ones must be.

    Raises `InputError` for an unknown name, `MissingDependencyError` for one that is not installed.
    """
    if names is None:
        return [n for n in JUDGES if _installed(ENGINES[n])]
    known = ("mujoco", *JUDGES)
    for name in names:
        if name not in known:
            raise InputError(f"No engine {name!r} to check with;", hint=did_you_mean(name, known))
        if name != "mujoco":
            find_python(ENGINES[name])
    return [n for n in dict.fromkeys(names) if n != "mujoco"]


def compare(
    scene: Scene, scene_dir: Path, behaviours: Mapping[str, trials.Behaviour], names: Sequence[str], config: CertificateConfig
) -> Parity:
    """Ask each engine, with the USD in `scene_dir/export` brought up to date first. An engine that cannot take the USD
    fails the scene's gate `<engine>: takes the USD`; one that is not there after all raises `MissingDependencyError`."""
    parity = Parity()
    if not names or not scene.assets:
        return parity
    import mujoco

    export = exported(scene_dir)
    rest = mujoco_rest(scene, seconds=REST_S)
    parity.opinions.append(_mujoco(behaviours, mujoco.__version__))
    lanes = lanes_of(scene.assets, behaviours, drop_m=config.drop_m)
    with tempfile.TemporaryDirectory() as tmp:
        for name in names:
            stage = write_lanes(lanes, export, Path(tmp) / f"lanes_{name}.usda", plane=ENGINES[name].plane)
            _ask(ENGINES[name], scene, export, stage, lanes, behaviours, rest, config, parity)
    if rolling := [a.name for a in scene.assets if behaviours[a.name].slid is None]:
        parity.notes.append(f"{', '.join(rolling)} rolls: its rest, slide and tip are not compared between engines")
    return parity


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


def _installed(engine: Engine) -> bool:
    try:
        return bool(find_python(engine))
    except MissingDependencyError:
        return False


def _ask(
    engine: Engine, scene: Scene, export: Path, stage: Path, lanes: list[Lane], behaviours: Mapping[str, trials.Behaviour],
    rest: dict[str, Pose], config: CertificateConfig, parity: Parity,
) -> None:  # fmt: skip
    message(f"{engine.title} simulates the USD" + (" (its first run compiles for a minute)." if engine.name == "newton" else "."))
    try:
        with EngineProcess(engine) as process:
            bodies, found = _rest(process, scene, export)
            trial = run_lanes(process, stage, lanes, behaviours)
            version = process.version
    except EngineError as e:
        said = f"{engine.title} gave up on it: {e.message}"
        parity.checks.append(
            Check(subject="scene", name=f"{engine.name}: takes the USD", passed=False, measured=1.0, limit=0.0, unit="", why=said)
        )
        return
    parity.notes.append(f"{engine.title} {version} simulated the exported USD at {engine.rate} Hz")
    objects: dict[str, dict[str, float]] = {}
    for a in scene.assets:
        here = behaviours[a.name]
        judge = _Judge(engine, a, here, config)
        parity.checks.append(judge.body(bodies[a.name]))
        objects[a.name] = measured = dict(trial[a.name])
        if here.slid is not None:
            measured["rest_m"], measured["rest_deg"] = _apart(a, found[a.name], rest[a.name])
            parity.checks += [judge.rest(measured), judge.slide(measured), judge.tip(measured)]
        parity.checks.append(judge.drop(measured))
    parity.opinions.append(Opinion(engine=engine.name, version=version, objects=objects))


def _rest(process: EngineProcess, scene: Scene, export: Path) -> tuple[dict[str, Any], dict[str, Pose]]:
    """What the engine made of each body of the assembly, and where it is after `REST_S`."""
    names = {a.name: f"/World/Props/{a.name}" for a in scene.assets}
    path, rate = str((export / "scene.usda").resolve()), process.engine.rate
    bodies = process.ask("load", stage=path, bodies=names, robot=None, links=[], rate=rate)["bodies"]
    end = process.ask("step", steps=round(REST_S * rate))["bodies"]
    return bodies, {n: Pose(np.array(x[:3]), np.array(x[3:7])) for n, x in end.items()}


def run_lanes(
    process: EngineProcess, stage: Path, lanes: list[Lane], behaviours: Mapping[str, trials.Behaviour]
) -> dict[str, dict[str, float]]:
    """Per object `slid_m`, `leaned_deg`, `tip_deg`, `sank_m`, `highest_m`; the trials are those of `trials`."""
    rate = process.engine.rate
    names = {lane.name: f"/World/Props/{lane.name}" for lane in lanes}
    process.ask("load", stage=str(stage), bodies=names, robot=None, links=[], rate=rate)
    still = {n.name: [*n.start.translation.tolist(), *n.start.quat_wxyz.tolist(), *np.zeros(6).tolist()] for n in lanes}
    process.ask("put", bodies=still)
    sliding = [x for x in lanes if x.trial == "slide"]
    tipping = [x for x in lanes if x.trial == "tip"]
    steps = max(1, round(SAMPLE_S * rate))
    start = process.ask("step", steps=round(SETTLE_S * rate))["bodies"]
    pushed = {x.name: [*start[x.name][:7], *x.velocity, *np.zeros(4).tolist()] for x in sliding}
    now = process.ask("put", bodies=pushed)["bodies"] if pushed else start
    tips = {x.name: float("inf") for x in tipping}
    leaned = {x.name: 0.0 for x in sliding}
    highest = {x.name: 0.0 for x in lanes if x.trial == "drop"}
    total = round(trials.DROP_S * rate / steps)
    for k in range(total):
        share = k * steps / rate / trials.TIP_S
        forces = {}
        if share < 1:
            for x in tipping:
                if not np.isfinite(tips[x.name]):
                    here = behaviours[x.asset.name].stands
                    tilted = trials.tilted_gravity(here, trials.slope_at(here, share))
                    forces[x.name] = (x.asset.mass_kg.value * (tilted + [0, 0, trials.GRAVITY])).tolist()
        now = process.ask("step", steps=steps, forces=forces)["bodies"]
        for x in tipping:
            if share < 1 and not np.isfinite(tips[x.name]) and _lean(now[x.name], start[x.name]) > trials.TIPPED_RAD:
                tips[x.name] = float(np.degrees(trials.slope_at(behaviours[x.asset.name].stands, share)))
        for x in sliding:
            leaned[x.name] = max(leaned[x.name], float(np.degrees(_lean(now[x.name], start[x.name]))))
        for n in highest:
            highest[n] = max(highest[n], now[n][2] - still[n][2])
    out: dict[str, dict[str, float]] = {x.asset.name: {} for x in lanes}
    for x in lanes:
        a, measured = x.asset, out[x.asset.name]
        if x.trial == "slide":
            moved = _centre(a, now[x.name]) - _centre(a, start[x.name])
            measured |= {"slid_m": float(np.linalg.norm(moved[:2])), "leaned_deg": leaned[x.name]}
        elif x.trial == "tip":
            tip = tips[x.name]
            measured["tip_deg"] = tip if np.isfinite(tip) else float(np.degrees(trials.untipped(behaviours[a.name].stands)))
        else:
            end = Pose(np.array(now[x.name][:3]), np.array(now[x.name][3:7]))
            points = end.apply(np.concatenate([h.vertices for h in a.hulls]).astype(float))
            measured |= {"sank_m": max(0.0, -float(points[:, 2].min())), "highest_m": highest[x.name]}
    return out


class _Judge:
    """The gates of one object in one engine."""

    def __init__(self, engine: Engine, asset: Asset, here: trials.Behaviour, config: CertificateConfig) -> None:
        self.engine, self.asset, self.here, self.config = engine, asset, here, config

    def body(self, there: dict[str, Any]) -> Check:
        """Mass, inertia, centre, hulls, friction: the worst, as a share of its limit."""
        a, c = self.asset, self.config
        mass = abs(there["mass_kg"] / a.mass_kg.value - 1)
        inertia = float(np.abs(np.array(there["inertia"]) - a.inertia.moments).max() / np.abs(a.inertia.moments).max())
        centre = float(np.linalg.norm(np.array(there["com"]) - a.inertia.center_of_mass))
        friction = abs(there["friction"] - a.friction.value)
        hulls = abs(there["hulls"] - len(a.hulls))
        worst = max(mass / c.engine_mass, inertia / c.engine_inertia, centre / c.engine_centre_m, friction / 1e-4, 2.0 * hulls)
        said = (
            f"{there['mass_kg']:.4f} kg, {there['hulls']} hulls and friction {there['friction']:.3f}, here {a.mass_kg.value:.4f} kg, "
            f"{len(a.hulls)} and {a.friction.value:.3f}; inertia differs by {inertia:.1e}, centre by {1000 * centre:.4f} mm"
        )
        return self._at_most("same body", float(worst), 1.0, "", said)

    def rest(self, there: dict[str, float]) -> Check:
        c = self.config
        far, turned = there["rest_m"], there["rest_deg"]
        said = f"rests {1000 * far:.2f} mm and {turned:.2f}° from where MuJoCo rests it"
        measured = far if turned <= c.engine_rest_deg else max(far, float("inf"))
        return self._at_most("same rest", measured, c.engine_rest_m, "m", said)

    def slide(self, there: dict[str, float]) -> Check:
        assert self.here.slid is not None
        mine = self.here.slid
        said = (
            f"slides {1000 * there['slid_m']:.1f} mm, in MuJoCo {1000 * mine['slid_m']:.1f} mm, at a friction of {mine['friction']:.2f}"
        )
        limit = max(self.config.engine_slide_m, 0.1 * mine["slid_m"])
        return self._at_most("same slide", abs(there["slid_m"] - mine["slid_m"]), limit, "m", said)

    def tip(self, there: dict[str, float]) -> Check:
        assert self.here.tip_rad is not None
        mine = float(np.degrees(self.here.tip_rad))
        said = f"{trials.said_tip(there['tip_deg'])}, in MuJoCo it {trials.said_tip(mine)}"
        limit = max(self.config.engine_tip_deg, 0.1 * mine)
        off = abs(there["tip_deg"] - mine) if np.isfinite(there["tip_deg"]) or np.isfinite(mine) else 0.0
        return self._at_most("same tip", off, limit, "deg", said)

    def drop(self, there: dict[str, float]) -> Check:
        flew = not there["highest_m"] < 0.05 * self.config.drop_m
        said = f"dropped from {self.config.drop_m} m it rests {1000 * there['sank_m']:.1f} mm deep"
        if flew:
            said = f"dropped from {self.config.drop_m} m it rises {there['highest_m']:.2f} m above where it was let go"
        return self._at_most("survives a drop", float("inf") if flew else there["sank_m"], self.config.sank_m, "m", said)

    def _at_most(self, gate: str, measured: float, limit: float, unit: str, said: str) -> Check:
        return at_most(self.asset.name, f"{self.engine.name}: {gate}", measured, limit, unit, said)


def _mujoco(behaviours: Mapping[str, trials.Behaviour], version: str) -> Opinion:
    objects = {}
    for name, b in behaviours.items():
        x = {"sank_m": b.fallen["sank_m"], "highest_m": b.fallen["highest_m"]}
        if b.slid is not None and b.tip_rad is not None:
            x |= {"slid_m": b.slid["slid_m"], "leaned_deg": float(np.degrees(b.slid["leaned_rad"])), "tip_deg": float(np.degrees(b.tip_rad))}
        objects[name] = x
    return Opinion(engine="mujoco", version=version, objects=objects)


def _apart(asset: Asset, there: Pose, here: Pose) -> tuple[float, float]:
    """Largest distance [m] of any hull vertex between two poses, and the angle [deg] between them."""
    points = np.concatenate([h.vertices for h in asset.hulls])
    far = float(np.linalg.norm(there.apply(points) - here.apply(points), axis=1).max())
    return far, float(np.degrees(2 * np.arccos(min(1.0, abs(float(there.quat_wxyz @ here.quat_wxyz))))))


def _lean(now: list[float], start: list[float]) -> float:
    """Angle [rad] between a body's z axis and where it pointed."""
    a, b = (quat_to_matrix(np.array(x[3:7]))[:, 2] for x in (now, start))
    return float(np.arccos(np.clip(a @ b, -1, 1)))


def _centre(asset: Asset, row: list[float]) -> np.ndarray:
    return Pose(np.array(row[:3]), np.array(row[3:7])).apply(asset.inertia.center_of_mass)
