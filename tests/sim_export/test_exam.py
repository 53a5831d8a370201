"""Closed loops: the Gymnasium environment, policies behind openpi's protocol, and the exam over them."""

import json
import threading
from xml.etree import ElementTree

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from phone2sim.augment.recipe import load_recipe, parse_recipe
from phone2sim.augment.sampler import sample_episode
from phone2sim.cli import main
from phone2sim.errors import InputError, ShapeError
from phone2sim.keys import Key
from phone2sim.sim_export.exam import EXAM_AXES, ExamConfig
from phone2sim.sim_export.exam.curves import Line, curves_svg
from phone2sim.sim_export.exam.grid import nominal, patched
from phone2sim.sim_export.exam.run import curve, examine, wilson
from phone2sim.sim_export.gym_env import SceneEnv
from phone2sim.sim_export.policies import load_policy, run_episode, wire
from phone2sim.sim_export.policies.server import LAYOUTS, serve_policy
from phone2sim.sim_export.world import World
from tests.sim_export.scenes import cube_scene

RECIPE = """
extends: default
camera: {names: [front], width: 64, height: 64}
clutter: {count: 0}
task: {duration_s: 6, fps: 10, target: cube}
"""


@pytest.fixture(scope="module")
def scene():
    return cube_scene()


@pytest.fixture(scope="module")
def recipe():
    return parse_recipe(RECIPE)


def spec_of(scene, recipe, index=0):
    return sample_episode(scene, nominal(recipe), Key(5), index)


@pytest.fixture()
def served():
    """`served(act)` → address of a server that answers with it."""
    running = []

    def start(act, **options):
        server = serve_policy(act, port=0, **options)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        running.append((server, thread))
        return f"127.0.0.1:{server.socket.getsockname()[1]}"

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join(5)


@pytest.mark.parametrize("control", ["joints", "ee_delta"])
def test_gymnasium_accepts_the_environment(scene, recipe, control):
    env = gymnasium.make(
        "phone2sim.sim_export.gym_env:phone2sim/Scene-v0",
        scene=scene,
        recipe=recipe,
        control=control,
        render_mode="rgb_array",
    )
    check_env(env.unwrapped)
    observation, info = env.reset(seed=1)
    assert observation["images"]["front"].shape == (64, 64, 3) and observation["state"].shape == (8,)
    assert observation["prompt"] and not info["success"]
    assert env.render().shape == (64, 64, 3)


def test_the_environment_repeats_itself_and_ends_in_time(scene, recipe):
    env = SceneEnv(scene, recipe)
    a, _ = env.reset(seed=3)
    first = [env.step(np.array([0.01, 0, -0.01, 0, 0, 0, 1]))[0] for _ in range(5)]
    b, _ = env.reset(seed=3)
    again = [env.step(np.array([0.01, 0, -0.01, 0, 0, 0, 1]))[0] for _ in range(5)]
    for x, y in zip([a, *first], [b, *again]):
        assert np.array_equal(x["images"]["front"], y["images"]["front"]) and np.array_equal(x["state"], y["state"])
    ends = [env.step(np.zeros(7))[3] for _ in range(55)]
    assert not any(ends[:-1]) and ends[-1]
    with pytest.raises(ShapeError, match="expected \\(7,\\) finite numbers, got \\(6,\\)"):
        env.step(np.zeros(6))


def test_moves_of_the_hand_arrive(scene, recipe):
    world = World(scene, control="ee_delta", pictures=False)
    world.reset(spec_of(scene, recipe))
    p0, R0 = world.pinch()
    for _ in range(10):
        world.step(np.array([0.004, -0.006, -0.003, 0, 0, 0.02, 1]))
    for _ in range(10):
        world.step(np.r_[np.zeros(6), 1])
    p, R = world.pinch()
    np.testing.assert_allclose(p - p0, [0.04, -0.06, -0.03], atol=0.004)
    turn = np.arccos((np.trace(R @ R0.T) - 1) / 2)
    assert abs(turn - 0.2) < 0.02


def test_a_saved_state_has_one_future(scene, recipe):
    world = World(scene, control="ee_delta", pictures=False)
    world.reset(spec_of(scene, recipe))
    for _ in range(8):
        world.step(np.array([0.01, 0.005, -0.02, 0, 0, 0, 1]))
    saved = world.state()
    futures = []
    for _ in range(2):
        world.set_state(saved)
        for _ in range(12):
            world.step(np.array([0.01, 0, -0.02, 0, 0, 0.05, 0]))
        futures.append((world.simulator.state().tobytes(), world.progress, world.step_index))
    assert futures[0] == futures[1]


@pytest.mark.parametrize("control", ["joints", "ee_delta"])
def test_the_expert_passes_and_random_does_not(scene, recipe, control):
    world = World(scene, control=control, pictures=False)
    scripted, random = load_policy("scripted"), load_policy("random")
    specs = [spec_of(scene, recipe, i) for i in range(3)]
    assert sum(run_episode(world, scripted, s).success for s in specs) >= 2
    outcomes = [run_episode(world, random, s) for s in specs]
    assert not any(o.success for o in outcomes) and all(o.steps == 60 and o.reason for o in outcomes)
    assert outcomes == [run_episode(world, random, s) for s in specs]


