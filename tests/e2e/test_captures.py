"""Real captures from beside the repository: photos of bananas on a carpet, and a clip with no table in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from phone2sim.assets.scene import Scene
from tests.e2e.settle import drop

pytestmark = pytest.mark.slow
CAPTURES = Path(__file__).resolve().parents[2].parent / "shared" / "captures"


def build(name: str, out: Path, *args: str) -> tuple[dict, str]:
    source = CAPTURES / name
    if not source.exists():
        pytest.skip(f"the capture {name} is not beside the repository")
    p = subprocess.run(
        [sys.executable, "-m", "phone2sim", "build", str(source), "-o", str(out), "--json", *args],
        capture_output=True, text=True,
    )  # fmt: skip
    assert p.returncode == 0, p.stderr[-3000:]
    return json.loads(p.stdout), p.stderr


def test_bananas_on_a_carpet_become_one_object_that_rests(tmp_path: Path) -> None:
    result, said = build("bananas-carpet", tmp_path / "scene")
    assert result["cameras"]["total"] == 16 and result["cameras"]["registered"] >= 15
    assert "DSC_0434" in said or result["cameras"]["registered"] == 16  # the photo left out is named
    assert len(result["assets"]) == 1
    asset = Scene.load(tmp_path / "scene").assets[0]
    assert asset.visual.welded().is_watertight
    moved, speed = drop(asset)
    assert moved < 0.005 and speed < 0.01


def test_fox_is_a_background_only_scene_and_says_so(tmp_path: Path) -> None:
    result, said = build("fox/images", tmp_path / "scene", "--max-side", "480")
    assert result["cameras"]["registered"] == result["cameras"]["total"] == 50
    assert result["splat"]["psnr"] >= 28.0
    assert result["assets"] == []
    assert "no support plane" in said.lower()
    scene = Scene.load(tmp_path / "scene")
    assert not scene.supports and len(scene.background) > 1000
