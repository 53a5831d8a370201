"""NumPy arrays in msgpack, as openpi's policy servers speak it. Arrays and NumPy numbers become maps with binary keys:

{b"__ndarray__": true, b"data": bytes, b"dtype": "<f4", b"shape": [h, w]}     {b"__npgeneric__": true, b"data", b"dtype"}
"""

from __future__ import annotations

from typing import Any

import numpy as np

from phone2sim.errors import InputError, MissingDependencyError


def pack(data: Any) -> bytes:
    """Numbers, texts, lists, dictionaries and arrays as msgpack. Arrays of objects or complex numbers are refused."""
    return _msgpack().packb(data, default=_encode)


def unpack(data: bytes) -> Any:
    """The inverse of `pack`. Raises `InputError` for bytes that are not msgpack."""
    try:
        return _msgpack().unpackb(data, object_hook=_decode)
    except Exception as e:
        raise InputError(f"The policy server sent something that is not msgpack: {type(e).__name__}: {e}.") from None


def _encode(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "VOc":
        raise InputError(f"Cannot send an array of {value.dtype} to a policy server.")
    if isinstance(value, np.ndarray):
        return {b"__ndarray__": True, b"data": value.tobytes(), b"dtype": value.dtype.str, b"shape": value.shape}
    if isinstance(value, np.generic):
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"cannot pack {type(value).__name__}")


def _decode(value: dict[Any, Any]) -> Any:
    if b"__ndarray__" in value:
        return np.frombuffer(value[b"data"], np.dtype(value[b"dtype"])).reshape(value[b"shape"])
    if b"__npgeneric__" in value:
        return np.dtype(value[b"dtype"]).type(value[b"data"])
    return value


def _msgpack() -> Any:
    try:
        import msgpack
    except ImportError:
        raise MissingDependencyError(
            "Talking to a policy server needs msgpack.", hint="pip install 'phone2sim[policy]'"
        ) from None
    return msgpack
