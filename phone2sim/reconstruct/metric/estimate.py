"""Scale and gravity by a vote of evidence: `Metric` says what was decided, how surely, and who voted for what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.config import Config
from phone2sim.errors import ReconstructionError
from phone2sim.intervals import Interval
from phone2sim.keys import Key
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.metric.plane import Plane, View, angle_deg, camera_up, find_support, where_cameras_look
from phone2sim.reconstruct.metric.tags import Tag, look_for_tags, sheet_normal, sheet_vote, tag_vote, triangulate_tags
from phone2sim.reconstruct.sfm.model import SparseModel


class MetricConfig(Config):
    """Evidence for scale and up."""

    tag_size_m: float | None = None
    """Edge [m] of AprilTags (tag36h11) that are not the phone2sim sheet's; None: they do not count."""
    handheld_m: tuple[float, float, float] = (0.3, 0.6, 1.5)
    """Without a tag: lowest, likeliest and highest median distance from the phone to what it sees [m]."""
    tag_frames: int = 60
    """Pictures searched for tags."""
    seed: int = 0
    """Seed of the plane search."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """p_world = T_world_model · (scale · p_model): metres, z up, the support plane at z = 0."""

    scale: Interval
    """Metres per unit of the SfM model."""
    scale_source: str
    """`sheet`, `tag` or `handheld prior`."""
    up_source: str
    """`support plane`, `sheet` or `cameras`."""
    up_interval_deg: float
    T_world_model: np.ndarray
    """(4, 4), applied after scaling."""
    support: dict[str, Any] | None
    """Figures of the support plane [m], or None when none was found."""
    votes: tuple[dict[str, Any], ...]
    flagged: tuple[str, ...]

    @property
    def scale_interval(self) -> tuple[float, float]:
        """Lowest and highest factor by which true lengths may differ from reconstructed ones."""
        return self.scale.low / self.scale.value, self.scale.high / self.scale.value

    def to_json(self) -> dict[str, Any]:
        return {
            "scale": self.scale.to_json(),
            "scale_source": self.scale_source,
            "scale_interval": [round(v, 5) for v in self.scale_interval],
            "up_source": self.up_source,
            "up_interval_deg": round(self.up_interval_deg, 2),
            "support": self.support,
            "votes": list(self.votes),
            "flagged": list(self.flagged),
        }


def estimate_metric(model: SparseModel, frames: Path, config: MetricConfig) -> Metric:
    """Vote on scale and up of an SfM model. `frames` is the folder of its pictures."""
    tags = triangulate_tags(model.cameras, look_for_tags(model.cameras, frames, most=config.tag_frames))
    return decide(model, tags, config)


def decide(model: SparseModel, tags: dict[int, Tag], config: MetricConfig) -> Metric:
    """The pure part: from the model and its triangulated tags."""
    if len(model.xyz) < 4:
        raise ReconstructionError("The reconstruction has no points to measure.", hint="Take more overlapping photos.")
    view = where_cameras_look(model.cameras, model.xyz, model.obs_point, model.obs_camera)
    flagged: list[str] = []
    scale, scale_source, votes = _vote_scale(tags, view, config, flagged)
    up, up_deg, up_source, plane, up_votes = _vote_up(model, tags, view, config, flagged)
    T = _world(model, view, up, plane, scale.value)
    support = None
    if plane is not None:
        support = {
            "found": True, "inliers": plane.inliers, "part": round(plane.part, 3), "height": 0.0,
            "residual_m": round(plane.residual * scale.value, 6),
        }  # fmt: skip
    return Metric(
        scale=scale, scale_source=scale_source, up_source=up_source, up_interval_deg=up_deg, T_world_model=T,
        support=support, votes=tuple([*votes, *up_votes]), flagged=tuple(flagged),
    )  # fmt: skip


def _vote_scale(
    tags: dict[int, Tag], view: View, config: MetricConfig, flagged: list[str]
) -> tuple[Interval, str, list[dict[str, Any]]]:
    low, value, high = (d / view.reach for d in config.handheld_m)
    prior = Interval(value=value, low=low, high=high, why="phones are held at arm's length")
    cast: list[tuple[str, Interval]] = []
    if (vote := sheet_vote(tags)) is not None:
        cast.append(("sheet", vote))
    if config.tag_size_m is not None:
        if (vote := tag_vote(tags, config.tag_size_m)) is not None:
            cast.append(("tag", vote))
        else:
            flagged.append("no tag of the given size was seen in three pictures that agree")
    cast.append(("handheld prior", prior))
    source, scale = cast[0]
    for other, vote in cast[1:]:
        if vote.low > scale.high or vote.high < scale.low:
            flagged.append(f"the {other} says {vote.value / scale.value:.2f} times the {source}'s scale")
    if source == "handheld prior":
        flagged.append("the scale is a guess from how far phones are held; print the scale sheet for a true one")
    return scale, source, [{"about": "scale", "source": s, **v.to_json()} for s, v in cast]


def _vote_up(
    model: SparseModel, tags: dict[int, Tag], view: View, config: MetricConfig, flagged: list[str]
) -> tuple[np.ndarray, float, str, Plane | None, list[dict[str, Any]]]:
    held = camera_up(model.cameras)
    on_sheet = sheet_normal(tags)
    lies_flat = on_sheet is not None and angle_deg(on_sheet[0], held.up) < (30 if held.uncertain_deg <= 5 else 65)
    sure = (model.track_length >= 3) & (model.error_px < 2.0)
    plane = find_support(
        model.xyz[sure], model.cameras, view, held, Key(config.seed).child("support"),
        extra=on_sheet[0] if on_sheet is not None and lies_flat else None,
    )  # fmt: skip
    votes = [{"about": "up", "source": "cameras", "from_chosen_deg": held.up, "interval_deg": held.uncertain_deg}]
    if on_sheet is not None:
        votes.append({"about": "up", "source": "sheet", "from_chosen_deg": on_sheet[0], "interval_deg": 1.0})
    if plane is not None:
        up, deg, source = plane.normal, plane.uncertain_deg, "support plane"
        votes.append({"about": "up", "source": source, "from_chosen_deg": up, "interval_deg": round(deg, 2)})
        if on_sheet is not None and lies_flat and angle_deg(on_sheet[0], up) > 3:
            flagged.append(f"the sheet is tilted by {angle_deg(on_sheet[0], up):.1f}° against the support plane")
    else:
        flagged.append("no support plane was found: nothing can be stood on it")
        if on_sheet is not None and lies_flat:
            up, deg, source = on_sheet[0], 1.0, "sheet"
        else:
            up, deg, source = held.up, held.uncertain_deg, "cameras"
            flagged.append("up is taken from how the phone was held")
    for vote in votes:
        vote["from_chosen_deg"] = round(angle_deg(np.asarray(vote["from_chosen_deg"]), up), 2)
    return up, deg, source, plane, votes


def _world(model: SparseModel, view: View, up: np.ndarray, plane: Plane | None, scale: float) -> np.ndarray:
    """(4, 4): z along `up`, z = 0 on the plane, the origin in the middle of what the cameras look at, x to the right of
    the first camera."""
    z = up / np.linalg.norm(up)
    x = model.cameras.T_world_camera[0, :3, 0]
    x = x - (x @ z) * z
    if np.linalg.norm(x) < 1e-3:
        x = np.cross(model.cameras.T_world_camera[0, :3, 1], z)
    x = x / np.linalg.norm(x)
    R = np.stack([x, np.cross(z, x), z])
    if plane is not None:
        height, origin = plane.height, _looked_at(model.cameras, plane, view)
    else:
        near = np.linalg.norm(model.xyz - view.focus, axis=1) < view.reach
        heights = (model.xyz[near] if near.sum() >= 20 else model.xyz) @ z
        height, origin = float(np.quantile(heights, 0.02)), view.focus
    origin = origin + (height - origin @ z) * z
    T = np.eye(4)
    T[:3, :3] = R
    T[:3, 3] = -R @ origin * scale
    return T


def _looked_at(cameras: Cameras, plane: Plane, view: View) -> np.ndarray:
    """Median of where the optical axes meet the plane; the focus when they hardly do."""
    c, a = cameras.centres, cameras.T_world_camera[:, :3, 2]
    down = -(a @ plane.normal)
    t = (c @ plane.normal - plane.height) / np.where(down > 0.05, down, np.inf)
    hit = (t > 0) & (t < 4 * view.reach)
    if hit.sum() < 0.5 * len(c):
        return view.focus
    return np.median(c[hit] + t[hit, None] * a[hit], axis=0)
