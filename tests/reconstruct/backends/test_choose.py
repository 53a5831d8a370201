"""Which backend is taken, and what it is given."""

from __future__ import annotations

import pytest

from phone2sim.errors import MissingDependencyError
from phone2sim.reconstruct.backends import choose
from phone2sim.reconstruct.backends.choose import choose_backend, settled
from phone2sim.reconstruct.splat.config import SplatConfig


def test_auto_takes_gsplat_where_it_runs_and_says_why(monkeypatch):
    monkeypatch.setattr(choose, "gsplat_missing", lambda: "torch sees no CUDA GPU")
    picked = choose_backend(SplatConfig())
    assert picked.name == "cpu" and picked.why == "gsplat cannot run here: torch sees no CUDA GPU"
    monkeypatch.setattr(choose, "gsplat_missing", lambda: "")
    assert choose_backend(SplatConfig()).name == "gsplat"
    assert choose_backend(SplatConfig(backend="cpu")).name == "cpu"


def test_what_cannot_run_here_is_a_missing_dependency(monkeypatch):
    monkeypatch.setattr(choose, "gsplat_missing", lambda: "torch and gsplat are not installed")
    with pytest.raises(MissingDependencyError, match=r"gsplat backend cannot run here: torch and gsplat are not installed. pip install") as e:
        choose_backend(SplatConfig(backend="gsplat"))
    assert e.value.exit_code == 3
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("PHONE2SIM_NERFSTUDIO", raising=False)
    with pytest.raises(MissingDependencyError, match="nerfstudio backend needs ns-train"):
        choose_backend(SplatConfig(backend="nerfstudio"))


def test_a_gpu_takes_finer_settings_unless_told():
    given = SplatConfig(iterations=123, seed=4)
    gpu = settled(given, choose.Choice(name="gsplat", why=""))
    assert (gpu.iterations, gpu.seed) == (123, 4) and gpu.max_side > given.max_side and gpu.sh_degree == 3
    assert settled(given, choose.Choice(name="cpu", why="")) == given
