"""Tasks judge by state alone: progress grows along the way, every failure has a name, drafts fit the table."""

from dataclasses import replace

import numpy as np
import pytest

from phone2sim.augment import PlacementError, parse_recipe, sample_episode
from phone2sim.augment.language import direction_words
from phone2sim.augment.objects import Resting
from phone2sim.augment.tasks import TASKS, Moment, get_task, load_task
from phone2sim.augment.tasks.tops import flat_top, hollow, lies_in, stands_on
from phone2sim.errors import InputError, RecipeError
from phone2sim.keys import Key
from phone2sim.poses import Pose
from tests.sim_export.scenes import bowl_asset, box_asset, can_asset, cube_scene, scene_of

BOX = box_asset("box", size=(0.09, 0.09, 0.04), xy=(0.2, 0.1), rgb=(60, 160, 60))
SCENE = scene_of(box_asset("cube", size=(0.04, 0.04, 0.04)), BOX, can_asset("can", xy=(-0.2, 0.1)), bowl_asset("bowl", xy=(0, 0.2)))


def draw(task: str, n: int = 1, *, scene=SCENE, count: int = 0):
    recipe = parse_recipe(f"objects: {{placement: random}}\nclutter: {{count: {count}}}\ntask: {{{task}}}")
    return [sample_episode(scene, recipe, Key(3), i) for i in range(n)]


def at_start(spec) -> Moment:
    start = np.array([[*o.pose.translation, *o.pose.quat_wxyz] for o in spec.objects])
    n = len(start)
    return Moment(spec=spec, start=start, poses=start, speeds=np.zeros(n), touched=np.zeros(n, bool), highest=np.zeros(n))


def moved(now: Moment, name: str, xyz, *, lifted=True, **more) -> Moment:
    poses, highest = now.poses.copy(), now.highest.copy()
    poses[now.index(name), :3] = xyz
    highest[now.index(name)] = 0.1 if lifted else 0.0
    return replace(now, poses=poses, highest=highest, **more)


@pytest.mark.parametrize("task", [
    "kind: pick", "kind: place", "kind: push", "kind: place, target: cube, relation: 'on', reference: box",
    "kind: place, target: cube, relation: in", "kind: stack, count: 3", "kind: clear, count: 3",
])  # fmt: skip
def test_nothing_is_done_at_the_start_and_all_of_it_at_the_goals(task):
    for spec in draw(task, 4):
        assert type(spec).model_validate_json(spec.model_dump_json()) == spec
        judge, now = get_task(spec.task.kind), at_start(spec)
        assert judge.progress(now) == pytest.approx(0, abs=1e-9) and judge.failure(now)
        for goal in spec.task.goals:
            before = judge.progress(now)
            now = moved(now, goal.object, goal.xyz)
            assert judge.progress(now) > before
        held = np.array([o.name == spec.task.target for o in spec.objects])
        now = replace(now, touched=held & (spec.task.kind == "pick"))
        assert judge.progress(now) == pytest.approx(1) and judge.failure(now) == ""


def test_progress_grows_along_lift_carry_and_release():
    spec = draw("kind: place, target: cube")[0]
    judge, now = get_task("place"), at_start(spec)
    a, b = now.start[0, :3], np.array(spec.task.goals[0].xyz)
    up = np.array([0, 0, 0.08])
    path = [a, a + 0.2 * up, a + up, *(a + up + s * (b - a) for s in (0.3, 0.6, 1.0)), b]
    held = np.array([True] + [False] * (len(spec.objects) - 1))
    progress = [judge.progress(moved(now, "cube", p, touched=held)) for p in path]
    assert (np.diff(progress) >= 0).all() and progress[-1] == pytest.approx(0.9)
    assert judge.progress(moved(now, "cube", b)) == 1


