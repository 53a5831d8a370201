"""`phone2sim demo` from nothing, against the truth of the clip it renders. What the README promises, as assertions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from phone2sim.assets.scene import Scene
from phone2sim.poses import Pose
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.mesh.surface import SurfaceMesh
from tests.e2e.looks import ambient_error, uncovered
from tests.e2e.settle import drop
from tests.e2e.surface import Aligned, novel_views, surface_error
from tests.e2e.truth import evaluate

pytestmark = pytest.mark.slow


def phone2sim(*args: str) -> dict:
    """Run the command line with `--json`; its result. A failure shows what it printed."""
    p = subprocess.run([sys.executable, "-m", "phone2sim", *args, "--json"], capture_output=True, text=True)
    assert p.returncode == 0, p.stderr[-3000:]
    return json.loads(p.stdout)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A finished demo; `PHONE2SIM_DEMO=folder` reuses one while developing."""
    given = os.environ.get("PHONE2SIM_DEMO")
    out = Path(given) if given else tmp_path_factory.mktemp("demo") / "demo"
    return out, phone2sim("demo", str(out))


@pytest.fixture(scope="module")
def figures(demo: tuple[Path, dict]) -> dict:
    out, _ = demo
    f = evaluate(out / "scene", out / "sample" / "clip.truth.json")
    print(json.dumps(f, indent=1))
    return f


def test_every_frame_is_registered_and_placed(demo: tuple[Path, dict], figures: dict) -> None:
    cameras = demo[1]["build"]["cameras"]
    assert cameras["registered"] == cameras["total"] >= 60
    assert cameras["reprojection_px"] < 1.5
    assert figures["camera_error_percent"] <= 0.5


def test_the_scale_sheet_gives_metres(demo: tuple[Path, dict], figures: dict) -> None:
    metric = demo[1]["build"]["metric"]
    assert "sheet" in metric["scale_source"]
    assert abs(figures["scale_error_percent"]) <= 1.0
    low, high = metric["scale_interval"]
    assert low < high
    assert abs(figures["support_height_error_m"]) < 0.004


def test_every_object_is_found_and_none_invented(figures: dict) -> None:
    assert len(figures["objects"]) >= 6
    assert figures["missed"] == []
    assert figures["invented"] == []


def test_objects_have_their_true_place_size_outline_and_mass(figures: dict) -> None:
    for o in figures["objects"]:
        assert o["centroid_error_m"] <= 0.010, o
        assert o["extents_ok"], o
        assert o["mask_iou"] >= 0.8, o
        assert o["mass_inside"], o
        assert o["watertight"], o


def test_heldout_views(demo: tuple[Path, dict]) -> None:
    assert demo[1]["build"]["splat"]["psnr"] >= 26.0


def test_the_mesh_lies_on_the_true_surface(demo: tuple[Path, dict]) -> None:
    out, truth = demo[0], demo[0] / "sample" / "clip.truth.json"
    aligned = Aligned.of(Cameras.load(out / "scene" / "cameras" / "transforms.json"), truth)
    mesh = SurfaceMesh.load_ply(out / "scene" / "mesh" / "mesh.ply")
    error = surface_error(aligned(mesh.vertices), mesh.faces, room=True, lowest_m=-0.1)
    print("mesh", np.percentile(1e3 * error, [50, 90]), "mm")
    assert np.median(error) <= 0.003 and np.percentile(error, 90) <= 0.008
    errors = []
    for a in Scene.load(out / "scene").assets:
        v = aligned(a.T_world_asset.apply(a.visual.vertices.astype(float)))
        errors.append(surface_error(v, a.visual.faces, room=False, lowest_m=0.004, n=10_000))
        print(a.name, np.percentile(1e3 * errors[-1], [50, 90]), "mm")
        assert np.median(errors[-1]) <= 0.003, a.name
    # Over all objects: the mug alone is worse (12 mm), because its thin wall comes out as a filled body.
    assert np.percentile(np.concatenate(errors), 90) <= 0.008


def test_supported_views_look_better_and_the_expectation_is_honest(demo: tuple[Path, dict]) -> None:
    support, expected, true = novel_views(demo[0] / "scene", demo[0] / "sample" / "clip.truth.json").T
    valid = support >= 0.5
    print("valid", valid.mean(), np.median(true[valid]), "dB, else", np.median(true[~valid]), "dB, r", np.corrcoef(expected, true)[0, 1])
    assert 0.1 < valid.mean() < 0.9
    assert np.median(true[valid]) > np.median(true[~valid]) + 3
    assert np.corrcoef(expected, true)[0, 1] > 0.6


def test_objects_rest_where_they_were_captured(demo: tuple[Path, dict]) -> None:
    for asset in Scene.load(demo[0] / "scene").assets:
        moved, speed = drop(asset)
        assert moved < 0.005, (asset.name, moved)
        assert speed < 0.01, (asset.name, speed)


def test_the_captured_light_is_the_lamp(demo: tuple[Path, dict]) -> None:
    out, truth = demo[0], demo[0] / "sample" / "clip.truth.json"
    aligned = Aligned.of(Cameras.load(out / "scene" / "cameras" / "transforms.json"), truth)
    lamp = json.loads(truth.read_text())["light"]
    light = Scene.load(out / "scene").light
    off = np.degrees(np.arccos(np.clip(aligned.R @ light.direction @ np.array(lamp["direction"]), -1, 1)))
    key = np.array(lamp["key_rgb"]) * -lamp["direction"][2]
    sh = np.array(lamp["ambient_sh"])
    share = key / (key + 0.282095 * sh[0] + 0.488603 * sh[2])
    got = light.key_rgb * -light.direction[2]
    print("light", off, "deg; key's share", share, got)
    assert off < 8
    assert np.abs(got - share).max() < 0.15


