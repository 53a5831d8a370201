"""A task of your own in thirty lines: bring two objects together by pushing.

    phone2sim generate kitchen -o gathered --task examples/gather_task.py

`cast` says which objects it is about, `draft` where they stand; `progress` and `failure` judge any state. The planner
needs no more than `progress`: it imagines pushes in physics and carries out the best.
"""

import numpy as np

from phone2sim.augment.tasks import Draft, Moment, Stage, Task, register

NEAR_M = 0.12


@register
class Gather(Task):
    kind = "gather"
    templates = ("Push the {target} to the {reference}.", "Bring the {target} and the {reference} together.")
    expert = "planner"
    needs_gripper = False

    def cast(self, stage: Stage):
        target = stage.target(grasped=False)
        return target, stage.reference(target)

    def draft(self, stage: Stage, *cast) -> Draft | None:
        target = stage.stand(cast[0])
        reference = stage.stand(cast[1], target)
        apart = np.linalg.norm(target.xy - reference.xy)
        return Draft(objects=(target, reference), goals=()) if apart > 2 * NEAR_M else None

    def distance(self, poses: np.ndarray) -> float:
        return float(np.linalg.norm(poses[0, :2] - poses[1, :2]))

    def progress(self, now: Moment) -> float:
        first, here = self.distance(now.start), self.distance(now.poses)
        return float(np.clip((first - here) / (first - NEAR_M), 0, 1))

    def failure(self, now: Moment) -> str:
        if self.distance(now.poses) > NEAR_M:
            return "apart"
        return "not_at_rest" if now.speeds[:2].max() > 0.03 else ""
