"""`replay`: run an episode again from its spec, and compare every byte with what was stored.

A spec and the scene are enough: `replay_spec` needs no dataset, and the hashes in the spec say whether the scene is right.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.fingerprint import AssetHashes
from phone2sim.assets.scene import Scene
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.config import parse_config, read_json
from phone2sim.errors import InputError
from phone2sim.sim_export.episode import Episode, commit
from phone2sim.sim_export.generate import scene_fingerprint
from phone2sim.sim_export.origin import identity_of, manifest_of, scene_of
from phone2sim.sim_export.workers import Job, Maker


def replay(dataset_dir: Path, index: int, *, scene_dir: Path | None = None, variant: str = "") -> dict[str, Any]:
    """Simulate and draw episode `index` (its place in the dataset) again, or the rendering `variant` of its pair.

    Returns `same`, and of each part (`states`, `actions`, `object_poses`, `robot_poses`, each camera) whether it came out
    equal. `scene_dir` says where the scene is now, if it moved. Raises `InputError` for an unknown episode or a scene
    that has changed.
    """
    identity = identity_of(dataset_dir, "simulator")
    folders = manifest_of(dataset_dir)["episodes"]
    if not 0 <= index < len(folders):
        raise InputError(f"No episode {index} in {dataset_dir}; it has 0 to {len(folders) - 1}.")
    folder = dataset_dir / folders[index]
    if variant:
        folder = folder / "variants" / variant
        if not folder.exists():
            raise InputError(f"Episode {index} of {dataset_dir} has no rendering {variant!r}.")
    return replay_spec(
        folder / "spec.json", scene_of(dataset_dir, scene_dir), simulator=identity["simulator"]
    ) | {"folder": folders[index]}


def replay_spec(
    spec_file: Path, scene_dir: Path, *, out: Path | None = None, simulator: str = "mujoco"
) -> dict[str, Any]:  # fmt: skip
    """Carry out the spec in `spec_file`: into the episode folder `out`, and against the episode it lies in, if any.

    Returns `parts` as `replay` does (empty for a spec that lies alone), `same`, and whether it was a `success`. Raises
    `InputError` naming the asset when `scene_dir` is not the scene the spec was made with, or when `out` exists.
    """
    spec = parse_config(EpisodeSpec, read_json(spec_file), where=str(spec_file))
    if out is not None and out.exists():
        raise InputError(f"{out} exists already.", hint="Choose another folder.")
    scene = Scene.load(scene_dir)
    if spec.asset_hashes:
        AssetHashes(scene).check(spec.support, spec.asset_hashes, where=str(scene_dir))
    elif spec.scene_fingerprint and spec.scene_fingerprint != scene_fingerprint(scene_dir):
        raise InputError(f"{scene_dir} has changed since {spec_file} was made.", hint="Generate a new dataset.")
    known = (spec_file.parent / "meta.json").exists() or spec_file.parent.parent.name == "variants"
    stored = Episode.read(spec_file.parent) if known else None
    job = Job(
        scene_dir=scene_dir, dataset_dir=scene_dir, recipe=spec.recipe, seed=spec.seed,
        scene_fingerprint=spec.scene_fingerprint, simulator=simulator, pictures=True,
    )  # fmt: skip
    maker = Maker(job, scene=scene)
    again = maker.simulate(spec)
    beside = out.absolute().parent if out is not None else None
    if beside is not None:
        beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".replay-") as tmp:
        partial = Path(tmp) / "episode"
        partial.mkdir()
        if out is not None or (stored is not None and stored.videos):
            maker.render(again, partial)
        parts = _compare(stored, again, partial) if stored is not None else {}
        if out is not None:
            again.write(partial)
            commit(partial, out)
    return {"same": all(parts.values()), "parts": parts, "success": again.success, "reason": again.reason}


def _compare(stored: Episode, again: Episode, folder: Path) -> dict[str, bool]:
    parts = {name: bool(np.array_equal(a, again.arrays()[name])) for name, a in stored.arrays().items()}
    return parts | {n: (folder / path.name).read_bytes() == path.read_bytes() for n, path in stored.videos.items()}
