"""A scene's pictures and cameras as one self-contained nerfstudio dataset, for `ns-train … nerfstudio-data --data FOLDER`."""

from __future__ import annotations

import shutil
from pathlib import Path

from phone2sim.config import read_json, write_json
from phone2sim.errors import InputError


def write_nerfstudio(scene_dir: Path, folder: Path) -> Path:
    """Copy `scene_dir`'s frames, masks, depth and points beside a `transforms.json` in `folder`; returns that file.

    The world stays the scene's: metres, z up. nerfstudio keeps it when told `--orientation-method none --center-method none
    --auto-scale-poses False`. Raises InputError for a file that is not there.
    """
    cameras = scene_dir / "cameras"
    if not (cameras / "transforms.json").exists():
        raise InputError(f"{scene_dir} has no cameras to export.", hint="Make them: phone2sim reconstruct CAPTURE -o SCENE")
    data = read_json(cameras / "transforms.json")
    for row in data["frames"]:
        for key, below in (("file_path", "images"), ("mask_path", "masks"), ("depth_file_path", "depth")):
            if key in row:
                row[key] = _copy(cameras / row[key], folder, below)
    if "ply_file_path" in data:
        data["ply_file_path"] = _copy(cameras / data["ply_file_path"], folder, ".")
    write_json(folder / "transforms.json", data)
    return folder / "transforms.json"


def _copy(source: Path, folder: Path, below: str) -> str:
    if not source.exists():
        raise InputError(f"{source} is missing; the cameras name it.")
    (folder / below).mkdir(parents=True, exist_ok=True)
    target = folder / below / source.name
    shutil.copyfile(source, target)
    return target.relative_to(folder).as_posix()
