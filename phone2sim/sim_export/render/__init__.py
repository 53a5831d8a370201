"""Episode pictures: splat background, mesh foreground, shadows, one sensor."""

from phone2sim._native.layer import Shot as Shot
from phone2sim._native.mesh import Truth as Truth
from phone2sim.sim_export.render.background import BackgroundCache as BackgroundCache
from phone2sim.sim_export.render.compositor import EpisodeRenderer as EpisodeRenderer
from phone2sim.sim_export.render.parts import RenderPart as RenderPart
