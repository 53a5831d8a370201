"""A scene or a dataset in the browser (viser): what was captured, what is simulated, what each episode did."""

from phone2sim.sim_export.viewer.dataset import DatasetView, show_dataset
from phone2sim.sim_export.viewer.scene import SceneView, show_scene

__all__ = ["DatasetView", "SceneView", "show_dataset", "show_scene"]