def test_every_failure_has_a_name():
    spec = draw("kind: place, target: cube, tolerance_m: 0.04")[0]
    judge, now, goal = get_task("place"), at_start(spec), np.array(spec.task.goals[0].xyz)

    def why(xyz, **more):
        return judge.failure(moved(now, "cube", xyz, **more))

    ones = np.ones(len(spec.objects))
    assert why(goal) == ""
    assert why(goal, lifted=False) == "not_grasped"
    assert why(goal + [0.05, 0, 0]) == "missed_goal"
    assert why(goal + [0.2, 0, 0]) == "dropped"
    assert why(goal - [0, 0, 0.7]) == "fell"
    assert why(goal, speeds=0.2 * ones) == "not_at_rest"
    assert why(goal, touched=ones.astype(bool)) == "still_held"
    push = spec.model_copy(update={"task": spec.task.model_copy(update={"kind": "push"})})
    assert get_task("push").failure(replace(now, spec=push)) == "not_moved"
    assert get_task("push").failure(moved(replace(now, spec=push), "cube", goal + [0.05, 0, 0], lifted=False)) == "missed_goal"
    # One that lies on its side at the goal has fallen over, though it is hardly higher; one that was merely turned has not.
    there = moved(replace(now, spec=push), "cube", goal, lifted=False)
    for half, expected, most in (([0.0, 0.0, 1.0], "", 1.0), ([1.0, 0.0, 0.0], "tipped", 0.1)):
        poses = there.poses.copy()
        poses[0, 3:] = [np.sqrt(0.5), *np.sqrt(0.5) * np.array(half)]
        turned = replace(there, poses=poses)
        assert get_task("push").failure(turned) == expected
        assert get_task("push").progress(turned) == pytest.approx(most, abs=0.02)
    assert get_task("pick").failure(moved(now, "cube", now.start[0, :3])) == "dropped"


def test_a_goal_on_something_moves_with_it():
    spec = draw("kind: place, target: cube, relation: 'on', reference: box")[0]
    goal, now = spec.task.goals[0], at_start(spec)
    shift = np.array([0.05, -0.03, 0])
    box = now.start[now.index("box"), :3] + shift
    now = moved(now, "box", box)
    assert np.allclose(now.goal_position(goal), goal.xyz + shift)
    assert get_task("place").failure(moved(now, "cube", goal.xyz + shift)) == ""
    beside = moved(now, "cube", [*(goal.xyz + shift)[:2], 0.0])
    assert get_task("place").failure(beside) == "dropped"


def test_flat_tops_and_hollows():
    up = SCENE.supports[0]
    cube, box, can, bowl = (Resting.of(a, up) for a in SCENE.assets)
    seat = flat_top(box)
    assert seat.height_m == pytest.approx(0.04, abs=1e-3) and np.allclose(seat.xy, 0, atol=3e-3)
    assert flat_top(bowl) is None and hollow(box) is None and hollow(can) is None
    inside = hollow(bowl)
    assert inside.height_m == pytest.approx(0.006, abs=2e-3) and 0.035 < inside.room_m < 0.06
    assert stands_on(cube, box) and stands_on(cube, can) and not stands_on(cube, bowl)
    assert lies_in(cube, bowl) and not lies_in(box, bowl) and not lies_in(cube, box)
    spec = draw("kind: place, target: cube, relation: 'on', reference: box")[0]
    assert spec.task.goals[0].xyz[2] == pytest.approx(0.04, abs=2e-3) and spec.task.goals[0].on == "box"
    assert [o.role for o in spec.objects] == ["target", "goal"]


@pytest.mark.parametrize("relation, side", [("left of", (0, 1)), ("right of", (0, -1)), ("in front of", (-1, 0)), ("behind", (1, 0))])
def test_sides_are_as_the_robot_sees_them(relation, side):
    for spec in draw(f"kind: place, target: cube, relation: {relation}, reference: box", 3):
        base = spec.robot.base
        T = Pose(np.array(base.translation), np.array(base.quat_wxyz)).inverse()
        box = next(o for o in spec.objects if o.name == "box")
        goal, ref = (T.apply(np.array([p]))[0] for p in (spec.task.goals[0].xyz, box.pose.translation))
        d = (goal - ref)[:2] / np.linalg.norm((goal - ref)[:2])
        assert d @ side > 0.99
        assert spec.task.language == f"Pick up the red block and place it {relation} the green block."


