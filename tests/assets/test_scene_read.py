"""A scene folder that somebody edited: one line that names the file and the asset, and exit code 2."""

import json
import shutil

import numpy as np
import pytest

from phone2sim.assets.scene import Scene
from phone2sim.cli import main
from phone2sim.errors import InputError
from tests.sim_export.scenes import box_asset, can_asset, scene_of, table_splat


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    from dataclasses import replace

    out = tmp_path_factory.mktemp("built")
    scene_of(replace(box_asset("cube"), splat=table_splat(0.3)), can_asset("mug", xy=(0.2, 0.1))).save(out / "kitchen" / "scene")
    return out / "kitchen"


def edit(file, change):
    def act(scene):
        path = scene / file
        data = json.loads(path.read_text())
        change(data)
        path.write_text(json.dumps(data))

    return act


def set_in(*keys, value):
    def change(data):
        for k in keys[:-1]:
            data = data[k]
        data[keys[-1]] = value

    return change


def drop(key):
    return lambda data: data.pop(key)


def remove(file):
    return lambda scene: (scene / file).unlink()


def write(file, text):
    return lambda scene: (scene / file).write_text(text)


def outside_texture(scene):
    """The mug's GLB with its picture taken out of the file."""
    import struct

    path = scene / "mug" / "visual.glb"
    raw = path.read_bytes()
    n = struct.unpack("<I", raw[12:16])[0]
    head = json.loads(raw[20 : 20 + n])
    head["images"] = [{"uri": "mug_albedo.png"}]
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 4)
    body = raw[20 + n :]
    path.write_bytes(raw[:8] + struct.pack("<II", 20 + len(text) + len(body), len(text)) + b"JSON" + text + body)


@pytest.mark.parametrize(("act", "said"), [
    (edit("mug/asset.json", set_in("mass_kg", value={"value": -0.2, "low": -0.3, "high": 0.1})), "mug weighs -0.3 to 0.1 kg"),
    (outside_texture, "asset.json: mug: visual.glb has the texture mug_albedo.png, which is missing"),
    (remove("mug/visual.glb"), "mug/visual.glb does not exist"),
    (remove("mug/hulls/hull_000.obj"), "hull_000.obj does not exist"),
    (remove("cube/splat.ply"), "cube/splat.ply does not exist"),
    (remove("mug/asset.json"), "lists the asset 'mug', but"),
    (remove("background/splat.ply"), "background/splat.ply does not exist"),
    (remove("cameras.json"), "cameras.json does not exist"),
    (write("mug/asset.json", "{"), "mug/asset.json is not valid JSON"),
    (write("mug/hulls/hull_000.obj", "v 0 0 x\n"), "hull_000.obj, line 1: 'v 0 0 x' is not OBJ"),
    (write("mug/hulls/hull_000.obj", "v 0 0 1\nv 1 0 0\n"), "2 vertices and 0 faces"),
    (edit("mug/asset.json", drop("friction")), "mug: 'friction' is missing"),
    (edit("mug/asset.json", set_in("hulls", value=[])), "needs at least one convex hull"),
    (edit("mug/asset.json", set_in("name", value="my mug")), "'my mug' must be letters"),
    (edit("mug/asset.json", set_in("inertia", value=[1, 2, 3])), "'inertia' must be 3 × 3 finite numbers, got shape"),
    (edit("mug/asset.json", set_in("center_of_mass", value=["a", 0, 0])), "'center_of_mass' is not an array of numbers"),
    (edit("mug/asset.json", set_in("friction", value={"value": 2, "low": 0, "high": 1})), "expected low <= value <= high"),
    (edit("mug/asset.json", set_in("T_world_asset", value=[])), "asset.json: mug:"),
    (edit("scene.json", drop("light")), "scene.json: 'light' is missing"),
    (edit("scene.json", set_in("light", "ambient_sh", value=[[1, 1, 1]])), "'ambient_sh' must be 9 × 3"),
    (edit("scene.json", set_in("supports", 0, "outline", value=[[0, 0]])), "outline of table is not a list of three"),
    (edit("scene.json", set_in("schema", value=99)), "has schema 99, this version reads 1"),
    (edit("scene.json", set_in("assets", value=5)), "scene.json: "),
])  # fmt: skip
def test_an_edited_scene_gives_one_clear_line(built, tmp_path, capfd, act, said):
    shutil.copytree(built, tmp_path / "kitchen")
    act(tmp_path / "kitchen" / "scene")
    with pytest.raises(InputError) as e:
        Scene.load(tmp_path / "kitchen")
    assert said in str(e.value) and "\n" not in str(e.value)
    assert main(["export", str(tmp_path / "kitchen"), "--to", "urdf", "--quiet"]) == 2
    text = capfd.readouterr().err
    assert "Traceback" not in text and text.startswith("error: ")
    assert not (tmp_path / "kitchen" / "export").exists()


def test_an_open_mesh_is_named_with_its_asset_whatever_is_exported(built, tmp_path, capfd):
    shutil.copytree(built, tmp_path / "kitchen")
    scene = Scene.load(tmp_path / "kitchen")
    mesh = scene.asset("mug").visual
    from phone2sim.assets.mesh import TexturedMesh

    pierced = TexturedMesh(vertices=mesh.vertices, faces=mesh.faces[2:], uv=mesh.uv, texture=mesh.texture)
    pierced.save_glb(tmp_path / "kitchen" / "scene" / "mug" / "visual.glb")
    assert main(["export", str(tmp_path / "kitchen"), "--to", "urdf"]) == 0
    said = capfd.readouterr().err
    assert "mug: its visual mesh is open" in said and "cube" not in said


def test_an_untouched_scene_reads_back(built):
    scene = Scene.load(built)
    assert [a.name for a in scene.assets] == ["cube", "mug"] and scene.asset("cube").splat is not None
    assert np.allclose(scene.asset("mug").inertia.moments, can_asset("mug").inertia.moments)
