"""The assets stage: from cameras and a splat to a `Scene` of textured, weighed objects and a background without them."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.background import clear_background, slabs
from phone2sim.assets.classify import DEFAULT as CLIP
from phone2sim.assets.classify import ClipClassifier, cut_out, find_model, open_classifier
from phone2sim.assets.edits import edited, said_of
from phone2sim.assets.emptied import from_empty
from phone2sim.assets.everywhere import Everywhere, find_everywhere, joined
from phone2sim.assets.fewer import PHYSX_FACES
from phone2sim.assets.halfseen import close_half_seen
from phone2sim.assets.hidden import write_hidden
from phone2sim.assets.lasting import Known, last_known, named
from phone2sim.assets.lift import close_bodies, finish
from phone2sim.assets.light import CapturedLight
from phone2sim.assets.lit import lit
from phone2sim.assets.masks import write_masks
from phone2sim.assets.once import find_objects_once, with_depth
from phone2sim.assets.overrides import Override, read_overrides
from phone2sim.assets.preview import asset_picture, splat_picture
from phone2sim.assets.scene import Asset, Light, Scene, Upright, asset_json
from phone2sim.assets.segmenters import (
    Placed,
    Prompt,
    Segmenter,
    Surroundings,
    choose,
    locate,
    open_segmenter,
    parse_box,
    parse_pick,
    place,
)
from phone2sim.assets.segmenters.geometric import nearness
from phone2sim.assets.segmenters.weights import fetch
from phone2sim.assets.uprights import staying
from phone2sim.assets.validity import looked_at, scene_validity
from phone2sim.assets.views import View, render_views, spread
from phone2sim.config import Config, read_json
from phone2sim.errors import InputError, did_you_mean
from phone2sim.images import write_rgb
from phone2sim.progress import abreast, message
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.empty import empty_stage
from phone2sim.reconstruct.points import read_points_ply
from phone2sim.reconstruct.splat.cloud import SplatCloud
from phone2sim.stage import StageResult, fingerprint_files, read_manifest, run_stage

VERSION = 39
FEW_VIEWS = 24
"""With fewer pictures than this the held-out ones also give their colours."""


class AssetsConfig(Config):
    """How objects are cut out and closed."""

    view_side: int = 640
    """Longer side of the pictures that depth and masks are rendered at [px]."""
    photo_side: int = 1280
    """Longer side of the photos that textures come from [px]."""
    max_views: int = 40
    """Pictures used to close bodies and bake textures, spread evenly over the capture."""
    min_size: float = 0.02
    """Least height and width of an object relative to the filming distance."""
    max_share: float = 0.35
    """Largest share of the support's area one object may cover."""
    faces: int = 4000
    """Triangles of an object's visual mesh at most."""
    texture_px: int = 512
    """Side of an object's texture [px]."""
    hull_concavity: float = 0.06
    """CoACD's concavity bound where one convex hull is not enough."""
    hull_faces: int = PHYSX_FACES
    """Triangles of one collision hull at most."""
    hull_parts: int = 12
    """Collision hulls of an object at most; then the bound on concavity is not kept."""
    segmenter: str = "geometric"
    """Who cuts objects out: geometric, sam or sam-automatic."""
    sam_model: str = "vit_b"
    """Segment Anything's weights: vit_b, vit_l or vit_h; SAM 2's are hiera_t, hiera_s, hiera_b and hiera_l."""
    sam_checkpoint: str | None = None
    """File of Segment Anything's weights; None fetches those of `sam_model`."""
    classifier: str = "none"
    """Who says what objects look like, where the user does not name them: none or clip."""
    clip_model: str | None = None
    """Folder or name of the CLIP model; None is the default one."""
    picks: tuple[str, ...] = ()
    """Only the objects at these points, `x,y@frame`."""
    boxes: tuple[str, ...] = ()
    """Only the objects in these boxes, `x0,y0,x1,y1@frame`."""
    empty: str | None = None
    """Clip or photos of the same place without the objects: the ground under them is then seen instead of filled in."""

    def settings(self) -> dict[str, Any]:
        """What a result depends on; who segments only where that is not geometry, what is picked only where something is."""
        later = ("segmenter", "sam_model", "sam_checkpoint", "classifier", "clip_model", "picks", "boxes")
        unset = {k for k in later if getattr(self, k) == type(self).model_fields[k].default} | {"empty"}  # a stage of its own
        if self.segmenter == "geometric":
            unset |= {"sam_model", "sam_checkpoint"}
        return self.model_dump(mode="json", exclude=unset)


