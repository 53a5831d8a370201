"""The export stage: every format is written, opens, agrees with the scene, and is skipped when nothing changed."""

from dataclasses import replace
from xml.etree import ElementTree as ET

import mujoco
import numpy as np
import pytest
import trimesh
from pxr import Usd

from phone2sim.cli import main
from phone2sim.errors import InputError
from phone2sim.sim_export.pipeline import ExportConfig, beside_earlier, export_scene
from phone2sim.sim_export.urdf import write_urdf
from phone2sim.stage import read_manifest
from tests.sim_export.scenes import box_asset, cube_scene, scene_of


@pytest.fixture(scope="module")
def scene_dir(tmp_path_factory):
    out = tmp_path_factory.mktemp("kitchen")
    cube_scene().save(out / "scene")
    return out


def test_one_more_format_takes_none_away(tmp_path):
    cube_scene().save(tmp_path / "scene")
    (tmp_path / "r.yaml").write_text("extends: none\n")
    for args in (["--to", "urdf"], ["--to", "glb"], ["--to", "isaaclab", "--recipe", str(tmp_path / "r.yaml")], ["--to", "mjcf"]):
        assert main(["export", str(tmp_path), "--quiet", *args]) == 0
    export = tmp_path / "export"
    assert (export / "urdf").is_dir() and (export / "scene.glb").exists() and (export / "scene.xml").exists()
    config = read_manifest(export)["config"]
    assert config["to"] == ["mjcf", "urdf", "glb", "isaaclab"] and config["recipe"] == str(tmp_path / "r.yaml")
    assert beside_earlier(tmp_path, ExportConfig()).to == ("usd", "mjcf", "urdf", "glb", "isaaclab")


def test_every_format_opens(scene_dir):
    result = export_scene(scene_dir)
    export = scene_dir / "export"
    assert result.folder == export and not result.skipped
    files = result.manifest["result"]
    assert files["usd"] == "scene.usda" and files["mjcf"] == "scene.xml" and files["glb"] == "scene.glb"
    assert files["urdf"] == [f"urdf/{a.name}.urdf" for a in cube_scene().assets]
    assert Usd.Stage.Open(str(export / "scene.usda")).GetPrimAtPath("/World/Props/cube/Geometry/mesh")
    assert Usd.Stage.Open(str(export / "scene.usdz")).GetPrimAtPath("/World/Props/cube/Geometry/mesh")
    assert mujoco.MjModel.from_xml_path(str(export / "scene.xml")).body("cube").mass[0] > 0
    glb = trimesh.load(export / "scene.glb")
    for a in cube_scene().assets:
        T, geometry = glb.graph[a.name]
        p = T @ np.r_[a.inertia.center_of_mass, 1]
        want = a.T_world_asset.apply(a.inertia.center_of_mass[None])[0]
        assert np.allclose(p[:3], [want[0], want[2], -want[1]], atol=1e-6), "glTF is y up"
        assert glb.geometry[geometry].visual.uv is not None


def test_skipped_when_nothing_changed(scene_dir):
    first = export_scene(scene_dir, ExportConfig(to=("urdf",)))
    assert export_scene(scene_dir, ExportConfig(to=("urdf",))).skipped
    assert not export_scene(scene_dir, ExportConfig(to=("urdf",)), force=True).skipped
    cube_scene(cans=2).save(scene_dir / "scene")
    again = export_scene(scene_dir, ExportConfig(to=("urdf",)))
    assert not again.skipped and len(again.manifest["result"]["urdf"]) == len(first.manifest["result"]["urdf"]) + 1


def test_background_only_scene_exports(tmp_path):
    replace(scene_of(), supports=()).save(tmp_path / "scene")
    files = export_scene(tmp_path, ExportConfig(to=("usd", "urdf", "glb"))).manifest["result"]
    assert files["urdf"] == [] and "glb" not in files
    assert Usd.Stage.Open(str(tmp_path / "export" / files["usd"])).GetPrimAtPath("/World/Background/splat/gaussians")


def test_no_scene(tmp_path):
    with pytest.raises(InputError, match="has no scene to export.*phone2sim build"):
        export_scene(tmp_path)


def test_urdf_reads_back(tmp_path):
    asset = box_asset("cube", size=(0.05, 0.06, 0.07))
    path = write_urdf(asset, tmp_path)
    link = ET.parse(path).getroot().find("link")
    assert float(link.find("inertial/mass").get("value")) == pytest.approx(asset.mass_kg.value)
    i = link.find("inertial/inertia")
    assert [float(i.get(k)) for k in ("ixx", "iyy", "izz")] == pytest.approx(np.diag(asset.inertia.moments))
    for mesh in link.iter("mesh"):
        m = trimesh.load(tmp_path / mesh.get("filename"), force="mesh")
        assert np.allclose(m.extents, asset.extents_m, atol=1e-6)
