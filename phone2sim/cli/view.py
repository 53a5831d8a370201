"""`phone2sim view`: a scene or a dataset in the browser."""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from phone2sim.cli.options import Json, Quiet
from phone2sim.cli.output import output
from phone2sim.cli.paths import check_exists, check_scene
from phone2sim.errors import InputError


def view(
    folder: Annotated[Path, typer.Argument(metavar="SCENE|DATASET", help="What to look at.", show_default=False)],
    host: Annotated[str, typer.Option("--host", help="Address to listen on; 0.0.0.0 lets other machines look.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port; the next free one is taken where it is in use.")] = 8080,
    scene: Annotated[
        Path | None,
        typer.Option("--scene", metavar="SCENE", help="Where a dataset's scene is now, if it moved.", show_default=False),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """A scene or a dataset in the browser, until Ctrl-C.

    A scene: splat, objects as meshes, splats or collision hulls, their physics, the captured cameras. A dataset: any
    episode, played from any side.
    """
    check_exists(folder, "Folder")
    dataset = (folder / "manifest.json").exists() and (folder / "episodes").is_dir()
    if not dataset:
        check_scene(folder)
    with output(json=json, quiet=quiet) as o:
        from phone2sim.assets.scene import Scene
        from phone2sim.sim_export.origin import manifest_of, scene_of
        from phone2sim.sim_export.viewer import show_dataset, show_scene
        from phone2sim.sim_export.viewer.dataset import play

        if dataset:
            at = scene_of(folder, scene)
            names = manifest_of(folder)["episodes"]
            if not names:
                raise InputError(f"{folder} holds no successful episode.", hint="phone2sim report says why each failed.")
            loaded, folders = Scene.load(at), [folder / n for n in names]
        else:
            loaded, folders = Scene.load(folder), []
        server = start(host, port)
        wait: Callable[[], None] = _wait
        if dataset:
            wait = partial(play, show_dataset(server, loaded, folders))
        else:
            show_scene(server, loaded)
        url = f"http://{server.get_host()}:{server.get_port()}"
        o.result({"url": url, "folder": str(folder)})
        o.show(f"{folder} is at {url}; Ctrl-C ends it.")
        o.stream.flush()
        try:
            wait()
        except KeyboardInterrupt:
            with redirect_stdout(io.StringIO()):
                server.stop()


def start(host: str, port: int) -> Any:
    """A quiet viser server without its own share button.

    Raises `InputError` for a host that is no address of this machine: the server would wait for ever in silence.
    """
    import viser

    try:
        with socket.create_server((host, 0)):
            pass
    except OSError as e:
        raise InputError(
            f"--host {host} cannot be listened on ({str(e.strerror or e).split(' (while')[0]}).", hint="127.0.0.1 is this machine alone, 0.0.0.0 all its addresses."
        ) from None
    with redirect_stdout(io.StringIO()):  # its banner says what we say
        server = viser.ViserServer(host=host, port=port, label="phone2sim", verbose=False)
    server.gui.configure_theme(control_layout="collapsible", show_logo=False, show_share_button=False)
    return server


def _wait() -> None:
    while True:
        time.sleep(3600)
