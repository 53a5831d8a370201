"""What users point at: the syntax, the way from a picture's pixels to a view's, and the choice of the object."""

from dataclasses import replace

import numpy as np
import pytest

from phone2sim.assets.segmenters import Prompt, choose, parse_box, parse_pick, place
from phone2sim.assets.segmenters.prompts import Placed
from phone2sim.config import write_json
from phone2sim.errors import AssetError, InputError
from phone2sim.reconstruct.sfm.model import project


def test_syntax():
    assert parse_pick(" 812.5, 455@0003.jpg").xy == (812.5, 455) and parse_pick("1,2@a@b").frame == "a@b"
    assert parse_box("1,2,30,40@IMG 1.heic") == Prompt(option="--box", text="1,2,30,40@IMG 1.heic", frame="IMG 1.heic", xy=(1, 2, 30, 40))


@pytest.mark.parametrize("text", ["", "1,2", "1@0003.jpg", "1,2,3@x", "a,b@x", "1,2@ ", "nan,1@x", "1e9,2@x"])
def test_bad_picks_say_how_to_write_them(text):
    with pytest.raises(InputError, match=r"cannot be read\. Write x,y@frame"):
        parse_pick(text)


def test_a_box_has_an_inside():
    with pytest.raises(InputError, match="is empty"):
        parse_box("30,2,30,40@x")


def test_a_pick_lands_where_the_point_is_seen_also_through_a_lens(truth, tmp_path):
    lens = np.tile([-0.12, 0.03, 0.001, -0.002], (len(truth.cameras), 1))
    cameras = replace(truth.cameras.resized(640), distortion=lens)
    point = truth.meshes["can"].centroid
    px = project(cameras, 4, point[None])[0][0]
    got = place(parse_pick(f"{px[0]},{px[1]}@004"), cameras, truth.views, tmp_path)
    u, v, _ = truth.views[4].project(point[None])
    assert got.view == 4 and np.allclose(got.xy, [u[0], v[0]], atol=0.01)
    box = place(parse_box(f"{px[0] - 10},{px[1] - 20},{px[0] + 10},{px[1] + 20}@004.png"), cameras, truth.views, tmp_path)
    assert box.is_box and (box.xy[:2] < got.xy).all() and (box.xy[2:] > got.xy).all()


def test_pictures_go_by_their_name_their_stem_or_the_original(truth, tmp_path):
    rows = [{"file": f"{i:03d}.png", "source": f"IMG_{i}.HEIC"} for i in range(21)]
    write_json(tmp_path / "capture.json", {"frames": rows})
    for name in ("007", "007.png", "IMG_7", "IMG_7.HEIC"):
        assert place(parse_pick(f"5,5@{name}"), truth.cameras, truth.views, tmp_path).view == 7
    with pytest.raises(InputError, match="picture 020.png has no camera"):
        place(parse_pick("5,5@020"), truth.cameras, truth.views, tmp_path)
    with pytest.raises(InputError, match=r"no picture 'x\.png'; have 000.png, 001.png, 002.png, …, 019.png"):
        place(parse_pick("5,5@x.png"), truth.cameras, truth.views, tmp_path)
    with pytest.raises(InputError, match="lies outside 007.png, which is 240x320"):
        place(parse_pick("241,5@007"), truth.cameras, truth.views, tmp_path)


def placed(*xy):
    return Placed(prompt=Prompt(option="--pick", text="here", frame="0", xy=xy), view=0, xy=np.array(xy, float))


def test_the_object_under_the_finger_or_right_beside_it():
    ids = np.zeros((1, 200, 300), np.uint8)
    ids[0, 50:100, 50:100] = 1
    ids[0, 50:100, 102:150] = 2
    names = ["mug", "box"]
    assert choose([placed(60, 60)], ids, names) == {1}
    assert choose([placed(152, 60)], ids, names) == {2}
    assert choose([placed(60, 60), placed(120, 60), placed(70, 70)], ids, names) == {1, 2}
    assert choose([placed(45, 45, 104, 104)], ids, names) == {1}
    with pytest.raises(AssetError, match=r"--pick 'here' points at no object\. That picture shows mug \(25% from the left, 37% from"):
        choose([placed(200, 150)], ids, names)
    with pytest.raises(AssetError, match="points at no object"):
        choose([placed(0, 0, 299, 199)], ids, names)
    with pytest.raises(AssetError, match="No object was found in that picture"):
        choose([placed(10, 10)], np.zeros_like(ids), names)
