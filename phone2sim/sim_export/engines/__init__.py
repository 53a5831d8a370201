"""Physics engines in Pythons of their own: where they are, and the line protocol that drives them."""

from phone2sim.sim_export.engines.catalog import ENGINES, Engine, find_engine, find_python, installed_version
from phone2sim.sim_export.engines.process import EngineError, EngineProcess

__all__ = ["ENGINES", "Engine", "EngineError", "EngineProcess", "find_engine", "find_python", "installed_version"]
