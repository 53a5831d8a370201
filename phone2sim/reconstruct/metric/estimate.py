"""Scale and gravity by a vote of evidence: `Metric` says what was decided, how surely, and who voted for what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from phone2sim.config import Config
from phone2sim.errors import ReconstructionError
from phone2sim.images import read_rgb
from phone2sim.intervals import Interval
from phone2sim.keys import Key
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.capture.record import Capture
from phone2sim.reconstruct.metric.board import board_normal, board_vote, look_for_board, parse_board, triangulate_board
from phone2sim.reconstruct.metric.device import depth_vote, device_depths, device_up_vote, imu_up_vote, poses_vote
from phone2sim.reconstruct.metric.length import parse_picked_length, picked_vote
from phone2sim.reconstruct.metric.plane import CameraUp, Plane, View, camera_up, find_support, where_cameras_look
from phone2sim.reconstruct.metric.reference import REFERENCES, find_rectangles, reference_vote
from phone2sim.reconstruct.metric.tags import Tag, look_for_tags, sheet_normal, sheet_vote, tag_vote, triangulate_tags
from phone2sim.reconstruct.metric.votes import (
    ScaleDecision,
    ScaleVote,
    UpDecision,
    UpVote,
    angle_deg,
    combine_scale,
    combine_up,
)
from phone2sim.reconstruct.sfm.device import device_alignment
from phone2sim.reconstruct.sfm.model import SparseModel

LEVEL_DEG = 2.0
"""How far from level tables stand."""


class MetricConfig(Config):
    """Evidence for scale and up."""

    tag_size_m: float | None = None
    """Edge [m] of AprilTags (tag36h11) that are not the phone2sim sheet's; None: they do not count."""
    charuco: str | None = None
    """A ChArUco board in view, `COLUMNSxROWS:SQUARE:MARKER:FAMILY` [m]."""
    references: tuple[Literal["a4", "letter", "card", "auto"], ...] = ()
    """Things of known size in view. `auto` looks for all of them, but only guesses."""
    length_points: tuple[str, ...] = ()
    """Known lengths between picked points, `FRAME:x,y to FRAME:x,y = METRES`."""
    handheld_m: tuple[float, float, float] = (0.3, 0.6, 1.5)
    """Without a tag: lowest, likeliest and highest median distance from the phone to what it sees [m]."""
    tag_frames: int = 60
    """Pictures searched for tags and boards."""
    reference_frames: int = 24
    """Pictures searched for sheets and cards."""
    seed: int = 0
    """Seed of the plane search."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was found out besides tags and the model itself."""

    scale: tuple[ScaleVote, ...] = ()
    up: tuple[UpVote, ...] = ()
    on_plane: Callable[[Plane | None], Sequence[ScaleVote]] | None = None
    """Votes that need the support plane."""
    flagged: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Metric:
    """p_world = T_world_model · (scale · p_model): metres, z up, the support plane at z = 0."""

    scale: Interval
    """Metres per unit of the SfM model."""
    scale_source: str
    """Who decided, the heaviest first, joined by ` + `; names as in `votes.TRUST`."""
    up_source: str
    """Who decided on up, the heaviest: `support plane`, `sheet`, `board`, `device`, `imu` or `cameras`."""
    up_interval_deg: float
    T_world_model: np.ndarray
    """(4, 4), applied after scaling."""
    support: dict[str, Any] | None
    """Figures of the support plane [m], or None when none was found."""
    votes: tuple[dict[str, Any], ...]
    flagged: tuple[str, ...]
    decided: str = ""
    """One line on who decided the scale."""
    distance_m: float | None = None
    """Median distance from the cameras to what they see."""

    @property
    def scale_interval(self) -> tuple[float, float]:
        """Lowest and highest factor by which true lengths may differ from reconstructed ones."""
        return self.scale.low / self.scale.value, self.scale.high / self.scale.value

    def to_json(self) -> dict[str, Any]:
        return {
            "scale": self.scale.to_json(),
            "scale_source": self.scale_source,
            "scale_interval": [round(v, 5) for v in self.scale_interval],
            "decided": self.decided,
            "up_source": self.up_source,
            "up_interval_deg": round(self.up_interval_deg, 2),
            "support": self.support,
            "distance_m": self.distance_m,
            "votes": list(self.votes),
            "flagged": list(self.flagged),
        }


def estimate_metric(
    model: SparseModel, frames: Path, config: MetricConfig, *, capture: Capture | None = None,
    depths: Mapping[str, np.ndarray] | None = None,
) -> Metric:  # fmt: skip
    """Vote on scale and up of an SfM model. `frames` is the folder of its pictures.

    `capture` brings what the device knows and the names that picked points use. `depths` are predicted metric depth maps
    (h', w') [m] by frame name; they only guess.
    """
    tags = triangulate_tags(model.cameras, look_for_tags(model.cameras, frames, most=config.tag_frames))
    return decide(model, tags, config, evidence=gather(model, frames, config, capture=capture, depths=depths))


