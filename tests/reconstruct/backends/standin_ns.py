"""A stand-in for `ns-train` and `ns-export`: checks the arguments it is given as nerfstudio 1.1.5 would read them, and
"trains" the cloud in the file that TRUTH names, by moving it into the world of the dataset."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from phone2sim.poses import Pose
from phone2sim.reconstruct.points import read_points_ply
from phone2sim.reconstruct.splat.cloud import SplatCloud


def options(words: list[str]) -> dict[str, str]:
    assert len(words) % 2 == 0 and all(w.startswith("--") for w in words[::2]), words
    return dict(zip((w[2:] for w in words[::2]), words[1::2]))


def train(words: list[str]) -> None:
    if os.environ.get("STANDIN") == "cuda":
        print("Traceback (most recent call last):\n  ...\nRuntimeError: Found no NVIDIA driver on your system.")
        sys.exit(1)
    parser = words.index("nerfstudio-data")
    assert words[0] == "splatfacto"
    method, data = options(words[1:parser]), options(words[parser + 1 :])
    assert data["orientation-method"] == data["center-method"] == "none"
    assert data["auto-scale-poses"] == "False" and data["load-3D-points"] == "True" and data["downscale-factor"] == "1"
    assert method["vis"] == "tensorboard" and method["pipeline.model.camera-optimizer.mode"] == "off"
    folder = Path(data["data"])
    meta = json.loads((folder / "transforms.json").read_text())
    listed = {f["file_path"] for f in meta["frames"]}
    assert set(meta["train_filenames"]) | set(meta["val_filenames"]) == listed
    assert not set(meta["train_filenames"]) & set(meta["val_filenames"]) and meta["val_filenames"] == meta["test_filenames"]
    assert all((folder / f).exists() for f in listed) and "applied_transform" not in meta
    assert np.abs([np.array(f["transform_matrix"])[:3, 3] for f in meta["frames"]]).max() < 1.001
    assert all(("mask_path" in f) == ("mask_path" in meta["frames"][0]) for f in meta["frames"])
    steps = int(method["max-num-iterations"])
    for step in range(0, steps, 10):
        print(f"\x1b[30;42m{f'{step} ({100 * step / steps:.02f}%)':<20} 12.3 ms              4 m, 2 s\x1b[0m", flush=True)
        if os.environ.get("STANDIN") == "slow":
            Path(os.environ["PID_FILE"]).write_text(str(os.getpid()))
            time.sleep(60)
    run = Path(method["output-dir"]) / method["experiment-name"] / "splatfacto" / method["timestamp"]
    run.mkdir(parents=True)
    (run / "config.yml").write_text(str(folder))


def export(words: list[str]) -> None:
    assert words[0] == "gaussian-splat"
    given = options(words[1:])
    folder = Path(Path(given["load-config"]).read_text())
    points, _ = read_points_ply(folder / json.loads((folder / "transforms.json").read_text())["ply_file_path"])
    truth = SplatCloud.load_ply(Path(os.environ["TRUTH"]))
    scale = float(np.linalg.norm(points.std(axis=0)) / np.linalg.norm(truth.means.std(axis=0)))
    offset = points.mean(axis=0) - scale * truth.means.mean(axis=0)
    truth.transformed(scale, Pose(offset, np.array([1.0, 0, 0, 0]))).save_ply(Path(given["output-dir"]) / "splat.ply")


if __name__ == "__main__":
    (train if Path(sys.argv[0]).name == "ns-train" else export)(sys.argv[1:])
