"""The nerfstudio backend around a stand-in environment; `tests/side/nerfstudio_check.sh` asks the real one."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phone2sim.config import read_json
from phone2sim.errors import InputError, MissingDependencyError, ReconstructionError
from phone2sim.poses import look_at
from phone2sim.progress import set_display
from phone2sim.reconstruct.backends.nerfstudio import find_nerfstudio, train_nerfstudio, write_dataset
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.rasterize import rasterize

N, W, H = 9, 48, 36
K = np.array([[50.0, 0, 24.5], [0, 52.0, 17.5], [0, 0, 1]])
ROOT = Path(__file__).parents[3]


@pytest.fixture
def scene(tmp_path):
    """Pictures of a small cloud, far from the origin and 40 m wide."""
    rng = np.random.default_rng(0)
    n, centre = 300, np.array([100.0, -50.0, 3.0])
    truth = SplatCloud(
        means=centre + rng.uniform(-8, 8, (n, 3)), quats_wxyz=np.tile([1.0, 0, 0, 0], (n, 1)), scales=np.full((n, 3), 1.2),
        opacities=np.full(n, 0.9), sh=rng.uniform(-1, 1, (n, 4, 3)) * np.array([1, 0.2, 0.2, 0.2])[:, None],
    )  # fmt: skip
    truth.save_ply(tmp_path / "truth.ply")
    poses = [look_at(centre + [20 * np.cos(a), 20 * np.sin(a), 12], centre).matrix for a in np.linspace(0, 6, N)]
    cameras = Cameras(
        T_world_camera=np.array(poses), K=np.tile(K, (N, 1, 1)), size_wh=np.tile([W, H], (N, 1)), distortion=np.zeros((N, 4)),
        names=tuple(f"frame {i}.jpg" for i in range(N)),
    )  # fmt: skip
    images = [
        (rasterize(truth, K=K, T_camera_world=T, width=W, height=H).rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        for T in cameras.T_camera_world
    ]
    return images, cameras, truth.means.astype(np.float64), (truth.colors * 255).astype(np.uint8)


@pytest.fixture
def environment(tmp_path, monkeypatch):
    folder = tmp_path / "ns env" / "bin"
    folder.mkdir(parents=True)
    script = Path(__file__).with_name("standin_ns.py").read_text()
    (folder / "stand_in.py").write_text(script)
    for name in ("ns-train", "ns-export"):
        (folder / name).write_text(f"#!{sys.executable}\n{script}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("TRUTH", str(tmp_path / "truth.ply"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return folder.parent


CONFIG = SplatConfig(backend="nerfstudio", iterations=50, held_out_every=4, sh_degree=1)


class Display:
    """Collects what progress shows."""

    def __init__(self):
        self.total, self.notes = 0.0, []

    def start(self, label, total, unit):
        return self

    def stop(self, bar): ...
    def message(self, text): ...

    def advance(self, n=1, *, note=""):
        self.total += n
        self.notes.append(note)


@pytest.fixture
def display():
    from phone2sim.progress import _Silent

    d = Display()
    set_display(d)
    yield d
    set_display(_Silent())


def test_the_cloud_comes_back_in_our_world(scene, environment, display):
    images, cameras, points, colors = scene
    result = train_nerfstudio(*scene, config=CONFIG.model_copy(update={"nerfstudio_env": str(environment)}))
    assert np.allclose(result.cloud.means, points, atol=1e-3) and np.allclose(result.cloud.scales, 1.2, rtol=1e-3)
    assert [r["name"] for r in result.metrics["heldout"]] == ["frame 0.jpg", "frame 4.jpg", "frame 8.jpg"]
    assert result.metrics["psnr"] > 45 and result.metrics["ssim"] > 0.99 and len(result.renders) == 3
    assert result.metrics["gaussians"] == 300 and result.metrics["iterations"] == 50
    assert display.total == 40 and "80.00%" in display.notes


def test_dataset_holds_masks_for_all_or_none(scene, tmp_path):
    images, cameras, points, colors = scene
    masks: list[np.ndarray | None] = [None] * N
    masks[2] = np.arange(W) < 20 * np.ones((H, 1))
    write_dataset(tmp_path / "d", images, cameras, points, colors, held=[0, 4], masks=masks)
    meta = read_json(tmp_path / "d" / "transforms.json")
    assert [f["mask_path"] for f in meta["frames"]] == [f"masks/{i:05d}.png" for i in range(N)]
    kept = [np.asarray(Image.open(tmp_path / "d" / "masks" / f"{i:05d}.png")).mean() / 255 for i in range(N)]
    assert kept[0] == 1 and kept[2] == pytest.approx(20 / W)
    again = Cameras.load(tmp_path / "d" / "transforms.json")
    assert np.allclose(again.T_world_camera, cameras.T_world_camera) and again.sources == cameras.names
    write_dataset(tmp_path / "e", images, cameras, points, colors, held=[])
    meta = read_json(tmp_path / "e" / "transforms.json")
    assert "mask_path" not in meta["frames"][0] and len(meta["train_filenames"]) == N and len(meta["val_filenames"]) == 1


def test_failure_names_the_reason(scene, environment, monkeypatch):
    monkeypatch.setenv("STANDIN", "cuda")
    with pytest.raises(ReconstructionError, match="ns-train failed with exit code 1: RuntimeError: Found no NVIDIA driver") as e:
        train_nerfstudio(*scene, config=CONFIG.model_copy(update={"nerfstudio_env": str(environment)}))
    assert "--backend cpu" in e.value.hint


def test_an_interrupt_ends_the_child(scene, environment, monkeypatch, tmp_path, display):
    monkeypatch.setenv("STANDIN", "slow")
    monkeypatch.setenv("PID_FILE", str(tmp_path / "pid"))

    def interrupt(n=1, *, note=""):
        for _ in range(100):
            if (tmp_path / "pid").exists():
                raise KeyboardInterrupt
            time.sleep(0.05)

    monkeypatch.setattr(display, "advance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train_nerfstudio(*scene, config=CONFIG.model_copy(update={"nerfstudio_env": str(environment)}))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_where_it_is_looked_for(environment, tmp_path, monkeypatch):
    monkeypatch.delenv("PHONE2SIM_NERFSTUDIO", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match="needs ns-train and ns-export.*--nerfstudio-env") as e:
        find_nerfstudio()
    assert e.value.exit_code == 3
    with pytest.raises(InputError, match="is no nerfstudio environment: it has no ns-train and ns-export"):
        find_nerfstudio(tmp_path)
    monkeypatch.setenv("PHONE2SIM_NERFSTUDIO", str(environment))
    assert find_nerfstudio().train == environment / "bin" / "ns-train"
    monkeypatch.delenv("PHONE2SIM_NERFSTUDIO")
    monkeypatch.setenv("PATH", str(environment / "bin"))
    assert find_nerfstudio().export.parent == environment / "bin"
    (environment / "bin" / "ns-export").unlink()
    with pytest.raises(MissingDependencyError, match="needs ns-export"):
        find_nerfstudio()


def test_a_still_camera_has_a_world_too(scene, environment):
    """All cameras at one place: nothing to scale by."""
    images, cameras, points, colors = scene
    T = cameras.T_world_camera.copy()
    T[:, :3, 3] = 0
    still = replace(cameras, T_world_camera=T)
    result = train_nerfstudio(
        images, still, points, colors, config=CONFIG.model_copy(update={"nerfstudio_env": str(environment)})
    )
    assert np.allclose(result.cloud.means, points, atol=1e-2)