class _Clock:
    """CPU seconds by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def lap(self, step: str) -> None:
        now = time.process_time()
        self.seconds[step] = round(self.seconds.get(step, 0) + now - self._last, 2)
        self._last = now


def fetch_models(config: AssetsConfig) -> None:
    """Have the weights that `build_assets` will need, before minutes go into what comes first.

    Raises `InputError` and `MissingDependencyError` as `open_segmenter` and `open_classifier` do.
    """
    if config.segmenter != "geometric" and config.sam_checkpoint is None:
        fetch(config.sam_model)
    if config.classifier == "clip":
        find_model(config.clip_model or CLIP)


def build_assets(scene_dir: Path, config: AssetsConfig | None = None, *, force: bool = False) -> StageResult:
    """Make `scene_dir/scene` from `capture/`, `cameras/` and `splat/`; the user's `scene_dir/assets.toml` wins.

    An empty clip is fitted into the scene first, as the stage `scene_dir/empty`. Raises `InputError` when an earlier stage has not run,
    and for an empty clip of another place or with the objects still in it. Without a support plane the scene is background only,
    and says so in its notes.
    """
    config = config or AssetsConfig()
    inputs = {}
    for stage in ("capture", "cameras", "splat"):
        manifest = read_manifest(scene_dir / stage)
        if manifest is None:
            raise InputError(f"{scene_dir} has no finished {stage}/ stage.", hint="Run: phone2sim build CAPTURE -o SCENE")
        inputs[stage] = str(manifest["fingerprint"])
    user = scene_dir / "assets.toml"
    overrides = read_overrides(user)
    inputs["assets.toml"] = fingerprint_files(user) if user.exists() else ""
    if config.segmenter != "geometric" and config.sam_checkpoint is not None:
        inputs["sam_checkpoint"] = fingerprint_files(Path(config.sam_checkpoint))
    if config.empty is not None:
        inputs["empty"] = empty_stage(Path(config.empty), scene_dir, force=force).fingerprint
    prompts = [parse_pick(t) for t in config.picks] + [parse_box(t) for t in config.boxes]
    return run_stage(
        scene_dir / "scene", version=VERSION, config=config.settings(), inputs=inputs, force=force,
        compute=lambda folder: _compute(scene_dir, folder, config, overrides, prompts),
    )  # fmt: skip


def _compute(
    scene_dir: Path, folder: Path, config: AssetsConfig, overrides: dict[str, Override], prompts: list[Prompt]
) -> dict[str, Any]:
    clock = _Clock()
    cameras = Cameras.load(scene_dir / "cameras" / "transforms.json")
    metric = read_json(scene_dir / "cameras" / "metric.json")
    cloud = SplatCloud.load_ply(scene_dir / "splat" / "splat.ply")
    notes: list[str] = []
    for p in prompts:
        locate(p, cameras, scene_dir / "capture")
    segmenter = open_segmenter(config.segmenter, model=config.sam_model, checkpoint=config.sam_checkpoint)
    classifier = open_classifier(config.clip_model or CLIP) if config.classifier == "clip" else None
    views: list[View] = []
    placed: list[Placed] = []
    there: Everywhere | None = None
    if metric.get("support"):
        views = render_views(
            cloud, cameras, scene_dir / "capture" / "frames", max_side=config.view_side, photo_side=config.photo_side
        )
        clock.lap("depth")
        placed = [place(p, cameras, views, scene_dir / "capture") for p in prompts]
        once = scene_dir / "cameras" / "depth.npy"  # a single photo: its own depth, in metres
        if once.exists():
            views = [with_depth(views[0], np.load(once))]
            found = find_objects_once(views[0], min_size=config.min_size, max_share=config.max_share)
            there = None if found is None else Everywhere(founds=(found,))
            if segmenter.name != "geometric":
                message(f"One photo: its objects are cut out by depth, not by {segmenter.name}.")
        else:
            geometry = [views[i] for i in spread(len(views), config.max_views)]
            there = find_everywhere(geometry, min_size=config.min_size, max_share=config.max_share)
            there = _pointed(there, placed, views, segmenter)
        if there is not None:
            said = [replace(f, support=replace(f.support, surface=said_of(f.support.surface, overrides))) for f in there.founds]
            there = replace(there, founds=tuple(said))
        clock.lap("fuse and segment")
    if there is None:
        notes.append("no support plane found: background-only scene")
        message("No support plane found: the scene is background only, without objects.")
        scene = _background_only(scene_dir, cameras, metric, cloud, notes)
        scene.save(folder)
        _preview_background(folder, cloud, cameras, config)
        return _result(scene, clock, {})
    known = last_known(scene_dir / "scene", cameras, overrides)
    assets, background, light, solid, known = _objects(
        cloud, there, views, config, overrides, metric, notes, clock, folder, cameras, segmenter, placed, classifier, known
    )
    found = there.founds[0]
    middle = found.support.surface.T_world_surface.translation
    uprights = (*there.uprights, *solid)
    scene = Scene(
        cameras=cameras, metric=metric, supports=there.supports, walls=there.walls, uprights=uprights, assets=tuple(assets), background=background,
        background_mesh=slabs([*there.supports, *there.walls, *uprights]), light=light.light, validity=_validity(scene_dir, cloud, cameras, middle),
        notes=tuple(notes),
    )  # fmt: skip
    scene.save(folder)
    hidden = {} if found.once is None else {"hidden": write_hidden(folder / "hidden", found, views[0])}
    _preview_background(folder, background, cameras, config)
    for asset in assets:
        write_rgb(folder / "preview" / f"{asset.name}.png", asset_picture(asset))
    clock.lap("save and preview")
    refused = [{"reason": r.reason, "centre": r.centre.tolist(), "extents": r.extents.tolist()} for f in there.founds for r in f.refused]
    more = {"refused": refused, "objects": [k.to_json() for k in known], "light": light.to_json()}
    return _result(scene, clock, hidden | more | {"support_noise_m": found.support.noise_m, "tilt_rad": found.support.tilt_rad})


def _objects(
    cloud: SplatCloud, there: Everywhere, views: list[View], config: AssetsConfig, overrides: dict[str, Override],
    metric: dict[str, Any], notes: list[str], clock: _Clock, folder: Path, cameras: Cameras, segmenter: Segmenter,
    placed: list[Placed], classifier: ClipClassifier | None, known: list[Known],
) -> tuple[list[Asset], SplatCloud, CapturedLight, list[Upright], list[Known]]:  # fmt: skip
    """The movable ones, the background without them, its light, what of it is solid, and all objects as the next build will know them."""
    found = there.founds[0]
    if found.once is not None:
        standing, parts = [found], [close_half_seen(cloud, found, views[0])]
        notes.append("one photo: hidden sides of objects and hidden parts of the support are guessed")
    else:
        standing = [f for i, f in enumerate(there.founds) if i == 0 or f.clusters]
        parts = [close_bodies(cloud, f, views, max_views=config.max_views, segmenter=segmenter) for f in standing]
    bodies = joined(parts)
    grounds = [f for f, part in zip(standing, parts) for _ in part.solids]
    clock.lap("close bodies and masks")
    names, known = named([s.mesh for s in bodies.solids], known)
    gone = {k.name for k in known} - set(names)
    edit = edited(bodies, overrides, names, gone=gone)
    bodies = edit.bodies
    wanted = (choose(placed, bodies.masks, names) if placed else set(range(1, len(names) + 1))) - edit.merged - edit.dropped
    unknown = sorted(set(overrides) - set(names) - {s.name for s in there.supports})
    if unknown:
        lost = "was found by an earlier build and not this time" if unknown[0] in gone else "is not among the objects"
        note = f"assets.toml names {unknown[0]!r}, which {lost}; {did_you_mean(unknown[0], names)}"
        notes.append(note)
        message(note)
    some = _trained(views, folder.parent, config.max_views)
    chosen = [views[i] for i in some]
    ids = [k for k in sorted(wanted) if overrides.get(names[k - 1], Override()).movable]
    stays = sorted(set(range(1, len(names) + 1)) - set(ids) - edit.merged - edit.dropped)

    def finished(k: int) -> Asset:
        name, ground, override = names[k - 1], grounds[k - 1], overrides.get(names[k - 1], Override())
        shown = [bodies.masks[i] == k for i in some]
        pictures = cut_out(chosen, shown) if classifier is not None and not (override.name or override.label or override.material) else []
        asset = finish(
            name, bodies.solids[k - 1], cloud.take(bodies.labels == k), chosen, shown, level=ground.support.surface.height_m,
            voxel=ground.scales.voxel, override=override, faces=config.faces, texture_px=config.texture_px, concavity=config.hull_concavity,
            hull_faces=config.hull_faces, hull_parts=config.hull_parts,
            scale=_scale_factors(metric), closed_as=bodies.notes[k - 1], support=ground.support.surface.material,
            looks=classifier.looks(pictures) if classifier is not None and pictures else None,
        )  # fmt: skip
        return replace(asset, support=ground.support.surface.name)

    assets = list(abreast(finished, ids, "Finishing objects"))
    solid = []
    hulls = [a.T_world_asset.apply(np.concatenate([h.vertices for h in a.hulls]).astype(float)) for a in assets]
    for k in stays:
        name = overrides.get(names[k - 1], Override()).name or names[k - 1]
        if (upright := staying(bodies.solids[k - 1].mesh, hulls, name=name)) is not None:
            solid.append(upright)
        else:
            notes.append(f"{name} stays in the background and is not solid: something stands within its outline")
    twice = [name for name, n in Counter([a.name for a in assets] + [u.name for u in solid]).items() if n > 1]
    if twice:
        raise InputError(f"assets.toml gives two objects the name {twice[0]!r}.", hint="Make names unique.")
    clock.lap("texture, hulls, physics")
    light, assets, lifts = lit(assets, standing, bodies, grounds, chosen, [m > 0 for m in bodies.masks[some]])
    clock.lap("light")
    removed = [*ids, *sorted(edit.dropped)]
    background = clear_background(cloud, there, bodies, grounds, removed, chosen, bodies.masks[some], lifts)
    if config.empty is not None and removed:
        called = {k: names[k - 1] for k in removed} | {k: a.name for k, a in zip(ids, assets)}
        background, left = from_empty(
            background, cloud, there, bodies, grounds, called, lifts, folder.parent / "empty", view_side=config.view_side,
            photo_side=config.photo_side,
        )  # fmt: skip
        notes.append("the ground under the objects is painted from a clip without them" + (f", but for {', '.join(left)}" if left else ""))
    clock.lap("background")
    write_masks(folder / "masks", bodies.masks, ids, views, cameras)
    clock.lap("write masks")
    return assets, background, light, solid, known


def _trained(views: list[View], scene_dir: Path, limit: int) -> np.ndarray:
    """At most `limit` indices of the pictures that colours come from: not those held out for judging, unless few are left."""
    held = {p.stem.removesuffix("_photo") for p in (scene_dir / "splat" / "heldout").glob("*_photo.png")}
    seen = np.array([i for i, v in enumerate(views) if Path(v.name).stem not in held], int)
    seen = seen if len(seen) >= FEW_VIEWS else np.arange(len(views))
    return seen[spread(len(seen), limit)]


def _pointed(there: Everywhere | None, placed: list[Placed], views: list[View], segmenter: Segmenter) -> Everywhere | None:
    """The user's finger first: what it points at is an object, even where geometry had its doubts."""
    if there is None or not placed:
        return there
    founds = list(there.founds)
    for p in placed:
        i = max(range(len(founds)), key=lambda k: nearness(p, founds[k].clusters, founds[k].refused, views[p.view]))
        f = founds[i]
        around = Surroundings(level=f.support.surface.height_m, clear_m=f.clear_m, cell=f.cell)
        clusters, refused = segmenter.pointed([p], f.clusters, f.refused, views, around)
        founds[i] = replace(f, clusters=clusters, refused=refused)
    return replace(there, founds=tuple(founds))


