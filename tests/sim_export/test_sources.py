"""What users bring along: light from their pictures all around, clutter from their mesh folders and other scenes."""

from importlib.util import find_spec

import cv2
import numpy as np
import pytest
import trimesh

from phone2sim.augment import parse_recipe, sample_episode
from phone2sim.augment.environment import directions
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.sim_export.judge import unsettled
from phone2sim.sim_export.pictures import SpecPictures
from phone2sim.sim_export.preview import start_poses
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator
from tests.sim_export.scenes import box_asset, can_asset, cube_scene, scene_of

SCENE = cube_scene(cans=0, boxes=1)
BASE = "objects: {{placement: random}}\nclutter: {{count: 2, sources: [{sources}]}}\ncamera: {{names: [front], width: 96, height: 96}}\n"
LAMP = np.array([0.5, -0.4, 0.77])


def drawn(text, index=0):
    return sample_episode(SCENE, parse_recipe(text), Key(4), index)


def picture(spec):
    bodies = tuple(dict.fromkeys(p.body for p in get_robot(spec.robot.model).render_parts()))
    poses = np.array([[*o.pose.translation, *o.pose.quat_wxyz] for o in spec.objects])
    return SpecPictures(SCENE, spec, bodies).draw(poses, start_poses(spec, bodies), 0)["front"].astype(int)


def around(path, strength):
    """A dim room with one warm lamp in the direction `LAMP`, as an equirectangular picture."""
    d, _ = directions((64, 128))
    lamp = np.exp(-((np.arccos(np.clip(d @ (LAMP / np.linalg.norm(LAMP)), -1, 1)) / 0.15) ** 2))[..., None]
    linear = 0.15 + strength * lamp * [1.0, 0.8, 0.5]
    if path.suffix == ".exr":
        import OpenEXR

        rgb = {"RGB": OpenEXR.Channel("RGB", np.ascontiguousarray(linear, np.float16))}
        OpenEXR.File({"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}, rgb).write(str(path))
    elif path.suffix == ".hdr":
        cv2.imwrite(str(path), linear[..., ::-1].astype(np.float32))
    else:
        cv2.imwrite(str(path), (255 * np.clip(linear, 0, 1) ** (1 / 2.2))[..., ::-1].astype(np.uint8))


@pytest.mark.parametrize(("name", "strength"), [("room.hdr", 30.0), ("room.exr", 30.0), ("room.png", 0.8), ("room.jpg", 0.8)])
def test_a_users_environment_lights_the_scene_and_changes_nothing_else(tmp_path, name, strength):
    if name.endswith(".exr"):
        pytest.importorskip("OpenEXR")
    around(tmp_path / name, strength)
    base = drawn(BASE.format(sources="scene"))
    spec = drawn(BASE.format(sources="scene") + f"lighting: {{environment: {tmp_path / name}}}\n")
    assert spec.model_copy(update={"lights": base.lights, "recipe": base.recipe}) == base
    off = np.degrees(np.arccos(-np.dot(spec.lights.direction, LAMP / np.linalg.norm(LAMP))))
    assert off < 4
    r, g, b = spec.lights.key_rgb
    assert r > g > b and spec.lights.environment == name
    assert (np.abs(picture(spec) - picture(base)) > 4).mean() > 0.05  # objects and shadows; the table keeps its strength


def test_a_picture_that_is_not_all_around_is_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.jpg"), np.zeros((60, 80, 3), np.uint8))
    (tmp_path / "no.exr").write_bytes(b"not a picture")
    wrong = [(tmp_path / "photo.jpg", "twice as wide"), (tmp_path / "gone.hdr", "cannot be read"), (tmp_path / "gone.exr", "cannot be read")]
    if find_spec("OpenEXR"):
        wrong.append((tmp_path / "no.exr", "cannot be read"))
    for path, why in wrong:
        with pytest.raises(InputError, match=why):
            drawn(BASE.format(sources="scene") + f"lighting: {{environment: {path}}}\n")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder of an OBJ (z up) and a GLB (y up), and another scene."""
    folder, other = tmp_path_factory.mktemp("meshes"), tmp_path_factory.mktemp("other")
    wedge = trimesh.convex.convex_hull(np.array([[0, 0, 0], [0.06, 0, 0], [0, 0.05, 0], [0.06, 0.05, 0], [0, 0, 0.03], [0, 0.05, 0.03]]))
    wedge.export(folder / "wedge.obj")
    tall = trimesh.creation.cylinder(0.02, 0.07)
    tall.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))
    tall.export(folder / "tall.glb")
    scene_of(box_asset("tile", size=(0.06, 0.06, 0.02), rgb=(60, 60, 200)), can_asset("tin")).save(other)
    return {"folder": f"folder:{folder}", "scene": f"scene:{other}"}


@pytest.mark.parametrize("kind", ["folder", "scene"])
def test_clutter_from_elsewhere_comes_to_rest_and_changes_nothing_else(sources, kind):
    prefix = {"folder": "file:", "scene": "scene:"}[kind]
    sim, seen = MujocoSimulator(SCENE), set()
    for i in range(6):
        base, spec = drawn(BASE.format(sources="scene"), i), drawn(BASE.format(sources=f'"{sources[kind]}"'), i)
        clutter = [o for o in spec.objects if o.role == "clutter"]
        assert len(clutter) == 2 and all(o.asset.startswith(prefix) for o in clutter)
        seen |= {o.asset for o in clutter}
        same = {"objects", "task", "asset_hashes", "recipe"}
        for name in set(type(spec).model_fields) - same:
            assert getattr(spec, name) == getattr(base, name), name
        assert [o for o in spec.objects if o.role != "clutter"] == [o for o in base.objects if o.role != "clutter"]
        assert spec.task.goals == base.task.goals
        sim.load(spec)
        assert unsettled(spec, sim.object_poses()) == ""
        assert deepest_overlap(sim) < 1e-3
        if i == 0:
            moved = np.abs(picture(spec) - picture(base)).max(axis=-1) > 4
            assert 0.002 < moved.mean() < 0.5
    assert len(seen) == 2  # each was used
    tall = [a for a in seen if a.endswith("tall.glb")]
    for reference in tall:  # y up in the file, upright here
        np.testing.assert_allclose(SCENE.asset(reference).extents_m, [0.04, 0.04, 0.07], atol=1e-3)


def deepest_overlap(sim) -> float:
    """Of two bodies of the settled world [m], the robot's own contacts left out."""
    m, c = sim.model, sim.data.contact
    own = np.array([m.body(int(b)).name.startswith("robot/") for b in range(m.nbody)])
    pairs = m.geom_bodyid[c.geom[: sim.data.ncon]]
    between = ~(own[pairs].all(axis=1)) if len(pairs) else np.zeros(0, bool)
    return float(max(0.0, -c.dist[: sim.data.ncon][between].min(initial=0.0)))
