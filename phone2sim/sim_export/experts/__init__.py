"""Experts by name: `make_expert("scripted", scene)`."""

from __future__ import annotations

from pathlib import Path

from phone2sim.assets.scene import Scene
from phone2sim.errors import InputError, did_you_mean
from phone2sim.sim_export.experts.base import Command, Expert, Infeasible

EXPERTS = ("scripted", "planner")

__all__ = ["EXPERTS", "Command", "Expert", "Infeasible", "make_expert"]


def make_expert(name: str, scene: Scene) -> Expert:
    """The expert of that name, or one that replays a file of demonstrations (`hand.csv`, `umi.zarr.zip@60`).

    Raises `InputError` listing the known ones, or as `read_recordings`.
    """
    if name == "scripted":
        from phone2sim.sim_export.experts.scripted import ScriptedExpert

        return ScriptedExpert(scene)
    if name == "planner":
        from phone2sim.sim_export.experts.planner import SamplingPlanner

        return SamplingPlanner(scene)
    if name.partition("@")[0].lower().endswith((".csv", ".zarr", ".zarr.zip")):
        from phone2sim.sim_export.experts.demonstration import DemonstrationExpert

        return DemonstrationExpert(scene, Path(name))
    raise InputError(f"No expert {name!r};", hint=did_you_mean(name, EXPERTS) + " Or give a .csv or .zarr file.")
