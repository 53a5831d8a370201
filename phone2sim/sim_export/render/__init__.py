"""Episode pictures: splat background, mesh foreground, shadows, one sensor."""

from phone2sim.sim_export.render.background import BackgroundCache as BackgroundCache
from phone2sim.sim_export.render.compositor import EpisodeRenderer as EpisodeRenderer
from phone2sim.sim_export.render.compositor import RenderPart as RenderPart
from phone2sim.sim_export.render.compositor import Truth as Truth
