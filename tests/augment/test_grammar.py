"""What is understood, what it becomes, and what the errors say."""

import pytest

from phone2sim.augment import load_recipe, sample_episode
from phone2sim.augment.tasks.grammar import understand, with_task
from phone2sim.errors import InputError
from phone2sim.keys import Key
from tests.sim_export.scenes import box_asset, can_asset, scene_of

SCENE = scene_of(
    box_asset("cube", size=(0.04, 0.04, 0.04)), box_asset("box", size=(0.09, 0.09, 0.04), xy=(0.2, 0.1), rgb=(60, 160, 60)),
    can_asset("can", xy=(-0.2, 0.1)),
)  # fmt: skip


def meaning(text):
    found = understand(text, SCENE)
    return {k: getattr(v, "value", v) for k, v in found.items() if k != "templates"}


@pytest.mark.parametrize("text, wanted", [
    ("pick up the can", {"kind": "pick", "target": "can"}),
    ("Grab the red block!", {"kind": "pick", "target": "cube"}),
    ("put the can left of the box", {"kind": "place", "target": "can", "relation": "left of", "reference": "box"}),
    ("put the can to the left of the box", {"kind": "place", "target": "can", "relation": "left of", "reference": "box"}),
    ("Please place the cube on top of the can.", {"kind": "place", "target": "cube", "relation": "on", "reference": "can"}),
    ("put the cube into the can", {"kind": "place", "target": "cube", "relation": "in", "reference": "can"}),
    ("move the can in front of the green block", {"kind": "place", "target": "can", "relation": "in front of", "reference": "box"}),
    ("pick up the can and put it behind the box", {"kind": "place", "target": "can", "relation": "behind", "reference": "box"}),
    ("put anything next to the can", {"kind": "place", "target": "any", "relation": "next to", "reference": "can"}),
    ("put the can to the left", {"kind": "place", "target": "can", "where": "to the left"}),
    ("push the can away", {"kind": "push", "target": "can", "where": "farther away"}),
    ("slide the box next to the can", {"kind": "push", "target": "box", "relation": "next to", "reference": "can"}),
    ("stack the cube on the box", {"kind": "stack", "target": "cube", "reference": "box"}),
    ("clear the table", {"kind": "clear", "where": ""}),
    ("tidy up", {"kind": "clear", "where": ""}),
    ("clear everything to the left", {"kind": "clear", "where": "to the left"}),
])  # fmt: skip
def test_what_is_understood(text, wanted):
    assert meaning(text) == wanted


@pytest.mark.parametrize("text, message", [
    ("juggle the can", r"Cannot understand 'juggle the can'. Understood are: pick up X; .* X and Y: can, green block, red block, or any"),
    ("put the can", "'put the can' does not say where"),
    ("push the can on the box", "Cannot understand"),
    ("stack the cube next to the box", "Cannot understand"),
    ("put the kan left of the box", "No 'kan' in the scene; it has can, green block, red block. Did you mean can?"),
    ("put the vase left of the box", 'No \'vase\' in the scene; .* Or say "any object"'),
    ("put the block left of the can", r"'block' could be green block or red block; say which"),
    ("put the can left of the can", "names 'can' twice"),
    ("clear the vase", "Cannot understand"),
    ("", "Cannot understand ''"),
])  # fmt: skip
def test_what_is_not(text, message):
    with pytest.raises(InputError, match=message):
        understand(text, SCENE)


def test_a_sentence_becomes_episodes_that_say_it():
    recipe = with_task(load_recipe("default"), "put the can left of the box", SCENE)
    for i in range(2):
        spec = sample_episode(SCENE, recipe, Key(0), i)
        assert spec.task.language == "Put the can left of the box." and spec.task.target == "can"
    bare = with_task(load_recipe("default"), "push", SCENE)
    assert sample_episode(SCENE, bare, Key(0), 0).task.kind == "push"
    assert with_task(load_recipe("default"), "", SCENE) == load_recipe("default")
