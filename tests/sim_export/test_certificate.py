"""The certificate's trials obey statics and Coulomb, its gates catch what is broken, and its repairs mend it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from phone2sim.assets.fewer import PHYSX_FACES
from phone2sim.assets.mesh import TexturedMesh
from phone2sim.assets.physics import inertia
from phone2sim.assets.scene import Asset, Inertia, Scene
from phone2sim.cli.app import main
from phone2sim.config import write_json
from phone2sim.errors import InputError
from phone2sim.images import write_rgb
from phone2sim.poses import Pose
from phone2sim.sim_export.certificate import CertificateConfig, certify, trials
from phone2sim.sim_export.certificate.certify import judge_asset
from phone2sim.sim_export.certificate.looks import compare
from phone2sim.sim_export.certificate.repair import repair
from phone2sim.sim_export.pipeline import ExportConfig, export_scene
from phone2sim.stage import identity, read_manifest
from tests.sim_export.scenes import box_asset, can_asset, cube_scene, scene_of


@pytest.fixture(autouse=True)
def mujoco_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other engines are compared in `test_parity.py`."""
    monkeypatch.setattr("phone2sim.sim_export.certificate.engines._installed", lambda engine: False)


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A scene folder whose photos are the scene's own pictures."""
    return saved(cube_scene(), tmp_path / "scene")


def saved(scene: Scene, folder: Path) -> Path:
    scene.save(folder / "scene")
    write_json(folder / "scene" / "manifest.json", {"fingerprint": "abc", "result": {}})
    grey = np.full((240, 320, 3), 128, np.uint8)
    for name in scene.cameras.names:
        write_rgb(folder / "capture" / "frames" / name, grey)
    compare(scene, folder, folder / "drawn", views=99, max_side=320)
    for name in scene.cameras.names:
        (folder / "drawn" / f"{Path(name).stem}_twin.png").replace(folder / "capture" / "frames" / name)
    return folder


@pytest.mark.parametrize("size", [(0.05, 0.05, 0.05), (0.08, 0.05, 0.12), (0.1, 0.06, 0.03)])
def test_a_box_tips_over_its_shorter_edge_at_the_angle_of_statics(size: tuple[float, float, float]) -> None:
    asset = box_asset("box", size=size, yaw_rad=0.3)
    stands = trials.footing(asset)
    assert stands.tip_rad == pytest.approx(np.arctan2(min(size[:2]) / 2, size[2] / 2), abs=1e-6)
    assert trials.tip(asset, stands) == pytest.approx(stands.tip_rad, rel=0.12)


def test_what_stands_on_little_tips_no_sooner_than_statics_says() -> None:
    """Contacts that give way let it lean, and tip too soon."""
    narrow = box_asset("narrow", size=(0.012, 0.012, 0.07))
    stands = trials.footing(narrow)
    late = np.degrees(trials.tip(narrow, stands) - stands.tip_rad)  # gravity turns on while it falls
    assert 0 < late < 2


def test_what_lies_flat_stands_up_to_the_steepest_slope_there_is() -> None:
    """Past the vertical everything falls off, which says nothing of its footing."""
    tile = box_asset("tile", size=(0.2, 0.2, 0.01))
    stands = trials.footing(tile)
    assert stands.tip_rad > trials.STEEPEST_RAD == trials.slope_at(stands, 1.0)
    assert trials.tip(tile, stands) == trials.STEEPEST_RAD == trials.untipped(stands)
    assert trials.said_tip(np.degrees(trials.STEEPEST_RAD)) == "stands up to 80°"
    low = trials.footing(box_asset("low", size=(0.1, 0.1, 0.04)))
    assert trials.untipped(low) == np.inf  # 68 degrees: by 80 it must have tipped


def test_the_stablest_side_of_a_box_is_its_corner() -> None:
    stands = trials.footing(box_asset("box", size=(0.05, 0.05, 0.05)))
    assert abs(stands.stablest[0]) == pytest.approx(abs(stands.stablest[1]), abs=0.15)
    assert stands.stablest_rad == pytest.approx(np.arctan(np.sqrt(2)), abs=0.02)


@pytest.mark.parametrize("friction", [0.2, 0.5])
def test_coulomb_says_how_far_it_slides(friction: float) -> None:
    asset = box_asset("box", size=(0.1, 0.1, 0.04))
    asset = replace(asset, friction=replace(asset.friction, value=friction, low=friction))
    slid = trials.slide(asset, trials.footing(asset))
    assert slid["friction"] == friction
    assert slid["slid_m"] == pytest.approx(slid["expected_m"], rel=0.08)


