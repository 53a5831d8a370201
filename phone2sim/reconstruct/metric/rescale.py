"""A scene whose scale changes after it was reconstructed: `cameras/` and `splat/` are multiplied, nothing is solved again.

A length of an object can only vote once the object exists. Its vote joins those in `metric.json`; when the decision
changes, `cameras/` becomes the same stage result at another scale: it keeps its fingerprint, so it is not solved again,
and carries the change as a repair, so that what was made of it (`stage.identity`) is out of date. `settle_splat` then turns
a splat trained at the old scale into the one of the new, as a stage result with the new input. Objects are built anew from
both: their thresholds and masses are metric.

Each folder is replaced as a whole by a rename. A run killed between the two leaves cameras at the new scale and a splat
that says it belongs to the old one; the next run settles it. Sizes are remembered in units of the model, so the same
lengths decide the same again, and leaving them out leads back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import read_json, write_json
from phone2sim.errors import InputError
from phone2sim.intervals import Interval
from phone2sim.libraries import load_pycolmap
from phone2sim.progress import message
from phone2sim.reconstruct.metric.estimate import scale_fields, scale_flags, scale_rows
from phone2sim.reconstruct.metric.length import ObjectLength, object_vote
from phone2sim.reconstruct.metric.votes import TRUST, ScaleVote, combine_scale, trust
from phone2sim.stage import fingerprint, identity, publish, read_manifest


def apply_lengths(scene: Path, lengths: Sequence[ObjectLength], measure: Callable[[ObjectLength], float]) -> float:
    """Let `lengths` vote on the scale of a reconstructed `scene`; the factor that it was multiplied by, 1 for unchanged.

    `measure` gives a dimension in the scene as it stands [m]; a length that voted before is not measured again. Lengths
    that no longer appear lose their vote.
    """
    path = scene / "cameras" / "metric.json"
    if read_manifest(scene / "cameras") is None or not path.exists():
        raise InputError(f"{scene} has no cameras yet.", hint=f"First: phone2sim reconstruct CAPTURE -o {scene}")
    data = read_json(path)
    before = data.get("lengths", [])
    if not lengths and not before:
        return 1.0
    now = float(data["scale"]["value"])
    known = {r["text"]: float(r["units"]) for r in before}
    units = [known[x.text] if x.text in known else measure(x) / now for x in lengths]
    records = [{"text": x.text, "units": u} for x, u in zip(lengths, units, strict=True)]
    if records == before:
        return 1.0
    votes = [_vote(r) for r in data["votes"] if r["about"] == "scale" and r["source"] != "length"]
    distance = float(data.get("distance_m") or 0.0) / now
    votes += [object_vote(x, u, distance_units=distance) for x, u in zip(lengths, units, strict=True)]
    decision = combine_scale(votes)
    fields = scale_fields(votes, decision)
    new = decision.scale.value
    factor = new / now
    old_flags = set(data.get("scale_flags", _flags_of(data)))
    data |= {
        "scale": decision.scale.to_json(), "scale_source": fields["scale_source"], "decided": fields["decided"],
        "scale_interval": [round(decision.scale.low / new, 5), round(decision.scale.high / new, 5)],
        "votes": scale_rows(votes, decision) + [r for r in data["votes"] if r["about"] != "scale"],
    }  # fmt: skip
    flags = scale_flags(votes, decision)
    data["flagged"] = [*flags, *(f for f in data["flagged"] if f not in old_flags and f not in flags)]
    data |= {"scale_flags": flags, "lengths": records}
    if data.get("distance_m"):
        data["distance_m"] *= factor
    if isinstance(data.get("support"), dict) and "residual_m" in data["support"]:
        data["support"] = {**data["support"], "residual_m": data["support"]["residual_m"] * factor}
    _rescale_cameras(scene, factor, data)
    settle_splat(scene)
    for text in flags:
        message(f"Scale: {text}.")
    return factor


def settle_splat(scene: Path) -> None:
    """Bring a splat trained on these cameras at another scale to theirs; do nothing with any other."""
    cameras, splat = read_manifest(scene / "cameras"), read_manifest(scene / "splat")
    if cameras is None or splat is None:
        return
    scales = cameras.get("scales", {})
    current, has = identity(cameras), splat.get("inputs", {}).get("cameras")
    if has == current or has not in scales or current not in scales:
        return
    factor = scales[current] / scales[has]
    inputs = {**splat["inputs"], "cameras": current}
    manifest = {**splat, "inputs": inputs}
    manifest["fingerprint"] = fingerprint("splat", splat["version"], splat["config"], inputs)

    def change(folder: Path) -> None:
        from phone2sim.reconstruct.splat.cloud import SplatCloud

        cloud = SplatCloud.load_ply(folder / "splat.ply")
        _fresh(folder / "splat.ply")
        scaled = replace(cloud, means=cloud.means * np.float32(factor), scales=cloud.scales * np.float32(factor))
        scaled.save_ply(folder / "splat.ply")

    _replace(scene / "splat", manifest, change)


def _rescale_cameras(scene: Path, factor: float, metric: dict[str, Any]) -> None:
    manifest = read_manifest(scene / "cameras")
    assert manifest is not None
    scales = manifest.get("scales", {identity(manifest): 1.0})
    total = scales[identity(manifest)] * factor
    base = metric.setdefault("base_scale", metric["scale"]["value"] / factor)
    if not metric["lengths"]:  # back where it was
        total = 1.0
        metric = {k: v for k, v in metric.items() if k not in ("lengths", "base_scale", "scale_flags")}
        manifest.pop("repairs", None)
    else:
        manifest["repairs"] = [{"scale": metric["scale"]["value"] / base, "lengths": metric["lengths"]}]
    manifest["scales"] = {**scales, identity(manifest): total}
    if "metric" in manifest.get("result", {}):
        keys = ("scale_source", "scale_interval", "flagged")
        manifest["result"]["metric"] |= {k: metric[k] for k in keys}

    def change(folder: Path) -> None:
        pycolmap = load_pycolmap()

        from phone2sim.reconstruct.points import read_points_ply, write_points_ply

        for name in ("metric.json", "transforms.json", "points.ply"):
            _fresh(folder / name)
        write_json(folder / "metric.json", metric)
        listed = read_json(scene / "cameras" / "transforms.json")
        for frame in listed["frames"]:
            for row in frame["transform_matrix"][:3]:
                row[3] *= factor
        write_json(folder / "transforms.json", listed)
        xyz, rgb = read_points_ply(scene / "cameras" / "points.ply")
        write_points_ply(folder / "points.ply", xyz * np.float32(factor), rgb)
        if (folder / "depth.npy").exists():
            _fresh(folder / "depth.npy")
            np.save(folder / "depth.npy", np.load(scene / "cameras" / "depth.npy") * np.float32(factor))
        sparse = scene / "cameras" / "sparse" / "0"
        if sparse.is_dir():
            model = pycolmap.Reconstruction(sparse)
            model.transform(pycolmap.Sim3d(factor, pycolmap.Rotation3d(), np.zeros(3)))
            shutil.rmtree(folder / "sparse" / "0")
            (folder / "sparse" / "0").mkdir()
            model.write_binary(folder / "sparse" / "0")
        if not _metric_device(scene):
            for path in sorted((folder / "depth").glob("*.png")):
                _scale_depth(path, factor)

    _replace(scene / "cameras", manifest, change)


def _metric_device(scene: Path) -> bool:
    """Whether depth pictures are in the device's own metres, which no vote changes."""
    device = read_json(scene / "capture" / "capture.json").get("device") if (scene / "capture").is_dir() else None
    return bool(device and device.get("metric"))


