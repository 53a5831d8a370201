"""Metric monocular depth models, through transformers (extra `depth`). Their weights come from the model hub on first use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.errors import InputError, MissingDependencyError, did_you_mean
from phone2sim.images import read_rgb
from phone2sim.progress import message, progress, track
from phone2sim.reconstruct.cameras import Cameras
from phone2sim.reconstruct.photo.surface import resized, settled


@dataclass(frozen=True, kw_only=True)
class DepthModel:
    """A model of the registry."""

    repo: str
    """Name on the model hub."""
    revision: str | None
    """Commit that is fetched; None for the newest."""
    licence: str
    about: str


MODELS = {
    "depth-anything": DepthModel(
        repo="depth-anything/Depth-Anything-V2-Metric-Indoor-Small-hf",
        revision="4d5187ef4957085a714f15b6ae43230a8b813c03", licence="Apache-2.0",
        about="Depth Anything V2, metric, indoor, small: about 100 MB",
    ),
    "zoedepth": DepthModel(
        repo="Intel/zoedepth-nyu-kitti", revision="f364d4c7936e91f465abba182208dd68142bf0ca", licence="MIT",
        about="ZoeDepth, indoor and outdoor: about 1.4 GB",
    ),
    "depth-pro": DepthModel(
        repo="apple/DepthPro-hf", revision=None, licence="Apple's research licence",
        about="Depth Pro, sharp borders, estimates the focal length: about 1.9 GB"
    ),
}  # fmt: skip
DEFAULT = "depth-anything"


@dataclass(frozen=True, kw_only=True)
class _Family:
    """How pictures go into a kind of network, as it was trained."""

    side: int
    """The shorter side is brought to about this [px]; both sides for `square`."""
    multiple: int
    square: bool
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
FAMILIES = {
    "depth_anything": _Family(side=518, multiple=14, square=False, **_IMAGENET),
    "zoedepth": _Family(side=384, multiple=32, square=False, **_HALF),
    "depth_pro": _Family(side=1536, multiple=1, square=True, **_HALF),
}


class DepthPredictor:
    """A loaded model: `predict(rgb, focal_px)` is its depth in metres."""

    def __init__(self, name: str, network: Any, *, side: int | None = None) -> None:
        self.name = name
        self._network = network
        self._kind: str = network.config.model_type
        family = FAMILIES[self._kind]
        self._family = family
        self._side = side or family.side

    def predict(self, rgb: np.ndarray, focal_px: float | None = None) -> np.ndarray:
        """(h, w) float32 depth [m] along the camera's z axis of an upright picture (h, w, 3) uint8."""
        return self.predict_with_focal(rgb, focal_px)[0]

    def predict_with_focal(self, rgb: np.ndarray, focal_px: float | None = None) -> tuple[np.ndarray, float | None]:
        """The depth, and the focal length [px] the model saw (None where it estimates none, or one was given)."""
        import torch

        h, w = rgb.shape[:2]
        inputs = torch.from_numpy(self._prepared(rgb)).to(next(self._network.parameters()).device)
        with torch.inference_mode():
            out = self._network(pixel_values=inputs)
        depth = out.predicted_depth[0].float().cpu().numpy()
        focal = None
        if self._kind == "depth_pro":  # the network gives inverse depth for a focal length of one picture width
            fov = getattr(out, "field_of_view", None)
            if focal_px is None and fov is not None:
                focal = float(0.5 * w / np.tan(0.5 * np.radians(float(fov.reshape(-1)[0]))))
            used = focal_px or focal or 0.8 * max(h, w)
            depth = 1 / np.clip(depth * (w / used), 1e-4, 1e4)
        if not np.isfinite(depth).all() or depth.max() <= 0:
            raise InputError(
                f"Depth model {self.name} returned no usable depth.", hint="Check its weights, or choose another."
            )
        return resized(settled(np.maximum(depth, 1e-3)), w, h), focal

    def _prepared(self, rgb: np.ndarray) -> np.ndarray:
        """(1, 3, h', w') float32 as the network was trained on."""
        import cv2

        f, (h, w) = self._family, rgb.shape[:2]
        if f.square:
            size = (self._side, self._side)
        else:
            s = self._side / min(h, w)
            size = tuple(max(f.multiple, round(x * s / f.multiple) * f.multiple) for x in (w, h))  # type: ignore[assignment]
        how = cv2.INTER_AREA if size[0] < w else cv2.INTER_CUBIC
        a = cv2.resize(rgb, size, interpolation=how).astype(np.float32) / 255
        a = (a - np.array(f.mean, np.float32)) / np.array(f.std, np.float32)
        return np.ascontiguousarray(a.transpose(2, 0, 1)[None])


def open_model(name: str = "auto", *, checkpoint: Path | None = None, side: int | None = None) -> DepthPredictor:
    """Load a model by name (`auto`: the smallest), from the folder `checkpoint` or from the hub's cache.

    Weights are fetched once, at the revision of the registry (else the newest, which is named); every weight file is
    checked against the SHA-256 that the hub gives for it. Raises `MissingDependencyError` when the extra `depth` is missing or the weights cannot be had.
    """
    if name == "none":
        raise InputError(
            "The photo holds no depth, and depth models are switched off.",
            hint="Leave out --depth-model none, take the photo in portrait mode, or film a clip.",
        )
    name = check_model(name)
    need_packages()
    if checkpoint is not None:
        return DepthPredictor(checkpoint.name, _load(check_folder(checkpoint)), side=side)
    return DepthPredictor(name, _load(fetch(name)), side=side)


