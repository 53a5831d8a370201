"""The printed sheet has its true size, and its tags are read back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from phone2sim.cli import main
from phone2sim.sheet import TAG_EDGE_M, TAG_IDS, TAG_PITCH_M


def test_tags_have_their_true_size(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import cv2

    assert main(["sheet", str(tmp_path / "sheet.png"), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["tag_ids"] == list(TAG_IDS)
    with Image.open(tmp_path / "sheet.png") as im:
        per_m = im.info["dpi"][0] / 0.0254
        page = np.asarray(im)
    assert np.allclose(np.array(page.shape[::-1]) / per_m, (0.210, 0.297), atol=1e-4)
    half = cv2.resize(page, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_APRILTAG_36h11))
    corners, ids, _ = detector.detectMarkers(half)
    found = {int(i): c[0] * 4 / per_m for i, c in zip(ids.ravel(), corners, strict=True)}
    assert set(found) == set(TAG_IDS)
    for c in found.values():
        np.testing.assert_allclose(np.linalg.norm(np.roll(c, 1, axis=0) - c, axis=1), TAG_EDGE_M, atol=4e-4)
    centres = [found[i].mean(axis=0) for i in TAG_IDS]
    np.testing.assert_allclose(np.linalg.norm(centres[0] - centres[1]), TAG_PITCH_M, atol=2e-4)


def test_pdf_page_is_a4(tmp_path: Path) -> None:
    assert main(["sheet", str(tmp_path / "sheet.pdf"), "--quiet"]) == 0
    data = (tmp_path / "sheet.pdf").read_bytes()
    box = data.split(b"/MediaBox")[1].split(b"]")[0].strip(b" [").split()
    w, h = (float(x) / 72 * 0.0254 for x in box[2:])
    assert abs(w - 0.210) < 2e-4 and abs(h - 0.297) < 2e-4
