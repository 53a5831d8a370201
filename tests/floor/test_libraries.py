"""Packages that only load in one order."""

import subprocess
import sys

CODE = """
from phone2sim.libraries import load_coacd, load_open3d
assert load_coacd().run_coacd and load_open3d().t.geometry.RaycastingScene()
"""


def test_what_decomposes_first_can_still_measure():
    """In a process of its own: with only hollow objects coacd is asked for before open3d."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
