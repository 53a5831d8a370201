"""Episodes of a dataset as USD: a thousand layers, what was recorded as time samples, and a folder that can be moved."""

import json
import shutil
import time

import numpy as np
import pytest
from pxr import Usd, UsdGeom, UsdPhysics, UsdUtils, UsdValidation

from phone2sim.augment.recipe import load_recipe
from phone2sim.augment.sampler import sample_episode, workspace_of
from phone2sim.cli import main
from phone2sim.errors import InputError
from phone2sim.keys import Key
from phone2sim.poses import Pose
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.generate import scene_fingerprint
from phone2sim.sim_export.robots import get_robot
from phone2sim.sim_export.usd import RobotReference, write_articulation, write_episode_layer, write_usd
from phone2sim.sim_export.usd.dataset import export_episodes, parse_range, robot_path
from phone2sim.sim_export.usd.recorded import write_recorded
from tests.sim_export.scenes import cube_scene

SCENE = cube_scene(cans=2, boxes=1)
RECIPE = load_recipe("default")
SPACE = workspace_of(SCENE, RECIPE)


def spec_of(index):
    return sample_episode(SCENE, RECIPE, Key(11), index, workspace=SPACE)


def recorded(index=0, t=40) -> Episode:
    """An episode whose things fly along random paths."""
    spec, rng = spec_of(index), Key(index).rng()
    robot = get_robot(spec.robot.model)
    bodies = tuple(dict.fromkeys(p.body for p in robot.render_parts()))
    names = (*robot.joints, "gripper")

    def paths(n):
        q = rng.normal(size=(1, n, 4)) + np.cumsum(rng.normal(0, 0.02, (t, n, 4)), axis=0)
        q /= np.linalg.norm(q, axis=-1, keepdims=True)
        return np.concatenate(
            [np.cumsum(rng.normal(0, 0.01, (t, n, 3)), axis=0), q * rng.choice([-1, 1], (t, n, 1))], -1
        )

    return Episode(
        spec=spec, success=True, reason="", state_names=names, states=rng.normal(size=(t, 8)), action_names=names,
        actions=rng.normal(size=(t, 8)), object_poses=paths(len(spec.objects)), robot_bodies=bodies,
        robot_poses=paths(len(bodies)), progress=np.linspace(0, 1, t),
    )  # fmt: skip


def matrix(prim, time) -> np.ndarray:
    return np.array(UsdGeom.Xformable(prim).ComputeLocalToWorldTransform(time)).T


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A scene and a dataset of three episodes, as `generate` leaves them."""
    root = tmp_path_factory.mktemp("made")
    SCENE.save(root / "kitchen" / "scene")
    fingerprint = scene_fingerprint(root / "kitchen")
    picks = root / "picks"
    for i in (0, 2, 5):
        folder = picks / "episodes" / f"{i:06d}"
        folder.mkdir(parents=True)
        recorded(i).write(folder)
    (picks / "specs.jsonl").write_text("")
    (picks / "dataset.json").write_text(json.dumps({"scene": "../kitchen", "scene_fingerprint": fingerprint}))
    (picks / "manifest.json").write_text(json.dumps({"episodes": [f"episodes/{i:06d}" for i in (0, 2, 5)]}))
    return picks


def test_what_was_recorded_plays_back(dataset, tmp_path):
    shutil.copytree(dataset.parent, tmp_path / "made")
    files = export_episodes(tmp_path / "made" / "picks", "1:3")
    assert [f.rsplit("/", 1)[1] for f in files["episodes"]] == ["episode_000001.usda", "episode_000002.usda"]
    stage, episode = Usd.Stage.Open(files["recorded"][0]), recorded(2)
    assert (stage.GetTimeCodesPerSecond(), stage.GetEndTimeCode()) == (episode.spec.fps, len(episode) - 1)
    for t in (0, 17, 39):
        for i, o in enumerate(episode.spec.objects):
            p = episode.object_poses[t, i].astype(float)
            assert np.allclose(
                matrix(stage.GetPrimAtPath(f"/World/Props/{o.name}"), t), Pose(p[:3], p[3:]).matrix, atol=1e-6
            )
        for i, body in enumerate(episode.robot_bodies):
            p = episode.robot_poses[t, i].astype(float)
            got = matrix(stage.GetPrimAtPath(f"/World/Episode/Robot/{body}"), t)
            assert np.allclose(got, Pose(p[:3], p[3:]).matrix, atol=1e-6), body
        robot = stage.GetPrimAtPath("/World/Episode/Robot")
        assert np.array_equal(robot.GetAttribute("phone2sim:states").Get(t), episode.states[t])
        assert np.array_equal(robot.GetAttribute("phone2sim:actions").Get(t), episode.actions[t])
    still = Usd.Stage.Open(files["episodes"][0])
    for s, plays in ((stage, True), (still, False)):
        bodies = [UsdPhysics.RigidBodyAPI(p) for p in s.Traverse() if p.HasAPI(UsdPhysics.RigidBodyAPI)]
        props = [b for b in bodies if "/Props/" in b.GetPath().pathString]
        links = [b for b in bodies if "/Robot/" in b.GetPath().pathString]
        assert len(props) == len(episode.spec.objects) and len(links) == len(episode.robot_bodies)
        assert all(b.GetKinematicEnabledAttr().Get() is plays for b in props)
        assert all(b.GetRigidBodyEnabledAttr().Get() is not plays for b in links)


def test_between_two_frames_a_thing_turns_the_short_way(tmp_path):
    q = np.array([0.5, 0.5, -0.1, 0.7]) / np.linalg.norm([0.5, 0.5, -0.1, 0.7])
    e = recorded(0, t=2)
    poses = np.zeros_like(e.object_poses)
    poses[..., 3:] = q
    poses[1, :, 3:] *= -1
    flipped = Episode(**{f: getattr(e, f) for f in e.__dataclass_fields__} | {"object_poses": poses})
    write_usd(SCENE, tmp_path / "scene")
    write_episode_layer(e.spec, SCENE, tmp_path / "e.usda")
    stage = Usd.Stage.Open(str(write_recorded(flipped, tmp_path / "r.usdc", over="./e.usda", own_robot=False)))
    prim = stage.GetPrimAtPath(f"/World/Props/{e.spec.objects[0].name}")
    assert np.allclose(matrix(prim, 0.5), matrix(prim, 0), atol=1e-6)


def test_everything_is_inside_and_the_folder_can_be_moved(dataset, tmp_path):
    shutil.copytree(dataset.parent, tmp_path / "made")
    export_episodes(tmp_path / "made" / "picks")
    moved = shutil.move(tmp_path / "made" / "picks" / "usd", tmp_path / "elsewhere")
    for f in ("episode_000002.usda", "episode_000002_recorded.usdc"):
        layers, assets, unresolved = UsdUtils.ComputeAllDependencies(f"{moved}/{f}")
        assert not unresolved
        paths = [layer.realPath for layer in layers] + [str(a) for a in assets]
        assert len(paths) >= 8 and all(p.startswith(str(moved)) for p in paths)


@pytest.mark.slow
def test_a_thousand_layers_compose_and_validate(tmp_path):
    """Sampled without simulation, each through every one of USD's own validators."""
    write_usd(SCENE, tmp_path / "scene")
    write_articulation(get_robot("p2s_arm"), tmp_path / "robot" / "p2s_arm.usd")
    reference = RobotReference(path="./robot/p2s_arm.usd", own=True)
    validators = UsdValidation.ValidationContext(list(UsdValidation.ValidationRegistry().GetOrLoadAllValidators()))
    spent, largest = 0.0, 0
    for i in range(1000):
        spec = spec_of(i)
        start = time.process_time()
        path = write_episode_layer(spec, SCENE, tmp_path / f"episode_{i:06d}.usda", robot=reference)
        spent += time.process_time() - start
        largest = max(largest, path.stat().st_size)
        stage = Usd.Stage.Open(str(path))
        assert not stage.GetCompositionErrors()
        props = Usd.PrimRange(stage.GetPrimAtPath("/World/Props"))
        assert {p.GetName() for p in props if p.HasAPI(UsdPhysics.RigidBodyAPI)} == {o.name for o in spec.objects}
        assert [f"{e.GetName()}: {e.GetMessage()}" for e in validators.Validate(stage)] == []
    assert spent / 1000 < 0.02 and largest < 20_000


