"""Second opinions on the exported USD: gates against a stand-in's answers, and against real engines where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from phone2sim.assets.scene import Scene
from phone2sim.cli.app import main
from phone2sim.errors import MissingDependencyError
from phone2sim.sim_export.certificate import CertificateConfig, certify, engines, trials
from phone2sim.sim_export.engines import ENGINES
from phone2sim.stage import read_manifest
from tests.sim_export.engine_stand_in import stand_in
from tests.sim_export.scenes import can_asset
from tests.sim_export.test_certificate import built, cube_scene, saved  # noqa: F401

REAL = {n: os.environ.get(e.variable) for n, e in ENGINES.items()}
GATES = ("same body", "same rest", "same slide", "same tip", "survives a drop")


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine in ENGINES.values():
        for name in (engine.variable, *engine.homes):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A scene folder without photos: a cube."""
    cube_scene(cans=0, boxes=0).save(tmp_path / "scene" / "scene")
    return tmp_path / "scene"


def parity(scene_dir: Path, names: list[str] | None = None) -> engines.Parity:
    scene = Scene.load(scene_dir)
    here = {a.name: trials.behave(a) for a in scene.assets}
    return engines.compare(scene, scene_dir, here, names or ["newton"], CertificateConfig())


def failed(found: engines.Parity) -> list[tuple[str, str]]:
    return [(c.subject, c.name) for c in found.checks if not c.passed]


def test_an_engine_that_reads_the_same_agrees(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "newton")
    found = parity(bare)
    assert failed(found) == [] and {c.name for c in found.checks} == {f"newton: {g}" for g in GATES}
    mujoco, other = (o.objects["cube"] for o in found.opinions)
    assert other["slid_m"] == pytest.approx(0.06, abs=0.004) and other["tip_deg"] == pytest.approx(mujoco["tip_deg"], abs=1)
    assert other["rest_m"] < 5e-4 and other["sank_m"] < 1e-3


@pytest.mark.parametrize(
    ("fault", "gate"),
    [
        ("factor:mass_kg=1.001", "same body"), ("factor:inertia=1.01", "same body"), ("factor:com=1.01", "same body"),
        ("factor:friction=1.02", "same body"), ("factor:hulls=2", "same body"), ("shift", "same rest"),
    ],
)  # fmt: skip
def test_each_difference_fails_its_own_gate(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, gate: str
) -> None:
    stand_in(tmp_path, monkeypatch, "physx", fault)
    found = parity(bare, ["physx"])
    assert (("cube", f"physx: {gate}")) in failed(found) and {n for _, n in failed(found)} <= {f"physx: {gate}", "physx: same slide"}


def test_a_usd_of_another_friction_slides_further(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pxr import Usd

    stand_in(tmp_path, monkeypatch, "physx")
    original = engines.write_lanes

    def spoiled(lanes: list, export: Path, path: Path, *, plane: bool) -> Path:  # type: ignore[type-arg]
        stage = Usd.Stage.Open(str(original(lanes, export, path, plane=plane)))
        for kind in ("static", "dynamic"):
            stage.GetPrimAtPath("/World/Props/slide_cube/Looks/Physics").GetAttribute(f"physics:{kind}Friction").Set(0.3)
        stage.GetRootLayer().Save()
        return path

    monkeypatch.setattr(engines, "write_lanes", spoiled)
    assert failed(parity(bare, ["physx"])) == [("cube", "physx: same slide")]


def test_an_engine_that_gives_up_fails_the_scene(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(tmp_path, monkeypatch, "newton", "refuse:load")
    (check,) = parity(bare).checks
    assert (check.subject, check.name, check.passed) == ("scene", "newton: takes the USD", False)
    assert "RuntimeError: a strange mesh" in check.why


def test_what_rolls_is_dropped_and_weighed_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    import numpy as np

    from phone2sim.poses import Pose
    from tests.sim_export.scenes import scene_of

    can = can_asset("can")
    lying = Pose(np.array([0.0, 0.0, 0.03]), np.array([np.sqrt(0.5), 0, np.sqrt(0.5), 0]))
    monkeypatch.setattr(trials, "ROLLS_BELOW_RAD", 0.5)  # its 24 sides are 15 degrees apart
    scene_of(replace(can, T_world_asset=lying)).save(tmp_path / "s" / "scene")
    stand_in(tmp_path, monkeypatch, "newton")
    found = parity(tmp_path / "s")
    assert {c.name for c in found.checks} == {"newton: same body", "newton: survives a drop"}
    assert any("can rolls" in n for n in found.notes)


def test_a_stale_export_is_made_again_with_the_formats_it_had(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phone2sim.sim_export.pipeline import ExportConfig, export_scene

    export_scene(bare, ExportConfig(to=("usd", "mjcf")))
    first = read_manifest(bare / "export")
    cube_scene(cans=1, boxes=0).save(bare / "scene")
    engines.exported(bare)
    second = read_manifest(bare / "export")
    assert first and second and first["fingerprint"] != second["fingerprint"]
    assert first["config"]["to"] == second["config"]["to"] == ["usd", "mjcf"]


def test_the_certificate_holds_every_opinion(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    stand_in(tmp_path, monkeypatch, "physx")
    assert main(["check", str(built), "--engines", "mujoco,physx", "--quiet"]) == 0
    data = json.loads((built / "certificate" / "certificate.json").read_text())
    assert [e["engine"] for e in data["engines"]] == ["mujoco", "physx"]
    assert {c["name"] for c in data["checks"] if c["subject"] == "cube"} >= {f"physx: {g}" for g in GATES}
    from phone2sim.sim_export.report.certificate import certificate
    from phone2sim.sim_export.report.facts import read_scene

    html = certificate(read_scene(built))
    assert "The same trials in every engine" in html and html.count("<td>physx</td>") == 3


def test_engines_are_asked_where_they_are(built: Path, capfd: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    certificate = certify(built)
    assert certificate.passed and certificate.engines == ()
    assert any(n.startswith("not asked, for they are not installed: physx, newton") for n in certificate.notes)
    assert not any("not asked" in n for n in certify(built, engines=["mujoco"]).notes)
    assert main(["check", str(built), "--engines", "newton"]) == 3
    assert "Newton is not installed. In an environment of its own: pip install 'newton[sim]" in capfd.readouterr().err
    assert main(["check", str(built), "--engines", "mujoco,bullet"]) == 2
    assert "No engine 'bullet' to check with; have mujoco, mujoco-usd, newton, physx." in capfd.readouterr().err
    with pytest.raises(MissingDependencyError):
        certify(built, engines=["physx"])


@pytest.mark.slow
@pytest.mark.parametrize("name", engines.JUDGES)
def test_real_engines_agree(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not REAL[name]:
        pytest.skip(f"{ENGINES[name].variable} names no Python with {ENGINES[name].title}")
    monkeypatch.setenv(ENGINES[name].variable, str(REAL[name]))
    found = parity(saved(cube_scene(), tmp_path / "scene"), [name])
    assert len(found.checks) == 15 and failed(found) == [], [c.why for c in found.checks]
