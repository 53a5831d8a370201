"""Policies for closed loops: `load_policy("localhost:8000")`, `load_policy("my_module:act")`, and two to compare with."""

from phone2sim.sim_export.policies.base import Policy as Policy
from phone2sim.sim_export.policies.base import load_policy as load_policy
from phone2sim.sim_export.policies.base import run_episode as run_episode