@pytest.mark.parametrize(
    ("text", "places"), [("0:2", [0, 1]), (":", [0, 1, 2]), ("1:", [1, 2]), ("2", [2]), (":1", [0])]
)
def test_a_range_of_episodes(text, places):
    assert list(parse_range(text, 3)) == places


@pytest.mark.parametrize(("text", "said"), [
    ("x", "'x' is not a range"), ("", "'' is not a range"), ("0:4", "has episodes 0 to 2"), ("2:1", "has episodes 0 to 2"),
    ("-1:2", "has episodes 0 to 2"),
])  # fmt: skip
def test_a_wrong_range_is_said(text, said):
    with pytest.raises(InputError, match=said):
        parse_range(text, 3)


def test_a_robot_is_named_relative_to_the_folder_or_by_its_address(tmp_path):
    (tmp_path / "franka.usd").write_text("")
    assert robot_path(str(tmp_path / "franka.usd"), tmp_path / "usd") == "../franka.usd"
    assert robot_path("omniverse://host/franka.usd", tmp_path) == "omniverse://host/franka.usd"
    with pytest.raises(InputError, match="does not exist"):
        robot_path(str(tmp_path / "no.usd"), tmp_path)
    with pytest.raises(InputError, match="a robot is a .usd"):
        robot_path(str(tmp_path / "franka.step"), tmp_path)


def test_a_users_urdf_is_named_and_not_composed(dataset, tmp_path):
    shutil.copytree(dataset.parent, tmp_path / "made")
    (tmp_path / "arm.urdf").write_text("<robot/>")
    files = export_episodes(tmp_path / "made" / "picks", "0", robot=str(tmp_path / "arm.urdf"))
    stage = Usd.Stage.Open(files["episodes"][0])
    robot = stage.GetPrimAtPath("/World/Episode/Robot")
    assert robot.GetAttribute("phone2sim:description").Get().path == "../../../arm.urdf"
    assert not robot.GetChildren()


def test_the_command(dataset, tmp_path, capfd):
    shutil.copytree(dataset.parent, tmp_path / "made")
    picks = str(tmp_path / "made" / "picks")
    assert main(["export", picks, "--episodes", "0:2", "--to", "usd", "--json"]) == 0
    made = json.loads(capfd.readouterr().out)
    assert len(made["episodes"]) == 2 and Usd.Stage.Open(made["recorded"][1]).GetDefaultPrim().GetName() == "World"
    assert main(["export", picks, "--to", "mjcf"]) == 2
    assert "USD only" in capfd.readouterr().err
    (tmp_path / "made" / "kitchen" / "scene" / "cube" / "asset.json").write_text("{}")
    assert main(["export", picks, "--episodes", "0"]) == 2
    assert "has changed since" in capfd.readouterr().err
