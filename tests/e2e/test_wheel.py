"""The wheel stands alone: built, installed into an empty environment, it runs, and adds one name to site-packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("wheel")
    source = root / "source"
    source.mkdir()
    for name in ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "phone2sim", source / "phone2sim", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", root / "dist", source)
    (found,) = (root / "dist").glob("*.whl")
    return found


def test_wheel_holds_one_package_and_no_sources(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as z:
        names = z.namelist()
    assert {n.split("/")[0] for n in names} == {
        "phone2sim",
        next(n for n in names if n.endswith("/METADATA")).split("/")[0],
    }
    assert any("_native/_splat" in n for n in names) and any("_native/_mesh" in n for n in names)
    assert not [n for n in names if n.endswith((".cpp", ".hpp", ".h", ".pyc"))]
    data = {str(p.relative_to(ROOT)) for p in (ROOT / "phone2sim").rglob("*.yaml")}
    assert data <= set(names)
    assert wheel.stat().st_size < 10e6


def test_installed_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    """The dependencies are lent by this environment through a path file; phone2sim itself is the wheel's."""
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    before = {p.name for p in site.iterdir()}
    run(python, "-m", "pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check", wheel)
    added = {p.name for p in site.iterdir()} - before
    assert "phone2sim" in added and all(n == "phone2sim" or n.startswith("phone2sim-") for n in added), added

    lent = tmp_path / "lent"
    lent.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "phone2sim" not in entry.name and not entry.name.endswith((".pth", "__pycache__")):
            (lent / entry.name).symlink_to(entry)
    (site / "lent.pth").write_text(f"{lent}\n")
    script = tmp_path / "venv" / "bin" / "phone2sim"
    found = json.loads(run(script, "doctor", "--json", cwd=tmp_path).stdout)
    assert found["kernels"]["ok"] and all(p["ok"] for p in found["core"])
    where = run(python, "-c", "import phone2sim; print(phone2sim.__file__)", cwd=tmp_path).stdout.strip()
    assert Path(where).is_relative_to(tmp_path)
    run(script, "sheet", tmp_path / "sheet.pdf", cwd=tmp_path)
