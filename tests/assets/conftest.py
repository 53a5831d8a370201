"""The synthetic table, rendered once a session."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import synthetic


@pytest.fixture(scope="session")
def truth():
    return synthetic.raycast()


@pytest.fixture(scope="session")
def built(truth, tmp_path_factory):
    """A scene folder built by the whole stage, and its result."""
    from phone2sim.assets.pipeline import AssetsConfig, build_assets

    folder = synthetic.write_scene_dir(truth, tmp_path_factory.mktemp("table"))
    return folder, build_assets(folder, AssetsConfig(view_side=320, photo_side=320, texture_px=128))