def test_what_tips_before_it_slides_is_tried_on_a_slicker_plane() -> None:
    tall = box_asset("tall", size=(0.04, 0.04, 0.16))
    slid = trials.slide(tall, trials.footing(tall))
    assert slid["friction"] < tall.friction.value
    assert slid["slid_m"] == pytest.approx(slid["expected_m"], rel=0.1)


def test_a_drop_ends_at_rest_on_the_ground() -> None:
    fallen = trials.drop(can_asset("can"))
    assert fallen["finite"] == 1 and fallen["highest_m"] < 0.01 and fallen["sank_m"] < 0.002


def test_a_sound_scene_passes_and_is_written_down(built: Path) -> None:
    certificate = certify(built)
    assert certificate.passed, [c.why for c in certificate.failures]
    data = json.loads((built / "certificate" / "certificate.json").read_text())
    assert data["passed"] and {c["subject"] for c in data["checks"]} == {"cube", "block_0", "can_0", "scene"}
    assert min(x.psnr for x in certificate.looks) > 30
    assert len(list((built / "certificate" / "views").glob("*_twin.png"))) == len(certificate.looks)


def broken(scene: Scene, name: str) -> Scene:
    """The scene with one thing wrong about the cube."""
    cube = scene.asset("cube")
    T = cube.T_world_asset
    if name == "no overlap":
        cube = replace(cube, T_world_asset=Pose(T.translation - [0, 0, 0.005], T.quat_wxyz))
    elif name == "settles":
        cube = replace(cube, T_world_asset=Pose(T.translation + [0, 0, 0.012], T.quat_wxyz))
    elif name == "inertia is possible":
        cube = replace(cube, inertia=Inertia(center_of_mass=np.array([0, 0, 0.025]), moments=np.diag([1e-5, 1e-5, 9e-5])))
    elif name == "looks like the photos":
        texture = 255 - cube.visual.texture  # type: ignore[operator]
        cube = replace(cube, visual=replace(cube.visual, texture=texture))
    return replace(scene, assets=(cube, *scene.assets[1:]))


@pytest.mark.parametrize("name", ["no overlap", "settles", "inertia is possible", "looks like the photos"])
def test_each_fault_fails_its_own_gate_and_no_other_object(built: Path, name: str) -> None:
    broken(Scene.load(built), name).save(built / "scene")
    failures = certify(built).failures
    assert name in {c.name for c in failures if c.subject == "cube"}
    assert {c.subject for c in failures} <= {"cube", "scene"}
    assert all("cube" == c.subject or c.name == "looks like the photos" for c in failures)


@pytest.mark.parametrize("name", ["no overlap", "settles", "inertia is possible"])
def test_repairs_mend_physics_and_say_so(built: Path, name: str) -> None:
    broken(Scene.load(built), name).save(built / "scene")
    before = identity(read_manifest(built / "scene"))  # type: ignore[arg-type]
    done = repair(built, certify(built).failures, CertificateConfig())
    assert done and all(text.startswith("cube: ") for text in done)
    assert certify(built).passed
    manifest = read_manifest(built / "scene")
    assert manifest is not None and manifest["repairs"] == done and identity(manifest) != before
    untouched = Scene.load(built).asset("can_0").T_world_asset
    assert np.array_equal(untouched.matrix, cube_scene().asset("can_0").T_world_asset.matrix)


def test_nothing_is_repaired_that_is_not_safe(built: Path) -> None:
    broken(Scene.load(built), "looks like the photos").save(built / "scene")
    assert repair(built, certify(built).failures, CertificateConfig()) == []


def test_a_scene_whose_photos_are_gone_is_judged_by_physics_and_says_so(built: Path) -> None:
    shutil.rmtree(built / "capture")
    certificate = certify(built)
    assert certificate.passed and not certificate.looks
    assert not any(c.name == "looks like the photos" for c in certificate.checks)
    assert any("photos are not there any more" in n for n in certificate.notes)


def test_a_scene_without_support_cannot_be_checked(tmp_path: Path) -> None:
    replace(scene_of(), supports=()).save(tmp_path / "scene")
    with pytest.raises(InputError, match="no support surface"):
        certify(tmp_path)