def gather(
    model: SparseModel, frames: Path, config: MetricConfig, *, capture: Capture | None = None,
    depths: Mapping[str, np.ndarray] | None = None,
) -> Evidence:  # fmt: skip
    """Everything but tags: board, sheets and cards, the device, predicted depth, typed lengths."""
    scale: list[ScaleVote | None] = []
    up: list[UpVote | None] = []
    flagged: list[str] = []
    if config.charuco is not None:
        board = parse_board(config.charuco)
        seen = look_for_board(model.cameras, frames, board, most=config.tag_frames)
        points = triangulate_board(model.cameras, seen)
        scale.append(vote := board_vote(points, board, views=len(seen)))
        if vote is None:
            flagged.append("the ChArUco board was not seen in three pictures that agree")
        elif (normal := board_normal(points, board)) is not None:
            up.append(UpVote(source="board", up=normal, within_deg=1.0))
    if config.references:
        named = [r for r in config.references if r != "auto"]
        names = list(REFERENCES) if "auto" in config.references else named

        def read(i: int) -> np.ndarray:
            return read_rgb(frames / model.cameras.names[i])

        found = find_rectangles(model.cameras, read, names, most=config.reference_frames)
        for name in names:
            vote, note = reference_vote(found, name, named=name in named)
            scale.append(vote)
            flagged += [note] if note else []
    if capture is not None and capture.device is not None:
        alignment = device_alignment(model, capture)
        up.append(device_up_vote(alignment, capture))
        if capture.device.metric:
            scale.append(poses_vote(alignment))
            scale.append(depth_vote(model, device_depths(model, capture), "device depth"))
            if alignment is None and any(f.T_world_camera is not None for f in capture.frames):
                flagged.append("the device's poses contradict the pictures and do not count")
    if capture is not None:
        up.append(imu_up_vote(model, capture))
    if depths:
        scale.append(depth_vote(model, depths, "monocular depth"))
    lengths = [parse_picked_length(t) for t in config.length_points] if capture is not None else []

    def on_plane(plane: Plane | None) -> list[ScaleVote]:
        assert capture is not None
        return [picked_vote(length, model, capture, plane=plane) for length in lengths]

    return Evidence(
        scale=tuple(v for v in scale if v is not None), up=tuple(v for v in up if v is not None),
        on_plane=on_plane if lengths else None, flagged=tuple(flagged),
    )  # fmt: skip


def decide(
    model: SparseModel, tags: dict[int, Tag], config: MetricConfig, *, evidence: Evidence | None = None
) -> Metric:
    """The pure part: from the model, its triangulated tags and other evidence."""
    if len(model.xyz) < 4:
        raise ReconstructionError("The reconstruction has no points to measure.", hint="Take more overlapping photos.")
    evidence = evidence or Evidence()
    view = where_cameras_look(model.cameras, model.xyz, model.obs_point, model.obs_camera)
    up, plane, up_rows, up_flags = _vote_up(model, tags, view, config, evidence.up)
    votes = [*_tag_votes(tags, config), *evidence.scale]
    votes += evidence.on_plane(plane) if evidence.on_plane is not None else ()
    low, value, high = (d / view.reach for d in config.handheld_m)
    prior = Interval(value=value, low=low, high=high, why="phones are held at arm's length")
    votes.append(ScaleVote(source="handheld prior", interval=prior, guess=True))
    decision = combine_scale(votes)
    flagged = list(evidence.flagged)
    if config.tag_size_m is not None and not any(v.source == "tag" for v in votes):
        flagged.append("no tag of the given size was seen in three pictures that agree")
    T = _world(model, view, up.up, plane, decision.scale.value)
    support = None
    if plane is not None:
        support = {
            "found": True, "inliers": plane.inliers, "part": round(plane.part, 3), "height": 0.0,
            "residual_m": round(plane.residual * decision.scale.value, 6),
        }  # fmt: skip
    return Metric(
        **scale_fields(votes, decision), up_source=up.sources[0], up_interval_deg=up.within_deg, T_world_model=T,
        distance_m=view.reach * decision.scale.value, support=support, votes=(*scale_rows(votes, decision), *up_rows),
        flagged=(*flagged, *scale_flags(votes, decision), *up_flags),
    )  # fmt: skip


