"""Attempts on one capture, from the cheapest to the dearest, each checked before it counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import ReconstructionError
from phone2sim.progress import message
from phone2sim.reconstruct.capture.record import Capture
from phone2sim.reconstruct.sfm.checks import Verdict, judge, judge_device
from phone2sim.reconstruct.sfm.child import run_worker
from phone2sim.reconstruct.sfm.config import SfmConfig
from phone2sim.reconstruct.sfm.device import device_alignment
from phone2sim.reconstruct.sfm.job import Method
from phone2sim.reconstruct.sfm.lenses import expected_focal, make_job
from phone2sim.reconstruct.sfm.model import SparseModel, read_model
from phone2sim.reconstruct.sfm.motion import only_turns, stands_still


@dataclass(frozen=True, kw_only=True)
class Candidate:
    model: SparseModel
    sparse: Path
    verdict: Verdict


class Ladder:
    """Attempts on one capture, from the cheapest to the dearest, and the best accepted one."""

    def __init__(self, capture: Capture, work: Path, config: SfmConfig) -> None:
        self.capture, self.work, self.config = capture, work, config
        self.total = len(capture.frames)
        self.focal = {f.file: expected_focal(f, config) for f in capture.frames}
        self.trusted = all(f.focal_px or f.lens for f in capture.frames)
        self.sources = {f.file: f.source for f in capture.frames}
        self.attempts: list[dict[str, Any]] = []
        self.best: Candidate | None = None
        self.databases: dict[str, Path] = {}
        few = self.total <= config.all_pairs_up_to
        more = 2 if self.total <= 30 else 1  # all pairs of many frames are dear enough without more features
        self.settings = {
            "coarse": {
                "max_side": config.max_side, "max_features": config.max_features, "first_octave": 0,
                "all_pairs": False, "overlap": config.overlap, "neighbours": config.neighbours,
            },
            "fine": {
                "max_side": max(config.max_side, 1280), "max_features": more * config.max_features,
                "first_octave": -1, "all_pairs": few, "overlap": 2 * config.overlap, "neighbours": 2 * config.neighbours,
            },
        }  # fmt: skip

    def enough(self) -> bool:
        return self.best is not None and len(self.best.model.cameras) >= self.config.retry_below * self.total

    def climb(self) -> None:
        """The pictures alone. Raises when the camera did not move, or when the very first attempt crashes."""
        rescue: Method = "held" if self.trusted else "loose"
        rungs: list[tuple[Method, str]] = [
            ("incremental", "coarse"), (rescue, "coarse"), ("incremental", "fine"), (rescue, "fine"), ("global", "fine"),
        ]  # fmt: skip
        for number, (method, detail) in enumerate(rungs):
            if number and not (method == rescue and detail == "coarse"):
                message(f"{self.most()} of {self.total} frames fit together; trying again with finer features.")
            try:
                report = self.attempt(method, detail)
            except ReconstructionError:
                if number == 0:
                    raise
                continue
            if stands_still(report):
                raise ReconstructionError(
                    f"The camera stands still: matched points move {report['largest_motion']:.1%} of the picture at most.",
                    hint="Walk round the scene while filming.",
                )
            if only_turns(report):
                raise ReconstructionError(
                    "The camera only turned on the spot: one rotation explains what moves between the pictures.",
                    hint="Walk round the scene while filming, so that near things shift against far ones.",
                )
            if self.enough() and not (self.trusted and method == "incremental" and self.off_focal()):
                return

    def off_focal(self) -> bool:
        return self.best is not None and any("differs from EXIF" in f for f in self.best.verdict.flag)

    def attempt(self, method: Method, detail: str) -> dict[str, Any]:
        """One child process; its model becomes the best when it passes the checks and has more cameras."""
        folder = self.work / f"attempt{len(self.attempts) + 1}"
        folder.mkdir(parents=True)
        attempt: dict[str, Any] = {"method": method, **self.settings[detail], "registered": 0, "refused": []}
        self.attempts.append(attempt)
        matched = f"{detail}, {method}" if method == "known" else detail
        job = make_job(
            self.capture, folder, self.config, method, self.settings[detail], database=self.databases.get(matched),
            features=self.databases.get(f"{detail}, known"),
        )  # fmt: skip
        try:
            report = run_worker(job, folder, time_limit_s=self.config.time_limit_s)
        except ReconstructionError as e:
            attempt["refused"] = [e.message]
            raise
        self.databases.setdefault(matched, folder / "database.db")
        attempt.update(report)
        if report["registered"] < 3:
            attempt["refused"] = ["fewer than 3 frames fit together"]
            return attempt
        model = read_model(folder / "model.npz", self.sources)
        lax = method in ("held", "loose", "global")
        verdict = judge(model, self.focal, trusted=self.trusted, held=method in ("held", "known"), strict=lax)
        attempt["refused"] = list(verdict.refuse)
        if method == "known":
            attempt["refused"] += self.contradiction(model)
        if abs(np.log(report.get("wanted_focal", 1.0))) > np.log(1.2):
            attempt["refused"].append(
                f"held at the EXIF's focal length, the pictures want {report['wanted_focal']:.2f} times that"
            )
        if attempt["refused"]:
            return attempt
        if method == "held" and np.allclose(model.cameras.K[:, 0, 0], [self.focal[n] for n in model.cameras.names]):
            verdict = replace(
                verdict, flag=(*verdict.flag, "the focal length is the EXIF's: the motion does not tell it")
            )
        if method == "global":
            verdict = replace(verdict, flag=(*verdict.flag, "the cameras come from global mapping, the last resort"))
        better = self.best is None or len(model.cameras) > len(self.best.model.cameras)
        swap = method == "held" and self.off_focal() and self.best is not None
        if better or (swap and self.best is not None and len(model.cameras) == len(self.best.model.cameras)):
            self.best = Candidate(model=model, sparse=folder / "sparse", verdict=verdict)
        return attempt

    def known(self) -> None:
        """From the device's poses; a crash there only means that the pictures have to do."""
        try:
            self.attempt("known", "coarse")
        except ReconstructionError as e:
            message(e.message)

    def contradiction(self, model: SparseModel) -> list[str]:
        """Whether poses refined by the pictures are still the device's."""
        alignment = device_alignment(model, self.capture)
        if alignment is None:
            return ["the pictures move the cameras to other places"]
        if alignment.rotation_deg > 10:
            return [f"the pictures turn the cameras by {alignment.rotation_deg:.0f}°"]
        return []

    def device_alone(self) -> Candidate | None:
        """The device's metric poses as they are, where the pictures show too little to refine them.

        None when what little the pictures show speaks against them, or when nothing gives any points.
        """
        try:
            report = self.attempt("device", "coarse" if "coarse" in self.databases else "fine")
        except ReconstructionError:
            return None
        folder = self.work / f"attempt{len(self.attempts)}"
        if report["registered"] < 3:
            return None
        model = read_model(folder / "model.npz", self.sources)
        verdict = judge_device(model)
        self.attempts[-1]["refused"] = list(verdict.refuse)
        return None if verdict.refuse else Candidate(model=model, sparse=folder / "sparse", verdict=verdict)

    def most(self) -> int:
        return max((a["registered"] for a in self.attempts), default=0)

    def refusal(self) -> str:
        """Why there are no cameras."""
        if self.best is not None:
            return f"Only {len(self.best.model.cameras)} of {self.total} frames fit together; the cameras are not reliable."
        tried = [a for a in self.attempts if a["registered"] >= 3 and a["method"] != "global"] or self.attempts
        most = max(tried, key=lambda a: a["registered"])
        contrary = [why for a in tried for why in a["refused"] if "the pictures want" in why]
        if contrary and most["registered"] >= self.config.min_registered * self.total:
            return f"No reliable cameras: {most['registered']} of {self.total} frames fit together, but {contrary[0]}."
        pairs = max(a.get("verified_pairs", 0) for a in self.attempts)
        if most["registered"] < 3 or pairs < 2 * self.total:
            match = (
                f"only {pairs} pair{'s' * (pairs > 1)} of them match{'es' * (pairs == 1)}"
                if pairs
                else "no two of them match"
            )
            return f"No cameras found: the {self.total} frames do not overlap enough, {match}{_but(most)}."
        return (
            f"No reliable cameras: {most['registered']} of {self.total} frames fit together, but {most['refused'][0]}."
        )

    def advice(self) -> str:
        features = [a["median_features"] for a in self.attempts if "median_features" in a]
        if features and features[-1] < 300:
            return "The pictures show too little texture: add light, and objects or print around the scene."
        return "Take neighbouring pictures closer together (a hand's width), walking round the scene, all in focus."


def _but(attempt: dict[str, Any]) -> str:
    if attempt["registered"] < 3:
        return ""
    return f"; {attempt['registered']} seem to fit together, but {attempt['refused'][0]}"
