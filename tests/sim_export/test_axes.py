"""Fields of a spec reach the simulator or the pictures, and only one of the two."""

import numpy as np
import pytest

from phone2sim.augment import parse_recipe, sample_episode
from phone2sim.augment.spec import SurfaceSpec, TextureSpec
from phone2sim.keys import Key
from phone2sim.sim_export.pictures import SpecPictures
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.simulators.mujoco import MujocoSimulator
from tests.sim_export.scenes import cube_scene

SCENE = cube_scene(cans=1, boxes=1)
RECIPE = "objects: {placement: random}\nclutter: {count: 2}\ncamera: {names: [front], width: 96, height: 96}\n"
SPEC = sample_episode(SCENE, parse_recipe(RECIPE), Key(4), 0)
PAINT = TextureSpec(kind="checker", rgb=(0.1, 0.2, 0.7), rgb_2=(0.8, 0.7, 0.2))


def objects(**update):
    return {"objects": tuple(o.model_copy(update=update) for o in SPEC.objects)}


def part(name, **update):
    return {name: getattr(SPEC, name).model_copy(update=update)}


def camera(**update):
    return {"cameras": tuple(c.model_copy(update=update) for c in SPEC.cameras)}


LOOKS = {
    "texture": objects(texture=PAINT), "albedo": objects(rgb_gain=(1.3, 0.8, 0.8)),
    "table": {"surfaces": SurfaceSpec(table=PAINT)}, "wall": {"surfaces": SurfaceSpec(wall_rgb_gain=(0.7, 1, 1.2))},
    "light": part("lights", key_rgb=(0.1, 0.1, 0.2)), "relight": part("lights", relight_rgb=(0.7, 0.8, 1.0)),
    "exposure": part("sensor", exposure=1.3), "white balance": part("sensor", white_balance_rgb=(1.2, 1, 0.9)),
    "noise": part("sensor", noise_std=0.02), "blur": part("sensor", blur_px=1.0), "jpeg": part("sensor", jpeg_quality=20),
    "shutter": part("sensor", shutter_s=0.05), "readout": part("sensor", readout_s=0.05), "lens": camera(distortion=(-0.1, 0, 0, 0)),
}  # fmt: skip
PHYSICS = {
    "mass": objects(mass_kg=1.5), "friction": objects(friction=0.05), "restitution": objects(restitution=0.7),
    "gain": part("robot", gain=0.6), "damping": part("robot", damping=1.8), "latency": part("robot", latency_s=0.03),
}  # fmt: skip


def run(spec, steps=6):
    """States after the arm swings down and sideways, the objects nudged; and two consecutive sets of poses."""
    sim = MujocoSimulator(SCENE)
    sim.load(spec)
    bodies = tuple(dict.fromkeys(p.body for p in get_robot(spec.robot.model).render_parts()))
    sim.data.qvel[sim._freev + 0] = 0.4
    sim.data.qvel[sim._freev + 2] = 0.6
    sim.data.xfrc_applied[[sim.model.body(o.name).id for o in spec.objects], 1] = 0.3
    poses = [(sim.object_poses(), sim.robot_poses(bodies))]
    for i in range(steps):
        sim.step(np.array(spec.robot.qpos) + 0.08 * (i + 1), 0.2)
        poses.append((sim.object_poses(), sim.robot_poses(bodies)))
    return np.concatenate([sim.object_poses().ravel(), sim.joints()]), poses, bodies


STATE, POSES, BODIES = run(SPEC)


def picture(spec):
    draw = SpecPictures(SCENE, spec, BODIES).draw
    return draw(*POSES[-1], 5, before=POSES[-2])["front"].astype(int)


PICTURE = picture(SPEC)


@pytest.mark.parametrize("name", LOOKS)
def test_looks_change_pixels_and_not_the_world(name):
    spec = SPEC.model_copy(update=LOOKS[name])
    assert (np.abs(picture(spec) - PICTURE) > 2).mean() > 0.002, name
    np.testing.assert_array_equal(run(spec)[0], STATE)


@pytest.mark.parametrize("name", PHYSICS)
def test_physics_changes_the_world_and_no_pixel_of_equal_poses(name):
    spec = SPEC.model_copy(update=PHYSICS[name])
    assert np.abs(run(spec)[0] - STATE).max() > 1e-5, name
    np.testing.assert_array_equal(picture(spec), PICTURE)


def test_gloss_shows_where_the_eye_meets_the_lamps_mirror_image():
    eye = np.array(SPEC.cameras[0].pose.translation) - SPEC.objects[0].pose.translation
    eye /= np.linalg.norm(eye)
    lit = SPEC.model_copy(update=part("lights", direction=(float(eye[0]), float(eye[1]), -float(eye[2]))))
    shiny = lit.model_copy(update={"objects": tuple(o.model_copy(update={"gloss": 0.8}) for o in lit.objects)})
    assert (picture(shiny) - picture(lit) > 20).any(-1).sum() > 5


def test_a_bouncy_object_bounces():
    def highest(restitution):
        sim = MujocoSimulator(SCENE)
        spec = SPEC.model_copy(update=objects(restitution=restitution))
        sim.load(spec)
        sim.data.qpos[sim._free[0] + 2] += 0.15
        heights = []
        for _ in range(24):
            sim.step(np.array(spec.robot.qpos), 1.0)
            heights.append(sim.object_poses()[0, 2])
        first = next(i for i, h in enumerate(heights) if h < heights[-1] + 0.01)
        return max(heights[first:]) - heights[-1]

    dead, lively = highest(None), highest(0.7)
    assert lively > dead + 0.015


def test_a_larger_object_is_larger_and_as_dense():
    small, large = SCENE.asset("cube"), SCENE.asset("cube@1.1")
    np.testing.assert_allclose(large.extents_m, 1.1 * small.extents_m, rtol=1e-6)
    assert large.mass_kg.value / large.volume_m3 == pytest.approx(small.mass_kg.value / small.volume_m3)
    sim = MujocoSimulator(SCENE)
    target = SPEC.objects[0].model_copy(update={"asset": "cube@1.1"})
    sim.load(SPEC.model_copy(update={"objects": (target, *SPEC.objects[1:])}))
    assert sim.object_poses()[0, 2] == pytest.approx(SPEC.objects[0].pose.translation[2] - 0.001, abs=2e-3)


def test_rolling_shutter_changes_what_moves_only():
    spec = SPEC.model_copy(update=part("sensor", readout_s=0.05))
    draw = SpecPictures(SCENE, spec, BODIES).draw
    still = np.abs(draw(*POSES[-1], 5, before=POSES[-1])["front"].astype(int) - PICTURE)
    assert still.max() <= 1 and still.mean() < 0.02  # rounding
    moved = np.abs(draw(*POSES[-1], 5, before=POSES[-2])["front"].astype(int) - PICTURE)
    assert (moved > 10).sum() > 50