def check_model(name: str) -> str:
    """The name of a model of the registry; `auto` is the default one. Any other is an `InputError`."""
    if name not in (*MODELS, "auto", "none"):
        raise InputError(f"No depth model {name!r};", hint=did_you_mean(name, MODELS))
    return DEFAULT if name == "auto" else name


def need_packages() -> None:
    """Raise `MissingDependencyError` unless torch and transformers are installed."""
    from importlib.util import find_spec

    missing = [p for p in ("torch", "transformers") if find_spec(p) is None]
    if missing:
        raise MissingDependencyError(
            f"Depth models need {' and '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not installed.",
            hint="Install the extra: pip install 'phone2sim[depth]'. Or film a clip; or take the photo in portrait mode.",
        )


def check_folder(folder: Path) -> Path:
    """The folder, when it holds a model; else an `InputError` that says what is missing."""
    if not folder.is_dir():
        raise InputError(
            f"--checkpoint {folder} is not a folder.", hint="Give the folder with config.json and model.safetensors."
        )
    if not (folder / "config.json").exists() or not any(folder.glob("*.safetensors")):
        raise InputError(f"--checkpoint {folder} holds no model.", hint="It needs config.json and model.safetensors.")
    return folder


def _load(folder: Path) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForDepthEstimation
    from transformers.utils import logging

    logging.disable_progress_bar()

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as e:
        raise InputError(f"{folder} is not a depth model: {_line(e)}.") from None
    if config.model_type not in FAMILIES:
        raise InputError(f"{folder} is a {config.model_type} model;", hint=did_you_mean(config.model_type, FAMILIES))
    if getattr(config, "depth_estimation_type", "metric") != "metric":
        raise InputError(f"{folder} predicts relative depth, not metres.", hint="Choose a metric model.")
    try:
        network = AutoModelForDepthEstimation.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as e:
        raise InputError(f"{folder} cannot be loaded: {_line(e)}.") from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return network.eval().to(device)


def fetch(name: str) -> Path:
    """Folder of the model's files in the hub's cache, fetched when they are not there, and checked."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()
    model = MODELS[name]
    wanted = ["config.json", "*.safetensors", "*.safetensors.index.json"]
    try:
        folder = Path(
            snapshot_download(model.repo, revision=model.revision, allow_patterns=wanted, local_files_only=True)
        )
        check_folder(folder)
    except Exception:  # not in the cache, or only a part of it
        message(f"Fetching {model.about} ({model.repo}, {model.licence}), once.")
        try:
            HfApi().model_info(model.repo, revision=model.revision, timeout=20)  # fails at once without a network
            with progress(f"Fetching {name}", unit="B") as bar:
                folder = Path(
                    snapshot_download(
                        model.repo,
                        revision=model.revision,
                        allow_patterns=wanted,
                        tqdm_class=_reporting(bar.advance),
                        max_workers=2,
                    )
                )
        except Exception as e:  # the network's errors differ between versions of the hub's client
            raise MissingDependencyError(
                f"The weights of depth model {name} could not be fetched ({_line(e)}).",
                hint=f"Fetch {model.repo} where there is a network, and give its folder: --checkpoint DIR.",
            ) from None
        message(f"Depth model {name} at revision {folder.name[:12]}.")
    for file in sorted(folder.glob("*.safetensors")):
        check_sum(file)
    return folder


def check_sum(file: Path) -> None:
    """Compare a file of the hub's cache with its SHA-256: the cache names large files by the sum that the hub gave."""
    given = file.resolve().name
    if not re.fullmatch(r"[0-9a-f]{64}", given):
        return
    h = hashlib.sha256()
    with file.open("rb") as f:
        while block := f.read(1 << 22):
            h.update(block)
    if h.hexdigest() != given:
        raise InputError(
            f"{file.name} is damaged: its checksum is not the hub's.", hint=f"Delete {file.resolve()} and run again."
        )


def _reporting(advance: Callable[..., None]) -> type:
    """A tqdm that hands its bytes to our own progress bar and prints nothing."""
    from tqdm import tqdm

    class Reporting(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._bytes = kwargs.get("unit") == "B"
            kwargs.pop("name", None)
            super().__init__(*args, **(kwargs | {"disable": True}))

        def update(self, n: float | None = 1) -> bool | None:
            if self._bytes and n:
                advance(n)
            return super().update(n)

    return Reporting


def _line(error: BaseException) -> str:
    """The first line of an error, short."""
    text = re.sub(r"\s+", " ", str(error)).strip().rstrip(".")
    return (text[:117] + "...") if len(text) > 120 else text or type(error).__name__


def predicted_depths(
    cameras: Cameras, frames: Path, name: str, *, checkpoint: Path | None = None, most: int = 8
) -> dict[str, np.ndarray]:
    """Depth maps (h, w) [m] of at most `most` evenly chosen pictures below `frames`, by file name."""
    model = open_model(name, checkpoint=checkpoint)
    chosen = np.unique(np.linspace(0, len(cameras) - 1, min(len(cameras), most)).round().astype(int))
    return {
        cameras.names[i]: model.predict(read_rgb(frames / cameras.names[i]), float(cameras.K[i, 0, 0]))
        for i in track(chosen, "Predicting depth", unit="frames")
    }
