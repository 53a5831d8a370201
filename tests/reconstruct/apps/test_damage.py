"""Whatever is cut out of, changed in or missing from an app's files: frames, or an error that names the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phone2sim.errors import Phone2SimError
from phone2sim.reconstruct.capture import Capture, CaptureConfig, ingest
from tests.reconstruct.apps import writers
from tests.reconstruct.apps.truth import Truth

BAD: list[Any] = [None, "x", -1, 0, 1e308, float("nan"), [], {}, True, [[1]], 10**30]
WORDS = ["", "nan", "x", "-1", "1e999", "0", "999999999999"]


def spoil_json(data: bytes, rng: np.random.Generator) -> bytes:
    root = at = json.loads(data)
    while True:
        key: Any = list(at)[rng.integers(len(at))] if isinstance(at, dict) else int(rng.integers(len(at)))
        if not isinstance(at[key], (dict, list)) or not at[key] or rng.uniform() < 0.4:
            break
        at = at[key]
    if rng.uniform() < 0.3:
        del at[key]
    else:
        at[key] = BAD[rng.integers(len(BAD))]
    return json.dumps(root).encode()


def spoil_text(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.decode().split("\n")
    i = int(rng.integers(len(lines)))
    between = "," if "," in lines[i] else " "
    words = lines[i].split(between)
    words[rng.integers(len(words))] = WORDS[rng.integers(len(WORDS))]
    lines[i] = between.join(words)
    return "\n".join(lines).encode()


def spoil_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    if rng.uniform() < 0.4:
        return data[: rng.integers(len(data))]
    spoilt = bytearray(data)
    for at in rng.integers(0, len(data), 6):
        spoilt[at] = rng.integers(256)
    return bytes(spoilt)


def captures(truth: Truth, tmp: Path) -> dict[str, dict[str, bytes]]:
    out = {
        "nerfstudio": writers.nerfstudio_files(truth, shared=False), "record3d": writers.record3d_files(truth),
        "export": writers.record3d_files(truth, exr=True), "polycam": writers.polycam_files(truth, corrected=False),
        "stray": writers.stray_files(truth, tmp),
        "realitycapture": writers.realitycapture_files(truth, truth.T_world_camera, truth.rgb, k3=0.01),
    }  # fmt: skip
    for name, text in (("colmap", False), ("colmap text", True)):
        folder = writers.write_colmap(
            truth, tmp / name, model="OPENCV", params=[*truth.lens, 0.1, 0, 0, 0], pictures=truth.rgb, text=text
        )
        out[name] = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return out


@pytest.fixture(scope="session")
def few(truth: Truth) -> Truth:
    return replace(
        truth, rgb=truth.rgb[:3], depth=truth.depth[:3], mask=truth.mask[:3], time_s=truth.time_s[:3],
        T_world_camera=truth.T_world_camera[:3],
    )  # fmt: skip


def test_damage_is_survived_or_named(few: Truth, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    whole = captures(few, tmp_path / "made")
    read = refused = 0
    for seed in range(96):
        rng = np.random.default_rng(seed)
        files = dict(whole[sorted(whole)[seed % len(whole)]])
        names = sorted(n for n in files if not n.endswith(".jpg")) or sorted(files)
        name = names[rng.integers(len(names))]
        if rng.uniform() < 0.1:
            del files[name]
        elif name.endswith("json") or name == "metadata":
            files[name] = spoil_json(files[name], rng)
        elif name.endswith((".csv", ".txt")):
            files[name] = spoil_text(files[name], rng)
        else:
            files[name] = spoil_bytes(files[name], rng)
        source = writers.store(files, tmp_path / (f"c{seed}" if seed % 3 else f"c{seed}.zip"))
        out = tmp_path / f"out{seed}"
        out.mkdir()
        try:
            got = ingest(source, out, CaptureConfig(min_photos=2))
        except Phone2SimError as e:
            assert e.message and e.hint, (seed, name)
            refused += 1
            continue
        read += 1
        assert Capture.load(out) == got
        for f in got.frames:
            depth = got.depth(f)
            assert depth is None or (np.isfinite(depth).all() and (depth >= 0).all())
            assert f.T_world_camera is None or np.isfinite(f.T_world_camera).all()
    assert read > 30 and refused > 5
