"""Branches: from one state, several actions, and what each of them leads to."""

from phone2sim.sim_export.branches.run import BranchConfig as BranchConfig
from phone2sim.sim_export.branches.run import branch as branch
from phone2sim.sim_export.branches.value import ValueModel as ValueModel