def _scale_depth(path: Path, factor: float) -> None:
    from PIL import Image

    with Image.open(path) as im:
        mm = np.asarray(im)
    _fresh(path)
    Image.fromarray(np.clip(np.round(mm * factor), 0, 65535).astype(np.uint16)).save(path)


def _replace(folder: Path, manifest: dict[str, Any], change: Callable[[Path], None]) -> None:
    """A copy of a finished stage, changed and with another manifest, renamed into its place. Unchanged files are linked."""
    partial = folder.parent / f".{folder.name}.partial-{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        shutil.copytree(folder, partial, copy_function=_link)
        change(partial)
        _fresh(partial / "manifest.json")
        write_json(partial / "manifest.json", manifest)
        publish(partial, folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _fresh(path: Path) -> None:
    """Cut the link to the old folder's file before writing."""
    path.unlink(missing_ok=True)


def _flags_of(data: dict[str, Any]) -> list[str]:
    """The flags about scale of a `metric.json` as it was first written."""
    votes = [_vote(r) for r in data["votes"] if r["about"] == "scale"]
    return scale_flags(votes, combine_scale(votes))


def _vote(row: dict[str, Any]) -> ScaleVote:
    source = str(row["source"])
    measures = source.lower() in TRUST and trust(source.lower()) < TRUST.index("support plane")
    return ScaleVote(
        source=source, interval=Interval.from_json(row), floor=float(row.get("floor", 0.0)),
        guess=bool(row.get("guess", not measures)),
    )  # fmt: skip
