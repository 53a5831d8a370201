"""The `nerfstudio` backend: splatfacto in the user's own nerfstudio environment, driven by its executables.

Nothing of nerfstudio is imported. It is given the same undistorted pictures, cameras, points and held-out frames as every
backend, as a nerfstudio dataset in a unit-sized world, and is told to leave that world as it is; so the exported `.ply`
lies in it too and is carried back into metres.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from phone2sim.config import read_json, write_json
from phone2sim.errors import InputError, MissingDependencyError, ReconstructionError
from phone2sim.images import write_rgb
from phone2sim.poses import Pose
from phone2sim.progress import Bar, message, progress
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.points import write_points_ply
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.reconstruct.splat.config import SplatConfig
from phone2sim.reconstruct.splat.judge import judge_cloud

VARIABLE = "PHONE2SIM_NERFSTUDIO"
"""Environment variable with the folder of the nerfstudio environment."""
_STEP = re.compile(r"^\s*(\d+) \((\d+\.\d+)%\)")
_COLOR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, kw_only=True)
class Nerfstudio:
    """The executables of one environment."""

    train: Path
    export: Path


def find_nerfstudio(environment: Path | None = None) -> Nerfstudio:
    """`ns-train` and `ns-export` of `environment`, else of the one in PHONE2SIM_NERFSTUDIO, else on the PATH.

    Raises InputError when a named environment has none, MissingDependencyError when there is none at all.
    """
    named = environment or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is None:
        found = {name: shutil.which(name) for name in ("ns-train", "ns-export")}
    else:
        folders = os.pathsep.join(str(named / sub) for sub in ("bin", "Scripts", "."))
        found = {name: shutil.which(name, path=folders) for name in ("ns-train", "ns-export")}
    if all(found.values()):
        return Nerfstudio(train=Path(str(found["ns-train"])), export=Path(str(found["ns-export"])))
    missing = " and ".join(name for name, path in found.items() if path is None)
    if named is not None:
        raise InputError(f"{named} is no nerfstudio environment: it has no {missing}.", hint="Name the folder above its bin/.")
    raise MissingDependencyError(
        f"The nerfstudio backend needs {missing}.",
        hint=f"Install nerfstudio in an environment of its own and name it: --nerfstudio-env DIR or {VARIABLE}=DIR.",
    )


def write_dataset(
    folder: Path, images: list[np.ndarray], cameras: Cameras, points: np.ndarray, colors: np.ndarray,
    *, held: list[int], masks: list[np.ndarray | None] | None = None,
) -> None:  # fmt: skip
    """A nerfstudio dataset of pinhole `cameras`: `images/*.png`, `masks/*.png`, `points.ply` and `transforms.json`, which
    also names the frames to train on and those held out. The world is written as it is."""
    names = tuple(f"{i:05d}.png" for i in range(len(cameras)))
    for name, image in zip(names, images):
        write_rgb(folder / "images" / name, image)
    masked = {}
    if masks is not None and any(m is not None for m in masks):
        (folder / "masks").mkdir(parents=True, exist_ok=True)
        for name, image, mask in zip(names, images, masks):
            grey = np.full(image.shape[:2], 255, np.uint8) if mask is None else (np.asarray(mask) > 0.5).astype(np.uint8) * 255
            Image.fromarray(grey).save(folder / "masks" / name)
            masked[name] = f"masks/{name}"
    write_points_ply(folder / "points.ply", points.astype(np.float32), colors)
    renamed = Cameras(
        T_world_camera=cameras.T_world_camera, K=cameras.K, size_wh=cameras.size_wh, distortion=cameras.distortion,
        names=names, sources=cameras.names,
    )  # fmt: skip
    path = folder / "transforms.json"
    renamed.save(path, frames="images", masks=masked)
    trained = [f"images/{n}" for i, n in enumerate(names) if i not in set(held)]
    judged = [f"images/{names[i]}" for i in held] or trained[:1]
    write_json(path, {**read_json(path), "train_filenames": trained, "val_filenames": judged, "test_filenames": judged})


def train_command(ns: Nerfstudio, dataset: Path, output: Path, config: SplatConfig) -> list[str]:
    """`ns-train splatfacto` on `dataset`, its world neither turned, nor centred, nor scaled; ends when it is done."""
    steps = str(config.iterations)
    return [
        str(ns.train), "splatfacto", "--output-dir", str(output), "--experiment-name", "scene", "--timestamp", "run",
        "--vis", "tensorboard", "--max-num-iterations", steps, "--steps-per-save", steps,
        "--steps-per-eval-image", "0", "--steps-per-eval-all-images", "0", "--machine.seed", str(config.seed),
        "--logging.steps-per-log", "10", "--logging.local-writer.max-log-size", "0",
        "--pipeline.model.sh-degree", str(config.sh_degree), "--pipeline.model.camera-optimizer.mode", "off",
        "--pipeline.model.rasterize-mode", "antialiased" if config.antialiased else "classic",
        "nerfstudio-data", "--data", str(dataset), "--orientation-method", "none", "--center-method", "none",
        "--auto-scale-poses", "False", "--downscale-factor", "1", "--load-3D-points", "True",
    ]  # fmt: skip


def export_command(ns: Nerfstudio, output: Path, ply_folder: Path) -> list[str]:
    """`ns-export gaussian-splat` of what `train_command` left: the parameters as trained, in the dataset's world."""
    config = output / "scene" / "splatfacto" / "run" / "config.yml"
    return [str(ns.export), "gaussian-splat", "--load-config", str(config), "--output-dir", str(ply_folder)]


