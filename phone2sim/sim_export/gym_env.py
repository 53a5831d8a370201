"""`SceneEnv`: a scene as a Gymnasium environment. Imported by whoever wants one; nothing else loads Gymnasium.

    env = gymnasium.make("phone2sim.sim_export.gym_env:phone2sim/Scene-v0", scene="kitchen", recipe="default")

Each reset draws the next episode of the recipe; `reset(options={"index": 7})` draws that one. The reward is what the task's
progress gained; an episode terminates when the task is done and is truncated when its time is up.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import gymnasium  # noqa: TID253
import numpy as np
from gymnasium import spaces  # noqa: TID253

from phone2sim.assets.scene import Scene
from phone2sim.augment.recipe import Recipe, load_recipe
from phone2sim.augment.sampler import sample_episode
from phone2sim.augment.spec import EpisodeSpec
from phone2sim.augment.workspace import PlacementError
from phone2sim.keys import Key
from phone2sim.sim_export.robots import get_robot, robot_workspace
from phone2sim.sim_export.world import Control, World

REDRAWS = 50
"""Episodes passed over at a reset because their objects do not fit or do not settle."""
PROMPT_CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " "


class SceneEnv(gymnasium.Env):
    """Observation: `{images: {camera: (h, w, 3) uint8}, state: (j + 1,) float32, prompt: text}`. Action: see `World`."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self, scene: Scene | Path | str, recipe: Recipe | Path | str = "default", *, control: Control = "ee_delta",
        pictures: bool = True, simulator: str = "mujoco", render_mode: str | None = None,
    ) -> None:  # fmt: skip
        self.scene = scene if isinstance(scene, Scene) else Scene.load(Path(scene))
        self.recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
        self.render_mode = render_mode
        self.world = World(self.scene, control=control, pictures=pictures, simulator=simulator)
        self._workspace = robot_workspace(self.scene, self.recipe)
        self._index = -1
        self._seed = 0
        self.metadata = {**self.metadata, "render_fps": self.recipe.task.fps}
        camera, robot = self.recipe.camera, get_robot(self._workspace.reach.model)
        picture = spaces.Box(0, 255, (camera.height, camera.width, 3), np.uint8)
        state = spaces.Box(-10, 10, (len(robot.joints) + 1,), np.float32)
        prompt = spaces.Text(512, charset=PROMPT_CHARACTERS)
        cameras = (*camera.names, "wrist") if camera.wrist else camera.names
        images = spaces.Dict({name: picture for name in cameras} if pictures else {})
        self.observation_space = spaces.Dict({"images": images, "state": state, "prompt": prompt})
        low, high = self.world.bounds_of(robot)
        self.action_space = spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Set up the next episode that can be set up, or the one at `options["index"]`, or `options["spec"]`."""
        super().reset(seed=seed)
        options = options or {}
        if seed is not None:
            self._seed, self._index = seed, -1
        if "spec" in options:
            observation = self.world.reset(options["spec"])
        else:
            observation = self._next(int(options.get("index", self._index + 1)))
        self._progress = self.world.progress
        self._observation = observation
        return observation, self._info()

    def step(self, action: np.ndarray) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.world.step(action)
        gained = self.world.progress - self._progress
        self._progress += gained
        self._observation = self.world.observe()
        done = not self.world.reason
        return self._observation, float(gained), done, self.world.over and not done, self._info()

    def render(self) -> np.ndarray | None:
        """All cameras of the last observation side by side, (h, k w, 3) uint8."""
        images = list(self._observation["images"].values())
        return np.concatenate(images, axis=1) if self.render_mode == "rgb_array" and images else None

    def _next(self, first: int) -> Any:
        for index in range(first, first + REDRAWS):
            self._index = index
            try:
                spec = self._draw(index)
            except PlacementError:
                continue
            observation = self.world.reset(spec)
            if not self.world.reason.startswith("unsettled"):
                return observation
        raise PlacementError(
            f"None of episodes {first} to {self._index} could be set up.", hint="Ask for less clutter."
        )

    def _draw(self, index: int) -> EpisodeSpec:
        return sample_episode(self.scene, self.recipe, Key(self._seed), index, workspace=self._workspace)

    def _info(self) -> dict[str, Any]:
        return {
            "index": self.world.spec.index, "progress": self.world.progress, "success": not self.world.reason,
            "reason": self.world.reason,
        }  # fmt: skip


gymnasium.register(id="phone2sim/Scene-v0", entry_point="phone2sim.sim_export.gym_env:SceneEnv")
