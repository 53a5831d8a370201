"""Scenes and datasets that somebody edited or cut short: one line that names the file, exit 2."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phone2sim.cli import main
from phone2sim.sim_export.generate import GenerateConfig, generate
from tests.sim_export.scenes import cube_scene

EPISODE = "episodes/000000/spec.json"
RECIPE = "extends: none\ncamera: {names: [front], width: 64, height: 64}\ntask: {duration_s: 5, fps: 10}\n"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("damage")
    cube_scene().save(root / "s" / "scene")
    (root / "r.yaml").write_text(RECIPE)
    generate(root / "s", root / "d", GenerateConfig(recipe=str(root / "r.yaml"), episodes=1, seed=2))
    return root


def edited(path: Path, change: Callable[[Any], Any]) -> None:
    data = json.loads(path.read_text())
    made = change(data)
    path.write_text(json.dumps(data if made is None else made))


@pytest.mark.parametrize(
    "command, file, change, told",
    [
        ("replay d 0", "d/dataset.json", lambda _: [1], "is damaged: no valid 'simulator'."),
        ("replay d 0", "d/manifest.json", lambda _: {}, "is damaged: no valid 'episodes'."),
        ("replay d 0", "d/manifest.json", lambda d: d.update(episodes=[1]), "is damaged: no valid 'episodes'."),
        ("branch d -o b", "d/manifest.json", lambda d: d.update(episodes=5), "is damaged: no valid 'episodes'."),
        ("generate s -o d", "d/dataset.json", lambda _: [1], "is damaged: no valid 'fingerprint'."),
        ("replay d 0", "d/" + EPISODE, lambda d: d.update(fps=0), "fps: Input should be greater than or equal to 1."),
        ("replay d 0", "d/" + EPISODE, lambda d: d["task"].update(target="zebra"), "the task is about zebra, which is none of objects:"),
        ("report d", "d/" + EPISODE, lambda d: d.update(fps=0), "fps: Input should be greater than or equal to 1."),
        ("report d", "d/" + EPISODE, lambda _: [1], "document: Input should be a valid dictionary"),
        ("report d", "d/specs.jsonl", lambda _: [1], "specs.jsonl:1 is no spec."),
        ("report s", "s/scene/scene.json", lambda d: d.update(assets=5), "'int' object is not iterable."),
        ("report s", "s/scene/cube/asset.json", lambda d: d.update(mass_kg="heavy"), "cube: string indices must be integers"),
        ("preview s -n 1", "s/scene/cube/asset.json", lambda d: d.update(mass_kg="heavy"), "cube: string indices must be integers"),
    ],
)
def test_one_line_says_what_is_wrong(
    command: str, file: str, change: Callable[[Any], Any], told: str, whole: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for name in "sd":
        shutil.copytree(whole / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    if file.endswith(".jsonl"):
        (tmp_path / file).write_text("[1]\n")
    else:
        edited(tmp_path / file, change)
    assert main([*command.split(), "--quiet"]) == 2
    err = capfd.readouterr().err.strip()
    assert err.startswith("error: ") and len(err.splitlines()) == 1
    assert file.removeprefix("d/").removeprefix("s/") in err and told in err, err
