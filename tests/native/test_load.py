"""How the kernels are loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("own", "expected"), [({}, "1000 0"), ({"GOMP_SPINCOUNT": "7"}, "7 0"), ({"OMP_WAIT_POLICY": "active"}, "None None")])
def test_waiting_threads_do_not_spin_unless_told_to(own, expected):
    names = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
    env = {k: v for k, v in os.environ.items() if k not in names} | own
    script = "import os; from phone2sim._native import load; load('splat'); print(*map(os.environ.get, ['GOMP_SPINCOUNT', 'KMP_BLOCKTIME']))"
    assert subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True).stdout.strip() == expected


def test_the_baseline_can_be_forced():
    script = "from phone2sim._native import load; print(load('splat').__name__, load('mesh').__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PHONE2SIM_NATIVE": "base"}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["phone2sim._native._splat", "phone2sim._native._mesh"]
