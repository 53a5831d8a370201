"""`Judge`: watches an episode and says how far its task is done and, at the end, what went wrong."""

from __future__ import annotations

import numpy as np

from phone2sim.augment.spec import EpisodeSpec
from phone2sim.augment.tasks import Moment, get_task
from phone2sim.sim_export.simulators.base import Simulator

SETTLE_MOVE_M = 0.03


def unsettled(spec: EpisodeSpec, settled: np.ndarray) -> str:
    """Empty, or the reason why the settled poses (n, 7) are not the arrangement that was asked for."""
    for o, p in zip(spec.objects, settled):
        if np.linalg.norm(p[:3] - np.array(o.pose.translation)) > SETTLE_MOVE_M:
            return f"unsettled:{o.asset}"
    return ""


class Judge:
    """Judges one episode from the moment it has settled. `look` once per frame: lifts are remembered."""

    def __init__(self, spec: EpisodeSpec, start: np.ndarray) -> None:
        self.spec = spec
        self.task = get_task(spec.task.kind, spec.task.file)
        self.start = np.array(start)
        self._highest = np.zeros(len(start))

    def look(self, sim: Simulator) -> Moment:
        """The world now."""
        return self.moment(sim.object_poses(), sim.object_speeds(), sim.touched(), remember=True)

    def moment(self, poses: np.ndarray, speeds: np.ndarray, touched: np.ndarray, *, remember: bool = False) -> Moment:
        """A state (n, 7), (n,), (n,) of the same episode as a `Moment`, real or imagined; `remember` for real ones."""
        highest = np.maximum(self._highest, poses[:, 2] - self.start[:, 2])
        if remember:
            self._highest = highest
        return Moment(
            spec=self.spec, start=self.start, poses=poses, speeds=speeds, touched=touched, highest=highest
        )

    def progress(self, now: Moment) -> float:
        """0–1."""
        return float(np.clip(self.task.progress(now), 0.0, 1.0))

    def failure(self, now: Moment) -> str:
        """Empty for success."""
        return self.task.failure(now)
