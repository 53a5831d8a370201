"""Pictures of a finished demo for the docs: `python docs/make_pictures.py DEMO docs/img`. Writes objects.jpg, episodes.jpg and pairs.jpg."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from phone2sim.assets.preview import asset_picture
from phone2sim.assets.scene import Scene
from phone2sim.augment.pairs import for_target
from phone2sim.augment.recipe import PairsRecipe, load_recipe
from phone2sim.augment.sampler import sample_episode, workspace_of
from phone2sim.keys import Key
from phone2sim.sim_export.episode import read_frames
from phone2sim.sim_export.pairs import pair_of
from phone2sim.sim_export.pictures import SpecPictures
from phone2sim.sim_export.workers import Job, Maker

WIDTH, GAP = 1200, 12


def sheet(pictures: list[np.ndarray], columns: int) -> Image.Image:
    """Equal pictures (h, w, 3) row by row on white, `WIDTH` wide."""
    w = (WIDTH - GAP * (columns - 1)) // columns
    h = w * pictures[0].shape[0] // pictures[0].shape[1]
    rows = -(-len(pictures) // columns)
    out = Image.new("RGB", (WIDTH, rows * h + (rows - 1) * GAP), "white")
    for i, p in enumerate(pictures):
        at = (i % columns) * (w + GAP), (i // columns) * (h + GAP)
        out.paste(Image.fromarray(p).resize((w, h), Image.Resampling.LANCZOS), at)
    return out


def episodes(demo: Path, n: int = 4) -> list[np.ndarray]:
    """Halfway through the first episodes: the front camera's pictures, then the side camera's."""
    drawn = []
    for camera in ("front", "side"):
        for video in sorted((demo / "picks" / "lerobot" / "videos" / f"observation.images.{camera}").rglob("*.mp4"))[:n]:
            frames = list(read_frames(video))
            drawn.append(frames[len(frames) // 2])
    return drawn


def pairs(scene_dir: Path) -> list[np.ndarray]:
    """One moment of one trajectory: as simulated, then other views, lights, clutter and sensors."""
    scene = Scene.load(scene_dir)
    recipe = for_target(for_target(load_recipe("default"), "wam"), "vla")
    recipe = recipe.model_copy(update={"pairs": PairsRecipe(views=2, lights=2, clutter=1, sensor=2)})
    ws = workspace_of(scene, recipe)
    job = Job(scene_dir=scene_dir, dataset_dir=scene_dir, recipe="default", seed=0, scene_fingerprint="", simulator="mujoco", pictures=False)
    maker = Maker(job, scene=scene)
    for index in range(20):
        base = maker.simulate(sample_episode(scene, recipe, Key(4), index, workspace=ws))
        if base.success and len(base.spec.objects) < 5:
            break
    found, _ = pair_of(scene, recipe, base, workspace=ws)
    t = len(base) // 2
    every = [base, *found]
    return [SpecPictures(scene, e.spec, e.robot_bodies).draw(e.object_poses[t], e.robot_poses[t], t)["front"] for e in every]


if __name__ == "__main__":
    demo, folder = Path(sys.argv[1]), Path(sys.argv[2])
    made = {"objects": (([asset_picture(a) for a in Scene.load(demo / "scene").assets]), 3), "episodes": (episodes(demo), 4), "pairs": (pairs(demo / "scene"), 4)}
    for name, (pictures, columns) in made.items():
        sheet(pictures, columns).save(folder / f"{name}.jpg", quality=88)