def scale_fields(votes: Sequence[ScaleVote], decision: ScaleDecision) -> dict[str, Any]:
    """`scale`, `scale_source` and `decided` of a `Metric`."""
    s, names = decision.scale, decision.sources
    width = 50 * (s.high - s.low) / s.value
    if all(v.guess for v in votes):
        decided = f"nothing measured the scale; the {' and the '.join(names)} guess{'es' if len(names) == 1 else ''} it"
    elif len(names) == 1:
        decided = f"the {names[0]} decided (± {width:.2g} %)"
    else:
        decided = f"the {', '.join(names[:-1])} and {names[-1]} agree and decided together (± {width:.2g} %)"
    pairs = zip(votes, decision.verdicts, strict=True)
    lost = list(dict.fromkeys(v.source for v, d in pairs if d.why.startswith("outvoted")))
    decided += f", against the {' and the '.join(lost)}" if lost else ""
    return {"scale": s, "scale_source": " + ".join(names), "decided": decided}


def scale_rows(votes: Sequence[ScaleVote], decision: ScaleDecision) -> list[dict[str, Any]]:
    """The votes on scale as `metric.json` lists them."""
    return [
        {
            "about": "scale", "source": v.source, **v.interval.to_json(), "floor": v.floor, "guess": v.guess,
            "used": d.used, "verdict": d.why,
        }
        for v, d in zip(votes, decision.verdicts, strict=True)
    ]  # fmt: skip


def scale_flags(votes: Sequence[ScaleVote], decision: ScaleDecision) -> list[str]:
    """What a reader must know about the scale."""
    flags = list(decision.flagged)
    if decision.sources == ("handheld prior",):
        flags.append("the scale is a guess from how far phones are held; print the scale sheet for a true one")
    elif all(v.guess for v in votes):
        flags.append(f"the scale is a guess: {' and '.join(decision.sources)} estimate it, nothing measured it")
    return flags


def _tag_votes(tags: dict[int, Tag], config: MetricConfig) -> list[ScaleVote]:
    cast = []
    if (vote := sheet_vote(tags)) is not None:
        cast.append(ScaleVote(source="sheet", interval=vote, floor=0.003))
    if config.tag_size_m is not None and (vote := tag_vote(tags, config.tag_size_m)) is not None:
        cast.append(ScaleVote(source="tag", interval=vote, floor=0.005))
    return cast


def _vote_up(
    model: SparseModel, tags: dict[int, Tag], view: View, config: MetricConfig, others: tuple[UpVote, ...]
) -> tuple[UpDecision, Plane | None, list[dict[str, Any]], list[str]]:
    held = camera_up(model.cameras)
    votes = [UpVote(source="cameras", up=held.up, within_deg=held.uncertain_deg, guess=True)]
    gravity = [v for v in others if v.source in ("device", "imu")]
    prior = held
    if gravity:
        known = combine_up([*gravity, *votes])
        if angle_deg(known.up, held.up) < (30 if held.uncertain_deg <= 5 else 75):
            prior = CameraUp(up=known.up, uncertain_deg=min(3.0, known.within_deg))
    most_deg = 30 if prior.uncertain_deg <= 5 else 65
    flagged: list[str] = []
    flat: list[UpVote] = []
    printed = [v for v in others if v.source not in ("device", "imu")]
    if (on_sheet := sheet_normal(tags)) is not None:
        printed.append(UpVote(source="sheet", up=on_sheet[0], within_deg=1.0))
    for vote in printed:
        if angle_deg(vote.up, prior.up) < most_deg:
            flat.append(vote)
        else:
            flagged.append(f"the {vote.source} does not lie flat and says nothing about up")
    sure = (model.track_length >= 3) & (model.error_px < 2.0)
    plane = find_support(
        model.xyz[sure], model.cameras, view, prior, Key(config.seed).child("support"),
        extra=flat[0].up if flat else None,
    )  # fmt: skip
    votes += [*gravity, *flat]
    if plane is not None:
        votes.append(UpVote(source="support plane", up=plane.normal, within_deg=plane.uncertain_deg, level_deg=LEVEL_DEG))
    decision = combine_up(votes)
    flagged += decision.flagged
    if plane is None:
        flagged.append("no support plane was found: nothing can be stood on it")
    elif "support plane" not in decision.sources:
        flagged.append("the surface found is not level: nothing can be stood on it")
        plane = None
    if decision.sources == ("cameras",):
        flagged.append("up is taken from how the phone was held")
    rows = [
        {
            "about": "up", "source": v.source, "from_chosen_deg": round(angle_deg(v.up, decision.up), 2),
            "interval_deg": round(v.within_deg, 2), "used": d.used, "verdict": d.why,
        }
        for v, d in zip(votes, decision.verdicts, strict=True)
    ]  # fmt: skip
    return decision, plane, rows, flagged


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
