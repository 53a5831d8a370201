"""The episodes of a dataset in the browser: pick one, play it, look at it from anywhere."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.scene import Scene
from phone2sim.poses import Pose
from phone2sim.sim_export.episode import Episode
from phone2sim.sim_export.pictures import PartPoses, spec_parts
from phone2sim.sim_export.viewer.draw import add_camera, add_mesh, add_splat, look_at
from phone2sim.sim_export.viewer.scene import middle


@dataclass(kw_only=True)
class DatasetView:
    """An episode that is shown, and the controls that choose another one."""

    server: Any
    scene: Scene
    folders: list[Path]
    which: Any = None
    frame: Any = None
    playing: Any = None
    cameras: Any = None
    about: Any = None
    episode: Episode | None = None
    poses: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 4, 4)))
    """(t, parts, 4, 4) T_world_part of the episode that is shown."""
    nodes: list[Any] = field(default_factory=list)

    def open(self, index: int) -> None:
        """Show episode `index` of `folders`, at its first frame."""
        self.server.scene.remove_by_name("/episode")
        self.episode = Episode.read(self.folders[index])
        parts = spec_parts(self.scene, self.episode.spec)
        self.poses = PartPoses(self.episode.spec, self.episode.robot_bodies).of(self.episode.object_poses, self.episode.robot_poses)
        first = [Pose.from_matrix(T) for T in self.poses[0]]
        self.nodes = [
            add_mesh(self.server, f"/episode/{k:03d}_{p.name.replace('/', '_')}", p.mesh, pose, rgb=np.asarray(p.rgb))
            for k, (p, pose) in enumerate(zip(parts, first, strict=True))
        ]
        group = self.server.scene.add_frame("/episode/cameras", show_axes=False, visible=self.cameras.value)
        self.cameras.on_update(lambda _: setattr(group, "visible", self.cameras.value))
        for c in self.episode.spec.cameras:
            T = Pose(np.array(c.pose.translation), np.array(c.pose.quat_wxyz)).matrix
            add_camera(self.server, f"/episode/cameras/{c.name}", T, np.array(c.K), c.width, c.height, scale=0.06)
        self.frame.max, self.frame.value = len(self.episode) - 1, 0
        spec, outcome = self.episode.spec, "success" if self.episode.success else f"failed: {self.episode.reason}"
        self.about.content = f"“{spec.task.language}” · {outcome} · {len(self.episode)} frames · recipe {spec.recipe}"

    def show(self, t: int) -> None:
        """Move everything to frame `t`."""
        for node, T in zip(self.nodes, self.poses[t], strict=True):
            pose = Pose.from_matrix(T)
            node.position, node.wxyz = pose.translation, pose.quat_wxyz

    def step(self) -> None:
        """One frame further, from the last to the first, where playing is on."""
        if self.playing.value and self.episode is not None:
            self.frame.value = (self.frame.value + 1) % len(self.episode)


def show_dataset(server: Any, scene: Scene, folders: list[Path]) -> DatasetView:
    """Put the episodes in `folders` into a `viser.ViserServer`, with controls; the first one is shown."""
    look_at(server, *middle(scene))
    first = Episode.read(folders[0]).spec.cameras
    if first:
        server.initial_camera.position = first[0].pose.translation
    add_splat(server, "/background/splat", scene.background)
    view = DatasetView(server=server, scene=scene, folders=folders)
    names = tuple(f.name for f in folders)
    view.which = server.gui.add_dropdown("Episode", names, initial_value=names[0])
    view.playing = server.gui.add_checkbox("Play", initial_value=True)
    view.frame = server.gui.add_slider("Frame", min=0, max=1, step=1, initial_value=0)
    view.cameras = server.gui.add_checkbox("Its cameras", initial_value=False)
    view.about = server.gui.add_markdown("")
    view.which.on_update(lambda _: view.open(names.index(view.which.value)))
    view.frame.on_update(lambda _: view.show(min(int(view.frame.value), len(view.poses) - 1)))
    view.open(0)
    return view


def play(view: DatasetView) -> None:
    """Play until interrupted, at the episode's own rate."""
    while True:
        view.step()
        time.sleep(1 / (view.episode.spec.fps if view.episode is not None else 20))
