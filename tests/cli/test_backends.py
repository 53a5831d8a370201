"""`--backend`: what cannot run here is refused at once, before the capture is read."""

from __future__ import annotations

import pytest

from phone2sim.cli import main
from phone2sim.images import write_rgb
from phone2sim.keys import Key
from phone2sim.reconstruct.backends import choose


@pytest.fixture
def capture(tmp_path):
    write_rgb(tmp_path / "photos" / "a.jpg", Key(0).rng().integers(0, 255, (48, 36, 3)).astype("uint8"))
    return tmp_path / "photos"


@pytest.mark.parametrize("command", ["reconstruct", "build"])
@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--backend", "gsplat"], 3, "The gsplat backend cannot run here: no GPU. pip install 'phone2sim[gsplat]'"),
        (["--backend", "nerfstudio"], 3, "The nerfstudio backend needs ns-train and ns-export."),
        (["--backend", "nerfstudio", "--nerfstudio-env", "photos"], 2, "is no nerfstudio environment: it has no ns-train"),
        (["--nerfstudio-env", "photos"], 2, "--nerfstudio-env is of use with --backend nerfstudio only."),
        (["--backend", "cuda"], 2, "'cuda' is not one of"),
    ],
)
def test_refused_at_once(command, options, code, text, capture, capsys, monkeypatch):
    monkeypatch.setattr(choose, "gsplat_missing", lambda: "no GPU")
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("PHONE2SIM_NERFSTUDIO", raising=False)
    monkeypatch.chdir(capture.parent)
    assert main([command, str(capture), "-o", str(capture.parent / "scene"), *options]) == code
    assert text in " ".join(capsys.readouterr().err.split())
    assert not (capture.parent / "scene").exists()
