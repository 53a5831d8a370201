"""The example of a task of one's own: short, drawn, judged and solved."""

from pathlib import Path

import numpy as np
import pytest

from phone2sim.augment.tasks import TASKS, register
from phone2sim.augment.tasks.pick import Pick
from phone2sim.sim_export.generate import GenerateConfig, generate
from phone2sim.sim_export.replay import replay
from phone2sim.sim_export.workers import Job, Maker
from tests.sim_export.scenes import box_asset, scene_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "gather_task.py"


@pytest.fixture
def scene(tmp_path):
    scene = scene_of(box_asset("cube", size=(0.06, 0.06, 0.06)), box_asset("box", size=(0.07, 0.07, 0.05), xy=(0.2, 0.1)))
    scene.save(tmp_path / "scene")
    yield scene
    TASKS.pop("gather", None)


def test_it_is_short():
    assert len(EXAMPLE.read_text().splitlines()) < 60


def test_the_planner_solves_it_from_progress_alone(scene, tmp_path):
    recipe = tmp_path / "plain.yaml"
    recipe.write_text("extends: default\nclutter: {count: 0}\n")
    job = Job(
        scene_dir=tmp_path / "scene", dataset_dir=tmp_path, recipe=str(recipe), seed=0, scene_fingerprint="",
        simulator="mujoco", pictures=False, task=str(EXAMPLE),
    )  # fmt: skip
    maker = Maker(job)
    done = [maker.simulate(maker.sample(i)) for i in range(2)]
    assert any(e.success for e in done), [e.reason for e in done]
    for e in done:
        assert e.spec.task.kind == "gather" and e.spec.task.file == str(EXAMPLE) and e.spec.task.goals == ()
        assert "together" in e.spec.task.language or "Push" in e.spec.task.language
        if e.success:
            assert e.progress[0] == pytest.approx(0, abs=1e-6) and e.progress.max() > 0.9


def test_a_task_made_from_pick_is_lifted_too(scene, tmp_path):
    @register
    class Show(Pick):
        kind = "show"

    try:
        recipe = tmp_path / "show.yaml"
        recipe.write_text("extends: default\nclutter: {count: 0}\ntask: {kind: show, target: box}\n")
        job = Job(
            scene_dir=tmp_path / "scene", dataset_dir=tmp_path, recipe=str(recipe), seed=0, scene_fingerprint="",
            simulator="mujoco", pictures=False,
        )  # fmt: skip
        maker = Maker(job)
        assert maker.simulate(maker.sample(0)).success
    finally:
        TASKS.pop("show", None)


@pytest.mark.slow
def test_a_dataset_of_it_is_the_same_with_workers_and_on_replay(scene, tmp_path):
    config = GenerateConfig(episodes=1, pictures=False, task=str(EXAMPLE), seed=1)
    made = generate(tmp_path / "scene", tmp_path / "a", config)
    again = generate(tmp_path / "scene", tmp_path / "b", config.model_copy(update={"workers": 1}))
    assert made["digests"] == again["digests"]
    assert str(EXAMPLE) in made["files"]
    TASKS.pop("gather", None)
    assert replay(tmp_path / "a", 0)["same"]
    assert np.load(tmp_path / "a" / made["episodes"][0] / "arrays.npz")["progress"].max() > 0.9