@pytest.mark.parametrize(
    "data",
    [
        {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": "text", "n": 3},
        {"image": np.zeros((4, 5, 3), np.uint8), "nested": {"x": [np.float64(2.5), np.int32(7)]}},
        {"empty": np.zeros((0, 7))},
    ],
)
def test_the_wire_gives_back_what_was_sent(data):
    def same(a, b):
        if isinstance(a, dict):
            return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        return np.array_equal(a, b) and getattr(a, "dtype", None) == getattr(b, "dtype", None)

    assert same(data, wire.unpack(wire.pack(data)))


def test_the_wire_is_openpis(served):
    """Both ways with the client package that openpi publishes."""
    theirs = pytest.importorskip("openpi_client.msgpack_numpy")
    client = pytest.importorskip("openpi_client.websocket_client_policy")
    data = {"actions": np.arange(14.0).reshape(2, 7), "n": np.float32(1.5), "s": "x"}
    assert theirs.packb(data) == wire.pack(data)
    np.testing.assert_array_equal(wire.unpack(theirs.packb(data))["actions"], data["actions"])
    host, port = served(lambda o: {"actions": o["observation/state"][None] * 2}, metadata={"model": "doubling"}).split(
        ":"
    )
    policy = client.WebsocketClientPolicy(host, int(port))
    assert policy.get_server_metadata() == {"model": "doubling"}
    np.testing.assert_array_equal(policy.infer({"observation/state": np.ones(7)})["actions"], np.full((1, 7), 2.0))


def test_a_server_sees_the_layout_and_its_chunk_is_carried_out(scene, recipe, served):
    seen = []

    def act(o):
        seen.append(o)
        return {
            "actions": np.tile(np.r_[o["observation/state"][:-1], 1.0], (16, 1)),
            "server_timing": {"infer_ms": 1.0},
        }

    policy = load_policy(served(act, metadata={"model": "still"}))
    assert policy.metadata == {"model": "still"}
    outcome = run_episode(World(scene), policy, spec_of(scene, recipe), execute=10)
    assert outcome.steps == 60 and len(seen) == 6 and not outcome.success
    assert seen[0].keys() == {"observation/image", "observation/wrist_image", "observation/state", "prompt"}
    assert seen[0]["observation/image"].shape == (64, 64, 3) and seen[0]["observation/image"].dtype == np.uint8
    assert seen[0]["observation/image"].std() > 5 and not seen[0]["observation/wrist_image"].any()
    policy.close()


def test_layouts_name_what_openpi_names():
    o = {"images": {"wrist": np.ones((2, 2, 3), np.uint8), "front": np.zeros((2, 2, 3), np.uint8)},
         "state": np.arange(8, dtype=np.float32), "prompt": "do"}  # fmt: skip
    droid = LAYOUTS["droid"](o)
    assert droid["observation/joint_position"].shape == (7,) and droid["observation/gripper_position"] == -6
    assert droid["observation/wrist_image_left"].all() and not droid["observation/exterior_image_1_left"].any()


def test_failing_servers_are_told_in_one_line(scene, recipe, served):
    def broken(o):
        raise ValueError("no such key")

    with pytest.raises(InputError, match="The policy server at .* failed: ValueError: no such key"):
        run_episode(World(scene), load_policy(served(broken)), spec_of(scene, recipe))
    with pytest.raises(InputError, match="sent no actions, but other"):
        run_episode(World(scene), load_policy(served(lambda o: {"other": 1})), spec_of(scene, recipe))
    with pytest.raises(InputError, match="No policy server answers at ws://127.0.0.1:9"):
        load_policy("127.0.0.1:9")


def test_policies_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def act(o):\n    return [[0.0] * 8]\n")
    assert load_policy("mine:act").act({}).shape == (1, 8)
    with pytest.raises(InputError, match="mine has no 'akt'; have act. Did you mean act\\?"):
        load_policy("mine:akt")
    (tmp_path / "broken.py").write_text("five = 5\nclass Act:\n    def __init__(self):\n        raise ValueError('no weights')\n")
    (tmp_path / "torn.py").write_text("def act(:\n")
    for text, told in [
        ("broken:five", "'broken:five' is no function but of type int"), ("broken:Act", "'broken:Act' failed: ValueError: no weights"),
        ("torn:act", "'torn:act' failed: SyntaxError"), (":act", "':act' is neither"), (".mine:act", "'.mine:act' is neither"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=told):
            load_policy(text)
    with pytest.raises(InputError, match="No observation layout 'x'; have droid, libero, plain"):
        load_policy("mine:act", layout="x")
    with pytest.raises(InputError, match="no module 'nowhere'"):
        load_policy("nowhere:act")
    with pytest.raises(InputError, match="neither host:port nor module:function; have random, scripted"):
        load_policy("randon")


@pytest.mark.parametrize("k,n", [(0, 10), (5, 10), (10, 10), (3, 200)])
def test_wilson_solves_its_own_equation(k, n):
    """The ends are the rates from which k of n is 1.96 standard deviations away."""
    low, high = wilson(k, n)
    for p in (low, high):
        assert 0 <= p <= 1
        if 1e-9 < p < 1 - 1e-9:
            assert abs(abs(k / n - p) - 1.959964 * np.sqrt(p * (1 - p) / n)) < 1e-6
    assert low <= k / n + 1e-12 and k / n <= high + 1e-12


@pytest.mark.parametrize("axis", EXAM_AXES)
def test_an_axis_changes_only_what_it_is_named_for(scene, recipe, axis):
    plain = nominal(recipe)
    spec = sample_episode(scene, plain, Key(5), 1)
    own = {
        "camera": {"cameras"}, "lighting": {"lights"}, "clutter": {"objects"}, "sensor": {"sensor"}, "heavier": {"objects"},
        "slipperier": {"objects"}, "robot_start": {"robot"},
    }  # fmt: skip
    first, *levels = EXAM_AXES[axis].levels
    assert sample_episode(scene, patched(plain, EXAM_AXES[axis].patch(first)), Key(5), 1) == spec
    for value in levels:
        other = sample_episode(scene, patched(plain, EXAM_AXES[axis].patch(value)), Key(5), 1)
        assert {k for k in type(spec).model_fields if getattr(spec, k) != getattr(other, k)} == own[axis]
        assert other.task == spec.task


def test_an_exam_of_the_expert(scene, recipe, tmp_path):
    config = ExamConfig(axes=("heavier", "slipperier"), episodes=2)
    policies = [load_policy("scripted"), load_policy("random")]
    result = examine(scene, policies, tmp_path / "exam", config, recipe=recipe)
    cells = {(c["policy"], c["axis"], c["value"]): c for c in result["cells"]}
    assert len(cells) == 2 * (1 + 4 + 4)
    assert cells["scripted", "nominal", 0.0]["rate"] == 1 and cells["random", "nominal", 0.0]["rate"] == 0
    assert all(c["low"] <= c["rate"] <= c["high"] and c["n"] == 2 for c in cells.values())
    assert [c["value"] for c in curve(result, "scripted", "heavier")] == [1, 2, 4, 8, 16]
    html = (tmp_path / "exam" / "exam.html").read_text()
    assert (
        "slipperier" in html and "scripted" in html and (tmp_path / "exam" / "exam.svg").read_text().startswith("<svg")
    )

    # A killed exam goes on: the cells that are there are not run again.
    class Never:
        name, needs_pictures = "scripted", False

        def reset(self, world):
            raise AssertionError("ran again")

    assert examine(scene, [Never()], tmp_path / "exam", config, recipe=recipe)["cells"][0]["rate"] == 1
    with pytest.raises(InputError, match="holds another exam"):
        examine(scene, policies, tmp_path / "exam", config.model_copy(update={"seed": 9}), recipe=recipe)


def test_long_names_stay_inside_the_figure():
    names = [f"trained with {what} varied" for what in ("nothing", "camera", "lighting")] + ["random"]
    svg = curves_svg([(t, "u", [Line(name=n, points=[(0, 1, 0.9, 1), (1, 0.5, 0.3, 0.7)]) for n in names]) for t in "ab"])
    root = ElementTree.fromstring(svg)
    texts = {t.text: t for t in root.iter("{http://www.w3.org/2000/svg}text")}
    for n in names:
        assert float(texts[n].get("x")) + 6 * len(n) <= float(root.get("width")), n
    assert len({(texts[n].get("x"), texts[n].get("y")) for n in names}) == len(names)


def test_the_command(scene, tmp_path, capfd):
    (tmp_path / "r.yaml").write_text(RECIPE)
    scene.save(tmp_path / "s" / "scene")
    args = [
        "exam",
        str(tmp_path / "s"),
        "-o",
        str(tmp_path / "e"),
        "--recipe",
        str(tmp_path / "r.yaml"),
        "-n",
        "1",
        "--json",
    ]
    assert main([*args, "--axes", "heavy"]) == 2
    assert "No exam axis 'heavy'; have camera, clutter, heavier" in " ".join(capfd.readouterr().err.split())
    assert main([*args, "--axes", "robot_start"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert {c["policy"] for c in result["cells"]} == {"scripted", "random"}
    assert result["task"] == "place"
    assert main([*args[:2], "-o", str(tmp_path / "p"), *args[4:], "--axes", "robot_start", "--task", "pick up the cube"]) == 0
    result = json.loads(capfd.readouterr().out)
    assert result["task"] == "pick up the cube" and max(c["progress"] for c in result["cells"] if c["policy"] == "scripted") == 1
    assert "Task: pick up the cube." in (tmp_path / "p" / "exam.html").read_text()
    assert load_recipe("default").name == "default" and result["scene"] == "s"