def test_where_is_obeyed_and_said():
    for spec in draw("kind: place, target: cube, where: to the left", 3):
        base = spec.robot.base
        T = Pose(np.array(base.translation), np.array(base.quat_wxyz)).inverse()
        a, b = (T.apply(np.array([p]))[0, :2] for p in (spec.objects[0].pose.translation, spec.task.goals[0].xyz))
        assert direction_words(b - a) == "to the left" and spec.task.language.endswith("to the left.")


def test_a_tower_goes_up_and_clutter_keeps_off_all_of_it():
    for spec in draw("kind: stack, count: 3", 3, count=2):
        heights = [g.xyz[2] for g in spec.task.goals]
        assert len(heights) == 2 and 0.03 < heights[0] < heights[1] - 0.03
        assert spec.task.goals[0].on == spec.objects[2].name and spec.task.goals[1].on == spec.task.goals[0].object
        assert [o.role for o in spec.objects] == ["target", "target", "goal", "clutter", "clutter"]
        assert spec.duration_s == 20
    cubes = draw("kind: stack, count: 3", scene=scene_of(box_asset("cube")))[0]
    assert [o.name for o in cubes.objects] == ["cube", "cube_2", "cube_3"]


def test_any_object_is_one_that_fits_the_named_one():
    thin = box_asset("thin", size=(0.02, 0.02, 0.06), xy=(0.3, 0.1))
    scene = scene_of(*SCENE.assets, thin, bowl_asset("cup", radius=0.032, xy=(0.3, 0.2)))
    for kind, relation, reference in (("place", "in", "cup"), ("place", "'on'", "can"), ("stack", "''", "can")):
        for spec in draw(f"kind: {kind}, relation: {relation}, reference: {reference}", n=4, scene=scene):
            target, other = (o.asset for o in spec.objects[:2])
            assert other == reference and target in (("thin",) if relation == "in" else ("cube", "thin", "box"))


def test_clearing_sends_everything_to_one_side():
    spec = draw("kind: clear, count: 3")[0]
    assert len(spec.task.goals) == len(spec.objects) >= 2 and "everything" in spec.task.language
    goals = np.array([g.xyz for g in spec.task.goals])
    assert np.linalg.norm(goals[0] - goals[1]) > 0.05


def test_what_does_not_fit_is_said():
    with pytest.raises(PlacementError, match="No object has a hollow wide enough to take can_0"):
        draw("kind: place, target: can_0, relation: in", scene=cube_scene())
    with pytest.raises(PlacementError, match="can_0 has no hollow wide enough to take cube"):
        draw("kind: place, target: cube, relation: in, reference: can_0", scene=cube_scene())
    with pytest.raises(RecipeError, match="task.reference: no asset 'bx' in the scene; have .* Did you mean box?"):
        draw("kind: place, target: cube, relation: 'on', reference: bx")
    with pytest.raises(InputError, match="No task 'pusch'; have clear, pick, place, push, stack. Did you mean push?"):
        draw("kind: pusch")
    for odd in ("it", "target.colour", "", "0"):
        with pytest.raises(RecipeError, match=r"asks for a word that is not there; have \{target\}, \{where\}"):
            draw(f"kind: push, templates: ['Push {{{odd}}} away.']")


def test_a_task_of_ones_own_is_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from phone2sim.augment.tasks import register\nfrom phone2sim.augment.tasks.pick import Pick\n\n"
        "@register\nclass Snatch(Pick):\n    kind = 'snatch'\n    templates = ('Snatch the {target}!',)\n"
    )
    try:
        assert load_task(path).kind == "snatch"
        assert draw("kind: snatch")[0].task.language.startswith("Snatch the ")
    finally:
        TASKS.pop("snatch", None)
    with pytest.raises(InputError, match="No task file .*none.py"):
        load_task(tmp_path / "none.py")
    path.write_text("1 / 0")
    with pytest.raises(InputError, match="mine.py failed: ZeroDivisionError"):
        load_task(path)
    path.write_text("x = 1")
    with pytest.raises(InputError, match="mine.py registers no task"):
        load_task(path)
