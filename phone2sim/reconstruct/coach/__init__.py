"""The capture coach: what is wrong with a capture, on which frames, and what to do, before hours are spent on it."""

from phone2sim.reconstruct.coach.coach import coach_stage as coach_stage
from phone2sim.reconstruct.coach.coach import look as look
from phone2sim.reconstruct.coach.coach import read_coach as read_coach
from phone2sim.reconstruct.coach.coach import write_sheet as write_sheet
from phone2sim.reconstruct.coach.finding import CoachReport as CoachReport
from phone2sim.reconstruct.coach.finding import Finding as Finding
