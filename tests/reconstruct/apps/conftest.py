"""Eight views of the synthetic scene as a phone would see them, with everything a capture app could know exactly."""

from __future__ import annotations

import pytest

from tests.reconstruct.apps.truth import Truth, render_truth


@pytest.fixture(scope="session")
def truth() -> Truth:
    return render_truth()
