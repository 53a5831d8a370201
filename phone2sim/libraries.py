"""Packages that need a hand to load on a bare machine."""

from __future__ import annotations

import signal
import threading
from typing import Any


def load_open3d() -> Any:
    """The `open3d` module; where the system has no libusb, which open3d links for depth cameras, the packaged one is loaded first.

    Raises `MissingDependencyError` when neither is there.
    """
    try:
        import open3d
    except ImportError as e:
        if "libusb" not in str(e):
            raise
        _load_libusb()
        import open3d
    return open3d


def load_coacd() -> Any:
    """The `coacd` module, after open3d, which does not load any more once coacd is there (`std::bad_cast`)."""
    load_open3d()
    import coacd

    return coacd


def load_pycolmap() -> Any:
    """The `pycolmap` module. Its log library (glog) takes SIGTERM when it is imported, and prints a stack trace of C++ for it;
    the handler from before is put back."""
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if threading.current_thread() is threading.main_thread():  # Python refuses elsewhere
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
    return pycolmap


def _load_libusb() -> None:
    import ctypes

    from phone2sim.errors import MissingDependencyError

    try:
        import libusb_package
    except ImportError as e:
        raise MissingDependencyError("open3d needs libusb-1.0.", hint="pip install libusb-package") from e
    # Its SONAME is what open3d asks for, so the loader takes the one that is already in the process.
    ctypes.CDLL(str(libusb_package.get_library_path()))
