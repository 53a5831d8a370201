"""The robustness exam: any policy over a held-out grid of a scene, one axis at a time."""

from phone2sim.sim_export.exam.grid import EXAM_AXES as EXAM_AXES
from phone2sim.sim_export.exam.run import ExamConfig as ExamConfig
from phone2sim.sim_export.exam.run import run_exam as run_exam
