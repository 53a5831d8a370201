"""Settings for every test."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("phone2sim", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("phone2sim")