def test_what_objects_covered_is_filled_in(demo: tuple[Path, dict]) -> None:
    """Most of it some picture shows. What none does is an invention: on a table of random chips no invention comes near, and
    even its mean colour gives only 21.7 dB overall."""
    found = uncovered(demo[0] / "scene", demo[0] / "sample" / "clip.truth.json")
    print("uncovered", found["psnr"], found["all"], "dB")
    assert found["all"] > 19.5 and min(found["psnr"].values()) > 18


def test_the_ambient_light_is_nearer_to_the_truth_than_a_usual_room(demo: tuple[Path, dict]) -> None:
    own, usual = ambient_error(demo[0] / "scene", demo[0] / "sample" / "clip.truth.json")
    print("ambient", own, "default", usual)
    assert own < 0.6 * usual


def test_the_twin_passes_its_certificate(demo: tuple[Path, dict]) -> None:
    p = subprocess.run([sys.executable, "-m", "phone2sim", "check", str(demo[0] / "scene"), "--json"], capture_output=True, text=True)
    data = json.loads(p.stdout)
    assert not [(c["subject"], c["name"], c["why"]) for c in data["checks"] if not c["passed"]]
    assert p.returncode == 0 and data["passed"] and len(data["checks"]) > 40
    looks = {n: [x["objects"][n] for x in data["looks"] if n in x["objects"]] for n in data["looks"][0]["objects"]}
    assert all(np.mean(v) > 20 for v in looks.values()), looks


def test_exported_files_load_and_agree_with_the_scene(demo: tuple[Path, dict]) -> None:
    import mujoco
    from pxr import Usd, UsdGeom, UsdPhysics

    out, result = demo
    scene = Scene.load(out / "scene")
    model = mujoco.MjModel.from_xml_path(result["files"]["mjcf"])
    stage = Usd.Stage.Open(result["files"]["usd"])
    assert UsdGeom.GetStageUpAxis(stage) == UsdGeom.Tokens.z and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    bodies = {p.GetName(): p for p in stage.Traverse() if p.HasAPI(UsdPhysics.RigidBodyAPI)}
    assert set(bodies) == {a.name for a in scene.assets}
    for a in scene.assets:
        assert model.body(a.name).mass[0] == pytest.approx(a.mass_kg.value, rel=1e-4)
        prim = bodies[a.name]
        assert UsdPhysics.MassAPI(prim).GetMassAttr().Get() == pytest.approx(a.mass_kg.value, rel=1e-4)
        T = np.array(UsdGeom.XformCache().GetLocalToWorldTransform(prim)).T
        np.testing.assert_allclose(T, a.T_world_asset.matrix, atol=1e-5)


def test_json_of_build_has_what_it_promises(demo: tuple[Path, dict]) -> None:
    build = demo[1]["build"]
    assert set(build) >= {"scene", "cameras", "metric", "splat", "assets"}
    assert set(build["splat"]) >= {"psnr", "ssim", "gaussians", "seconds"}
    root = Path(build["scene"])
    for a in build["assets"]:
        assert set(a) >= {"name", "mass_kg", "volume_m3", "extents_m", "T_world_asset", "visual", "hulls"}
        assert a["mass_kg"]["low"] <= a["mass_kg"]["value"] <= a["mass_kg"]["high"]
        assert (root / a["visual"]).exists() and all((root / h).exists() for h in a["hulls"])
        Pose.from_json(a["T_world_asset"])
    frames = json.loads((root / "cameras" / "transforms.json").read_text())["frames"]
    assert all(f["source"].startswith("clip.mp4@") for f in frames)


def test_most_picks_succeed_and_the_yield_is_told(demo: tuple[Path, dict]) -> None:
    g = demo[1]["generate"]
    assert g["episodes"] == 8
    assert g["yield"] >= 0.6, g


def test_report_is_one_file(demo: tuple[Path, dict]) -> None:
    html = Path(demo[1]["files"]["report"]).read_text()
    assert len(html) > 100_000 and "data:image" in html
    assert 'src="http' not in html and 'href="http' not in html and "url(http" not in html


def test_the_second_run_skips_what_is_finished(demo: tuple[Path, dict]) -> None:
    """In processor seconds, which a busy machine does not stretch."""
    before = os.times()
    again = phone2sim("demo", str(demo[0]))
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 10
    assert again["generate"]["digest"] == demo[1]["generate"]["digest"]


def test_episodes_do_not_depend_on_the_workers(demo: tuple[Path, dict], tmp_path: Path) -> None:
    scene = str(demo[0] / "scene")
    results = [
        phone2sim("generate", scene, "-o", str(tmp_path / w), "--episodes", "2", "--seed", "5", "--workers", w)
        for w in ("0", "2")
    ]
    assert results[0]["digest"] == results[1]["digest"]
    videos = [sorted((tmp_path / w / "episodes").rglob("*.mp4")) for w in ("0", "2")]
    assert len(videos[0]) == 4
    for a, b in zip(*videos, strict=True):
        assert a.read_bytes() == b.read_bytes(), a


def test_replay_gives_the_same_bytes(demo: tuple[Path, dict]) -> None:
    assert phone2sim("replay", str(demo[0] / "picks"), "0")["identical"] is True