def _validity(scene_dir: Path, cloud: SplatCloud, cameras: Cameras, center: np.ndarray) -> dict[str, Any]:
    sparse, metrics = scene_dir / "cameras" / "points.ply", scene_dir / "splat" / "metrics.json"
    points = read_points_ply(sparse)[0] if sparse.exists() else np.zeros((0, 3))
    return scene_validity(cloud, cameras, points, read_json(metrics) if metrics.exists() else {}, center=center)


def _background_only(scene_dir: Path, cameras: Cameras, metric: dict[str, Any], cloud: SplatCloud, notes: list[str]) -> Scene:
    return Scene(
        cameras=cameras, metric=metric, supports=(), assets=(), background=cloud, background_mesh=None, light=Light.default(),
        validity=_validity(scene_dir, cloud, cameras, looked_at(cameras.T_world_camera)), notes=tuple(notes),
    )  # fmt: skip


def _preview_background(folder: Path, cloud: SplatCloud, cameras: Cameras, config: AssetsConfig) -> None:
    small = cameras.resized(config.view_side)
    i = len(small) // 2
    w, h = (int(x) for x in small.size_wh[i])
    write_rgb(folder / "preview" / "background.png", splat_picture(cloud, small.K[i], small.T_camera_world[i], w, h))


def _scale_factors(metric: dict[str, Any]) -> tuple[float, float]:
    """Between which factors (low, high) true lengths lie, relative to reported ones."""
    scale = metric["scale"]
    return scale["low"] / scale["value"], scale["high"] / scale["value"]


def _result(scene: Scene, clock: _Clock, more: dict[str, Any]) -> dict[str, Any]:
    keys = ("name", "label", "material", "mass_kg", "volume_m3", "extents_m", "T_world_asset", "visual", "hulls")
    rows = []
    for a in scene.assets:
        row = asset_json(a)
        rows.append({k: row[k] for k in keys} | {"visual": f"{a.name}/visual.glb", "hulls": [f"{a.name}/{h}" for h in row["hulls"]]})
    return {
        "assets": rows,
        "supports": [{"name": s.name, "height_m": s.height_m, "outline": s.outline.tolist()} for s in scene.supports],
        "notes": list(scene.notes),
        "cpu_seconds": clock.seconds,
        **more,
    }