def test_the_command_ends_with_1_when_a_gate_fails(built: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken(Scene.load(built), "settles").save(built / "scene")
    assert main(["check", str(built)]) == 1
    assert "FAILED    cube: settles" in capfd.readouterr().out
    assert main(["check", str(built), "--fix", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["repairs"][0].startswith("cube: stood where it rests")


def test_a_failure_says_what_was_allowed(built: Path) -> None:
    broken(Scene.load(built), "settles").save(built / "scene")
    (failure,) = (c for c in certify(built).failures if c.name == "settles")
    assert failure.why.endswith("from where it was captured in 2 s, at most 4 mm is allowed")
    assert not any("is allowed" in c.why for c in certify(built).checks if c.passed)


def test_a_centre_of_mass_outside_of_the_body_is_impossible(built: Path) -> None:
    """Within its box, but beyond the slope of a wedge."""
    scene = Scene.load(built)
    cube = scene.asset("cube")
    v = cube.visual.vertices.copy()
    top = v[:, 2] > v[:, 2].mean()
    v[top, 0] = v[:, 0].min()
    wedge = replace(cube, visual=replace(cube.visual, vertices=v))
    high = replace(cube.inertia, center_of_mass=v.max(axis=0) - [0.005, 0.025, 0.005])
    assert judged(replace(wedge, inertia=replace(high, center_of_mass=v.mean(axis=0)))) == []
    assert judged(replace(wedge, inertia=high)) == ["inertia is possible"]


def judged(asset: Asset) -> list[str]:
    return [c.name for c in judge_asset(asset, CertificateConfig(), []) if c.name == "inertia is possible" and not c.passed]


def test_the_usd_that_is_judged_is_that_of_the_scene_and_its_hulls_are_mended(built: Path) -> None:
    export_scene(built, ExportConfig(to=("usd",), cameras=2))
    scene = Scene.load(built)
    can = scene.asset("can_0")
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.03)
    ball.vertices[:, 2] = np.maximum(ball.vertices[:, 2], -0.015) + 0.015
    round_hull = TexturedMesh(vertices=ball.convex_hull.vertices, faces=ball.convex_hull.faces)
    assert len(round_hull.faces) > PHYSX_FACES
    replace(scene, assets=tuple(replace(a, hulls=(round_hull,)) if a is can else a for a in scene.assets)).save(built / "scene")
    write_json(built / "scene" / "manifest.json", {"fingerprint": "def", "result": {}})  # built anew, and not exported since
    (failure,) = (c for c in certify(built).failures if c.name == "sound USD")
    assert failure.subject == "can_0" and "PhysX keeps 64" in failure.why
    assert repair(built, [failure], CertificateConfig()) == ["can_0: 1 of 1 hulls cut down to 64 triangles, as PhysX keeps"]
    assert not [c for c in certify(built).failures if c.name == "sound USD"]


def test_hulls_that_do_not_fit_are_refitted_and_described_anew(tmp_path: Path) -> None:
    """A hull that stands on the tip of a flat cone leans before it should."""
    body = corner_body()
    mass = inertia(body, 0.1)
    points = np.concatenate([body.vertices + [0, 0, 0.0019], [[*mass.center_of_mass[:2], 0]]])
    top = trimesh.convex.convex_hull(points)
    asset = replace(
        box_asset("corner"), visual=TexturedMesh(vertices=body.vertices, faces=body.faces), inertia=mass,
        hulls=(TexturedMesh(vertices=top.vertices, faces=top.faces),), notes=("7 hulls overfill the body by 90%", "kept"),
    )  # fmt: skip
    folder = saved(scene_of(asset), tmp_path / "scene")
    wrong = [c for c in certify(folder).failures if c.subject == "corner"]
    assert {"tips as it should", "slides as it should", "survives a drop"} & {c.name for c in wrong}
    done = repair(folder, wrong, CertificateConfig())
    assert any("hulls instead of 1" in text for text in done)
    again = Scene.load(folder).asset("corner")
    assert len(again.hulls) >= 2 and "kept" in again.notes and "7 hulls overfill the body by 90%" not in again.notes
    assert any(n.startswith(f"{len(again.hulls)} hulls overfill the body by") for n in again.notes)


def corner_body() -> trimesh.Trimesh:
    parts = [trimesh.creation.box((0.1, 0.02, 0.03)), trimesh.creation.box((0.02, 0.1, 0.03))]
    for p, at in zip(parts, ([0.05, 0.01, 0.015], [0.01, 0.05, 0.015])):
        p.apply_translation(np.array(at) - [0.03, 0.03, 0])
    return trimesh.boolean.union(parts, engine="manifold")


def test_a_fix_that_cannot_be_made_is_said(built: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken(Scene.load(built), "looks like the photos").save(built / "scene")
    assert main(["check", str(built), "--fix"]) == 1
    assert "nothing that failed can be repaired safely" in capfd.readouterr().out
