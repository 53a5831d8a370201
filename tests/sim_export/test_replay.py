"""Replay: the same bytes in another process, from a spec that was carried away, at another number of workers."""

import json
import shutil
import subprocess
import sys

import pytest

from phone2sim.sim_export.generate import GenerateConfig, generate
from tests.sim_export.scenes import cube_scene

RECIPE = """
extends: default
camera: {names: [front], width: 64, height: 64}
task: {duration_s: 5, fps: 10}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("replay")
    cube_scene().save(root / "s" / "scene")
    (root / "r.yaml").write_text(RECIPE)
    config = GenerateConfig(recipe=str(root / "r.yaml"), episodes=2, seed=2)
    return root, config, generate(root / "s", root / "d", config)


def run(*args):
    command = [sys.executable, "-c", "import sys; from phone2sim.cli import main; sys.exit(main())", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_spec_and_the_scene_are_enough_in_another_process(made, tmp_path):
    root, _, manifest = made
    stored = root / "d" / manifest["episodes"][1]
    shutil.copytree(root / "s", tmp_path / "theirs")
    shutil.copy(stored / "spec.json", tmp_path / "spec.json")
    result = run("replay", tmp_path / "spec.json", "--scene", tmp_path / "theirs", "-o", tmp_path / "again", "--json")
    assert result["success"]
    for name in ("spec.json", "arrays.npz", "front.mp4"):
        assert (tmp_path / "again" / name).read_bytes() == (stored / name).read_bytes(), name


def test_another_number_of_workers_makes_the_same_files(made, tmp_path):
    root, config, manifest = made
    again = generate(root / "s", tmp_path / "d", config.model_copy(update={"workers": 2}))
    assert again["digests"] == manifest["digests"]
    for folder in manifest["episodes"]:
        for name in ("spec.json", "arrays.npz", "front.mp4"):
            assert (tmp_path / "d" / folder / name).read_bytes() == (root / "d" / folder / name).read_bytes(), name
    assert run("replay", tmp_path / "d", 0, "--json")["identical"]
