"""The report: one self-contained HTML file about a scene, a dataset, or both, read from what lies on disk."""

from phone2sim.sim_export.report.facts import DatasetFacts, SceneFacts, read_dataset, read_scene
from phone2sim.sim_export.report.page import write_report

__all__ = ["DatasetFacts", "SceneFacts", "read_dataset", "read_scene", "write_report"]