def train_nerfstudio(
    images: list[np.ndarray], cameras: Cameras, points: np.ndarray, colors: np.ndarray, *, config: SplatConfig,
    masks: list[np.ndarray | None] | None = None,
) -> Any:  # fmt: skip
    """Train by splatfacto; arguments and result as of `splat.train.train`, judged by the same held-out frames.

    Raises MissingDependencyError or InputError when there is no nerfstudio, ReconstructionError when it fails.
    """
    from phone2sim.reconstruct.splat.train import TrainResult

    ns = find_nerfstudio(Path(config.nerfstudio_env) if config.nerfstudio_env else None)
    message(f"nerfstudio: {ns.train}")
    start = time.perf_counter()
    every = config.held_out_every
    held = [i for i in range(len(cameras)) if every and i % every == 0]
    origin = cameras.centres.mean(axis=0)
    spread = float(np.linalg.norm(cameras.centres - origin, axis=1).max()) or 1.0
    unit = cameras.transformed(1 / spread, Pose(-origin / spread, np.array([1.0, 0, 0, 0])).matrix)
    with tempfile.TemporaryDirectory(prefix="phone2sim-nerfstudio-") as scratch:
        work = Path(scratch)
        write_dataset(work / "data", images, unit, (points - origin) / spread, colors, held=held, masks=masks)
        with progress("Training splatfacto", total=config.iterations, unit="it") as bar:
            _run(train_command(ns, work / "data", work / "out", config), cwd=work, bar=bar)
        with progress("Exporting from nerfstudio") as bar:
            _run(export_command(ns, work / "out", work / "ply"), cwd=work, bar=bar)
        if not (work / "ply" / "splat.ply").exists():
            raise ReconstructionError("ns-export ended without writing splat.ply.")
        cloud = SplatCloud.load_ply(work / "ply" / "splat.ply")
    cloud = cloud.transformed(spread, Pose(origin, np.array([1.0, 0, 0, 0])))
    seconds = time.perf_counter() - start
    known = None if masks is None else [np.ones(im.shape[:2], bool) if m is None else m for im, m in zip(images, masks)]
    metrics, renders = judge_cloud(cloud, images, cameras, held, known)
    metrics |= {"gaussians": len(cloud), "iterations": config.iterations, "seconds": round(seconds, 2), "history": []}
    return TrainResult(cloud=cloud, metrics=metrics, renders=renders)


def _run(command: list[str], *, cwd: Path, bar: Bar) -> None:
    """Run a child to its end, showing its steps; its whole group ends with us."""
    name = Path(command[0]).name
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}
    try:
        child = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except OSError as e:
        raise ReconstructionError(f"{command[0]} cannot be started: {e.strerror}.") from None
    last: deque[str] = deque(maxlen=200)
    done = 0
    try:
        for line in _lines(child):
            last.append(line)
            if step := _STEP.match(line):
                bar.advance(int(step[1]) - done, note=f"{step[2]}%")
                done = int(step[1])
        code = child.wait()
    finally:
        _end(child)
    if code:
        raise ReconstructionError(f"{name} failed with exit code {code}: {_reason(last)}", hint=_hint(last))


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    assert child.stdout is not None
    for raw in child.stdout:
        for line in _COLOR.sub("", raw).split("\r"):
            if line.strip():
                yield line.rstrip()


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        for kind, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
            try:
                os.killpg(child.pid, kind)
                child.wait(patience)
                break
            except ProcessLookupError:
                break
            except subprocess.TimeoutExpired:
                continue
    if child.stdout is not None:
        child.stdout.close()


def _reason(last: deque[str]) -> str:
    """The line that names the error: the last that looks like one, else the last."""
    errors = [line.strip() for line in last if re.match(r"\s*(\w+\.)*\w*(Error|Exception)\b", line)]
    return (errors or [line.strip(" │╭╰─╮╯") for line in last] or ["it said nothing."])[-1]


def _hint(last: deque[str]) -> str:
    text = "\n".join(last)
    if "weights_only" in text:
        return "This nerfstudio does not go with its torch: in its environment, install a torch older than 2.6."
    if re.search(r"(?i)cuda|nvidia", text):
        return "splatfacto needs a CUDA GPU and a torch built for it; use --backend cpu without one."
    return ""
