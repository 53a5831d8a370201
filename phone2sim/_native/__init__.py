"""C++ kernels (nanobind). `load("splat")` returns the build of a kernel library that suits this processor.

On x86-64 every library is built twice: for the baseline and for x86-64-v3 (AVX2 + FMA). `PHONE2SIM_NATIVE=base`
forces the baseline, which the tests use to compare both.
"""

from __future__ import annotations

import importlib
import os
from functools import lru_cache
from types import ModuleType

from phone2sim.errors import MissingDependencyError


@lru_cache
def _cpu_has_v3() -> bool:
    try:
        with open("/proc/cpuinfo") as f:
            flags = next((line for line in f if line.startswith("flags")), "").split()
        return {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"} <= set(flags)
    except OSError:
        return False


# Threads that wait give the core away at once: on a busy machine spinning made training three times slower, on a quiet one
# it gains nothing. Read by GCC's and LLVM's OpenMP when they are loaded; the user's own setting wins.
_WAITING = {"GOMP_SPINCOUNT": "1000", "KMP_BLOCKTIME": "0"}


@lru_cache
def load(name: str) -> ModuleType:
    """The compiled kernel library `name` ("splat" or "mesh") in the fastest build this processor can run."""
    if "OMP_WAIT_POLICY" not in os.environ:
        for variable, value in _WAITING.items():
            os.environ.setdefault(variable, value)
    builds = [f"_{name}"]
    if os.environ.get("PHONE2SIM_NATIVE") != "base" and _cpu_has_v3():
        builds.insert(0, f"_{name}_v3")
    for build in builds:
        try:
            return importlib.import_module(f"{__name__}.{build}")
        except ModuleNotFoundError:
            continue
    raise MissingDependencyError(f"The compiled kernels ({name}) are not built.", hint="pip install phone2sim")
