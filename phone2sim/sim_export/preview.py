"""`preview`: the first moments of a few episodes on one sheet, without simulating or planning anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.augment.recipe import Recipe
from phone2sim.augment.sampler import sample_episode
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.augment.workspace import PlacementError
from phone2sim.errors import GateError
from phone2sim.keys import Key
from phone2sim.sim_export.pictures import SpecPictures
from phone2sim.sim_export.robots import get_robot, robot_workspace

COLUMNS = 4


def preview(scene: Scene, recipe: Recipe, out: Path, *, n: int, seed: int, samples: int = 0) -> dict[str, int]:
    """Write a contact sheet of `n` episodes, each as its first camera sees it, to the picture `out`. Objects stand where they are
    placed, a millimetre above the table. With `samples` it is path traced, with so many paths a pixel. Returns `drawn` and
    `rejected`. Raises `GateError` when nothing could be placed, `MissingDependencyError` for paths without Mitsuba."""
    from phone2sim.images import write_rgb

    pictures, rejected = [], 0
    for spec in _specs(scene, recipe, seed):
        if spec is None:
            rejected += 1
            if rejected > 10 * n:
                break
            continue
        pictures.append(_look(scene, spec, samples))
        if len(pictures) == n:
            break
    if not pictures:
        raise GateError(f"None of {rejected} arrangements could be placed.", hint="Lower clutter.count or the clearances.")
    write_rgb(out, sheet(pictures))
    return {"drawn": len(pictures), "rejected": rejected}


def sheet(pictures: list[np.ndarray], columns: int = COLUMNS) -> np.ndarray:
    """Pictures (h, w, 3) of one size in rows; what is missing in the last row is grey."""
    columns = min(columns, len(pictures))
    grey = np.full_like(pictures[0], 128)
    cells = pictures + [grey] * (-len(pictures) % columns)
    return np.concatenate([np.concatenate(cells[i : i + columns], axis=1) for i in range(0, len(cells), columns)])


def _specs(scene: Scene, recipe: Recipe, seed: int) -> Iterator[EpisodeSpec | None]:
    ws = robot_workspace(scene, recipe)
    index = 0
    while True:
        try:
            yield sample_episode(scene, recipe, Key(seed), index, workspace=ws)
        except PlacementError:
            yield None
        index += 1


def _look(scene: Scene, spec: EpisodeSpec, samples: int) -> np.ndarray:
    robot = get_robot(spec.robot.model)
    bodies = tuple(dict.fromkeys(p.body for p in robot.render_parts()))
    spec = spec.model_copy(update={"cameras": spec.cameras[:1]})
    objects = np.array([[*o.pose.translation, *o.pose.quat_wxyz] for o in spec.objects])
    return next(iter(SpecPictures(scene, spec, bodies, samples=samples).draw(objects, start_poses(spec, bodies), 0).values()))


def start_poses(spec: EpisodeSpec, bodies: tuple[str, ...]) -> np.ndarray:
    """(b, 7) poses of robot bodies at the spec's start, by forward kinematics."""
    import mujoco

    robot = get_robot(spec.robot.model)
    model = robot.build(visual=False).compile()
    base = model.body("base").id
    model.body_pos[base], model.body_quat[base] = spec.robot.base.translation, spec.robot.base.quat_wxyz
    data = mujoco.MjData(model)
    for joint, q in zip(robot.joints, spec.robot.qpos):
        data.qpos[model.joint(joint).qposadr[0]] = q
    for finger, q in zip(robot.fingers, robot.finger_positions(spec.robot.gripper)):
        data.qpos[model.joint(finger).qposadr[0]] = q
    mujoco.mj_kinematics(model, data)
    ids = [model.body(b).id for b in bodies]
    return np.concatenate([data.xpos[ids], data.xquat[ids]], axis=1)
