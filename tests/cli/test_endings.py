"""How commands end before their time: SIGTERM, a full disk, places one may not write; nothing that was started stays behind."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phone2sim.cli import main
from phone2sim.cli.paths import check_dataset, check_file, check_output, check_scene, tell_edits
from phone2sim.config import write_json
from phone2sim.errors import InputError
from phone2sim.stage import fingerprint_files


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_process_that_loaded_pycolmap_ends_silently():
    code = "import os, signal; from phone2sim.libraries import load_pycolmap; load_pycolmap(); os.kill(os.getpid(), signal.SIGTERM)"
    done = python(code)
    assert done.returncode == -signal.SIGTERM and done.stderr == ""


def test_pycolmap_leaves_a_handler_that_was_there():
    done = python(
        "import os, signal; from phone2sim.libraries import load_pycolmap\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('mine')); load_pycolmap(); os.kill(os.getpid(), signal.SIGTERM)"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "mine\n", "")


def test_sigterm_ends_a_command_as_ctrl_c_does(monkeypatch, capfd):
    cleaned = []

    def work():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        finally:
            cleaned.append(True)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("phone2sim.cli.doctor.examine", work)
    assert main(["doctor"]) == 143
    out, err = capfd.readouterr()
    assert cleaned and out == "" and err.count("\n") == 1
    assert err.startswith("error: Terminated; everything committed so far is kept.")
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_workers_process_ends_with_its_parent():
    parent = subprocess.Popen(
        [
            sys.executable, "-c",
            "import multiprocessing as m, os, signal; from phone2sim.sim_export.workers import _end_with_parent\n"
            "p = m.get_context('spawn').Process(target=_end_with_parent); p.start(); print(p.pid, flush=True)\n"
            "signal.pause()",
        ],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    "error, text",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "error: No room left on the disk. Make room, then run the same command"),
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "error: No room left on the disk: a/b. Make room"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), "error: Permission denied: a/b. Choose another place"),
        (OSError(errno.EROFS, "Read-only file system", "a/b"), "error: Read-only file system: a/b. Choose a place"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"), "error: No such file or directory: a/b."),
    ],
)
def test_what_the_system_refuses_is_one_line(error, text, monkeypatch, capfd):
    monkeypatch.setattr("phone2sim.cli.doctor.examine", lambda: (_ for _ in ()).throw(error))
    assert main(["doctor"]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.startswith(text) and err.count("\n") == 1


def test_an_error_of_the_system_without_a_file_is_our_bug(monkeypatch, capfd):
    monkeypatch.setattr("phone2sim.cli.doctor.examine", lambda: (_ for _ in ()).throw(OSError("odd")))
    assert main(["doctor"]) == 70
    assert "This is a bug in phone2sim" in capfd.readouterr().err


def test_a_file_is_no_scene_and_no_dataset(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="notes.txt is a file, not a scene. Give the folder that `phone2sim build` made."):
        check_scene(tmp_path / "notes.txt")
    with pytest.raises(InputError, match="notes.txt is a file, not a dataset."):
        check_dataset(tmp_path / "notes.txt")


def test_a_dataset_that_was_not_finished_says_how_to_go_on(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(InputError, match="is a dataset that was not finished. Run its `phone2sim generate` again: it goes on."):
        check_dataset(tmp_path)


def test_a_file_to_write_has_an_ending_we_write_and_is_no_folder(tmp_path):
    assert check_file(tmp_path / "new" / "a.png", "sheet", (".png",))
    with pytest.raises(InputError, match="a.gif: the sheet must end in .png or .jpg."):
        check_file(tmp_path / "a.gif", "sheet", (".png", ".jpg"))
    with pytest.raises(InputError, match="is a folder; the report is a file. For example .*report.html"):
        check_file(tmp_path, "report", (".html",))


def test_nothing_can_be_made_below_a_file_or_where_one_may_not_write(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file; nothing can be made in it."):
        check_output(tmp_path / "file" / "scene")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(InputError, match="cannot be written. Choose another output, or change its permissions."):
        check_output(tmp_path / "scene")


def test_edits_of_the_user_that_do_not_count_yet_are_told(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("phone2sim.progress.message", said.append)
    write_json(tmp_path / "scene" / "manifest.json", {"inputs": {"assets.toml": ""}})
    tell_edits(tmp_path)
    assert said == []
    (tmp_path / "assets.toml").write_text("[object_1]\nname = 'mug'\n")
    tell_edits(tmp_path)
    assert len(said) == 1 and "has changed since the objects were made" in said[0] and "phone2sim build" in said[0]
    write_json(tmp_path / "scene" / "manifest.json", {"inputs": {"assets.toml": fingerprint_files(tmp_path / "assets.toml")}})
    tell_edits(tmp_path)
    assert len(said) == 1
