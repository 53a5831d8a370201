"""Policy servers over a websocket, in openpi's protocol: the client that an exam uses, and a server for a policy of yours.

On connection the server sends a map of metadata; then every observation is answered by a map with `actions` (h, a). Both are
msgpack (`policies.wire`); a text instead of bytes is a traceback.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from phone2sim.errors import InputError, MissingDependencyError, did_you_mean
from phone2sim.sim_export.policies import wire
from phone2sim.sim_export.world import World

TIMEOUT_S = 10.0
"""To connect. An answer may take as long as it takes: models compile at the first one."""


def libero(o: dict[str, Any]) -> dict[str, Any]:
    """`observation/image`, `observation/wrist_image`, `observation/state`, `prompt`."""
    main, wrist = _views(o)
    return {
        "observation/image": main,
        "observation/wrist_image": wrist,
        "observation/state": o["state"],
        "prompt": o["prompt"],
    }


def droid(o: dict[str, Any]) -> dict[str, Any]:
    """`observation/exterior_image_1_left`, `…/wrist_image_left`, `…/joint_position`, `…/gripper_position`, `prompt`.
    The gripper's position is 1 when closed there."""
    main, wrist = _views(o)
    return {
        "observation/exterior_image_1_left": main, "observation/wrist_image_left": wrist,
        "observation/joint_position": o["state"][:-1], "observation/gripper_position": 1 - o["state"][-1:],
        "prompt": o["prompt"],
    }  # fmt: skip


def plain(o: dict[str, Any]) -> dict[str, Any]:
    """`images` by camera, `state`, `prompt`: as `World.observe` gives them."""
    return o


LAYOUTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"libero": libero, "droid": droid, "plain": plain}
"""What an observation's entries are called on the wire."""


def _views(o: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The first camera, and the wrist's (black where there is none, as openpi does)."""
    images = o["images"]
    main = next((v for k, v in images.items() if "wrist" not in k), np.zeros((224, 224, 3), np.uint8))
    return main, next((v for k, v in images.items() if "wrist" in k), np.zeros_like(main))


class ServerPolicy:
    """A policy behind `host:port` or `ws://host:port`."""

    needs_pictures = True

    def __init__(self, address: str, *, layout: str = "libero", api_key: str | None = None) -> None:
        connect = _websockets().sync.client.connect
        if layout not in LAYOUTS:
            raise InputError(f"No observation layout {layout!r};", hint=did_you_mean(layout, LAYOUTS))
        self.name, self._layout = address, LAYOUTS[layout]
        uri = address if address.startswith(("ws://", "wss://")) else f"ws://{address}"
        headers = {"Authorization": f"Api-Key {api_key}"} if api_key else None
        try:
            self._socket = connect(
                uri,
                compression=None,
                max_size=None,
                additional_headers=headers,
                open_timeout=TIMEOUT_S,
                ping_interval=None,
            )
            self.metadata = self._receive(TIMEOUT_S)
        except InputError:
            raise
        except Exception as e:
            raise InputError(
                f"No policy server answers at {uri} ({type(e).__name__}: {e}).",
                hint="Start it first, or check host and port.",
            ) from None

    def reset(self, world: World) -> None:
        """openpi's servers keep nothing between observations."""

    def act(self, observation: dict[str, Any]) -> np.ndarray:
        """(h, a). Raises `InputError` with the server's own words when it fails, or when it sends no actions."""
        self._socket.send(wire.pack(self._layout(observation)))
        answer = self._receive(None)
        if not isinstance(answer, dict) or "actions" not in answer:
            have = ", ".join(map(str, answer)) if isinstance(answer, dict) else type(answer).__name__
            raise InputError(f"The policy server at {self.name} sent no actions, but {have}.")
        return np.atleast_2d(np.asarray(answer["actions"], float))

    def close(self) -> None:
        self._socket.close()

    def _receive(self, timeout: float | None) -> Any:
        try:
            data = self._socket.recv(timeout=timeout)
        except Exception as e:
            raise InputError(f"The policy server at {self.name} went away ({type(e).__name__}).") from None
        if isinstance(data, str):
            raise InputError(f"The policy server at {self.name} failed: {data.strip().splitlines()[-1]}")
        return wire.unpack(data)


def serve_policy(
    act: Callable[[dict[str, Any]], Any],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    metadata: dict[str, Any] | None = None,
) -> Any:
    """A websocket server that answers each observation with `act(observation)`: actions (h, a), or a map with `actions`.

    Returns the `websockets` server; `serve_forever()` runs it, `shutdown()` ends it, its port is `socket.getsockname()[1]`.
    """

    def talk(socket: Any) -> None:
        socket.send(wire.pack(metadata or {}))
        for message in socket:
            try:
                out = act(wire.unpack(message))
                socket.send(wire.pack(out if isinstance(out, dict) else {"actions": np.asarray(out)}))
            except Exception:
                socket.send(traceback.format_exc())

    return _websockets().sync.server.serve(talk, host, port, compression=None, max_size=None)


def _websockets() -> Any:
    try:
        import websockets.sync.client
        import websockets.sync.server
    except ImportError:
        raise MissingDependencyError(
            "Talking to a policy server needs websockets.", hint="pip install 'phone2sim[policy]'"
        ) from None
    return websockets
