"""The synthetic phone clip with exact truth beside it: `make_sample` writes it, `make_scene` keeps it in memory."""

from phone2sim.sample.clip import make_sample as make_sample
from phone2sim.sample.scene import SampleConfig as SampleConfig
from phone2sim.sample.scene import SampleScene as SampleScene
from phone2sim.sample.scene import make_scene as make_scene
