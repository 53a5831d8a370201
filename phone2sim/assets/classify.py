"""What an object looks like it is, and is made of: a zero-shot classifier of the CLIP family (extra `clip`).

Pictures and sentences are mapped into one space; a picture is as likely what a sentence says as both are near (Radford et
al. 2021, "Learning Transferable Visual Models From Natural Language Supervision").
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from phone2sim.assets.evidence import Looks
from phone2sim.assets.materials import kinds, materials
from phone2sim.assets.views import View
from phone2sim.errors import InputError, MissingDependencyError
from phone2sim.progress import message

DEFAULT = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
"""ViT-B/32, MIT, about 600 MB."""
PICTURES = 4
"""Views of an object that are looked at."""
_THINGS = ("a photo of a {}", "a {} on a table", "a close-up photo of one {}")
_MADE_OF = ("something made of {}", "a close-up photo of {}", "a household object made of {}")
_SAID = {
    "metal_can": "tin plate, a food can", "plastic_solid": "solid plastic", "food": "fruit or vegetables", "fabric": "cloth",
    "foam": "foam, a sponge", "paper": "paper, a book",
}  # fmt: skip
_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


class ClipClassifier:
    """A loaded model of two towers, with the sentences of the material table embedded once."""

    def __init__(self, name: str, network: Any, tokenizer: Any) -> None:
        self.name = name
        self._network = network
        self._tokenizer = tokenizer
        self._side = int(network.config.vision_config.image_size)
        self._kinds = tuple(kinds())
        self._materials = tuple(m for m in materials() if not m.startswith("unknown"))
        self._kind_rows = self._sentences(self._kinds, _THINGS)
        self._material_rows = self._sentences([_SAID.get(m, m) for m in self._materials], _MADE_OF)

    def looks(self, pictures: list[np.ndarray]) -> Looks:
        """Shares by kind of thing and by material of one object's pictures (h, w, 3) uint8, cut out and square."""
        import torch

        batch = torch.from_numpy(np.stack([prepared(p, self._side) for p in pictures])).to(self._device)
        with torch.inference_mode():
            rows = _features(self._network.get_image_features(pixel_values=batch))
            image = rows.mean(dim=0)
            scale = self._network.logit_scale.exp()
            shares = [
                torch.softmax(scale * (table @ (image / image.norm())), dim=0).cpu().numpy() for table in (self._kind_rows, self._material_rows)
            ]
        by_kind, by_material = (
            {n: float(x) for n, x in zip(names, row, strict=True)} for names, row in zip((self._kinds, self._materials), shares, strict=True)
        )
        return Looks(kinds=by_kind, materials=by_material, by=self.name)

    @property
    def _device(self) -> Any:
        return next(self._network.parameters()).device

    def _sentences(self, names: Any, templates: tuple[str, ...]) -> Any:
        """(n, d) unit rows: the mean over the templates of each name."""
        import torch

        texts = [t.format(n) for n in names for t in templates]
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=self._network.config.text_config.max_position_embeddings, return_tensors="pt")
        with torch.inference_mode():
            rows = _features(self._network.get_text_features(**{k: tokens[k].to(self._device) for k in ("input_ids", "attention_mask")}))
            mean = rows.reshape(len(names), len(templates), -1).mean(dim=1)
        return mean / mean.norm(dim=1, keepdim=True)


def _features(rows: Any) -> Any:
    """Unit rows; newer transformers wrap them in an output object."""
    rows = getattr(rows, "pooler_output", rows)
    return rows / rows.norm(dim=-1, keepdim=True)


def prepared(picture: np.ndarray, side: int) -> np.ndarray:
    """(3, side, side) float32 as CLIP's pictures are normalised."""
    import cv2

    how = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_CUBIC
    a = cv2.resize(picture, (side, side), interpolation=how).astype(np.float32) / 255
    return np.ascontiguousarray(((a - _MEAN) / _STD).transpose(2, 0, 1))


def cut_out(views: list[View], masks: list[np.ndarray], *, limit: int = PICTURES, margin: float = 0.15) -> list[np.ndarray]:
    """Square pictures (s, s, 3) uint8 of the object in the views that show most of it, its surroundings faded to grey.

    `masks` are (h, w) bool per view, of the size of the views' depth.
    """
    import cv2

    order = sorted(range(len(views)), key=lambda i: -int(masks[i].sum()))
    out = []
    for i in order[:limit]:
        if masks[i].sum() < 64:
            break
        photo = views[i].photo
        h, w = photo.shape[:2]
        mask = cv2.resize(masks[i].astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)
        v, u = np.nonzero(mask > 0.5)
        half = int(np.ceil((0.5 + margin) * max(np.ptp(u), np.ptp(v)) + 1))
        at = np.array([(v.min() + v.max()) // 2, (u.min() + u.max()) // 2]) + half
        soft = cv2.GaussianBlur(mask, (0, 0), 2.0)[..., None]
        faded = np.pad(soft * photo + (1 - soft) * (0.3 * photo + 0.7 * 128), ((half, half), (half, half), (0, 0)), constant_values=128)
        out.append(np.clip(faded[at[0] - half : at[0] + half, at[1] - half : at[1] + half] + 0.5, 0, 255).astype(np.uint8))
    return out


def open_classifier(model: str = DEFAULT) -> ClipClassifier:
    """Load a CLIP model from a folder, or by its name from the hub's cache or the hub.

    Raises `InputError` for a folder without such a model, `MissingDependencyError` when the extra `clip` is missing or
    weights cannot be had.
    """
    need_packages()
    folder = find_model(model)
    return _load(folder, folder.name if Path(model).is_dir() else model)


def find_model(model: str = DEFAULT) -> Path:
    """The folder of a CLIP model, fetched if need be. Raises as `open_classifier`."""
    folder = Path(model)
    if folder.is_dir():
        return folder
    if model.count("/") != 1 or folder.is_absolute():
        raise InputError(f"--clip-model {model} is neither a folder nor the name of a model.", hint=f"Such as {DEFAULT}.")
    return _fetch(model)


def need_packages() -> None:
    """Raise `MissingDependencyError` unless torch and transformers are installed."""
    from importlib.util import find_spec

    missing = [p for p in ("torch", "transformers") if find_spec(p) is None]
    if missing:
        raise MissingDependencyError(
            f"--classifier clip needs {' and '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not installed.",
            hint="Install the extra: pip install 'phone2sim[clip]'. Or name the objects in assets.toml.",
        )


def _load(folder: Path, name: str) -> ClipClassifier:
    import torch
    from transformers import AutoConfig, AutoTokenizer, CLIPModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
        if kind != "clip":
            raise ValueError(f"it is a {kind} model")
        network = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, RuntimeError) as e:
        said = str(e).strip().splitlines()
        raise InputError(f"{folder} holds no CLIP model: {said[0] if said else type(e).__name__}.", hint="It needs config.json, model.safetensors and a tokenizer.") from None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return ClipClassifier(name, network.eval().to(device), tokenizer)


def _fetch(name: str) -> Path:
    """Folder of the model's files in the hub's cache, fetched when they are not there."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()
    wanted = ["config.json", "model.safetensors", "tokenizer*.json", "vocab.json", "merges.txt", "special_tokens_map.json"]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
        if (folder / "model.safetensors").exists():
            return folder
    except Exception:  # not in the cache
        pass
    message(f"Fetching {name}, once.")
    try:
        HfApi().model_info(name, timeout=20)  # fails at once without a network
        return Path(snapshot_download(name, allow_patterns=wanted))
    except Exception as e:  # the network's errors differ between versions of the hub's client
        said = str(e).strip().splitlines()
        raise MissingDependencyError(
            f"The weights of {name} could not be fetched ({said[0] if said else type(e).__name__}).",
            hint="Fetch it where there is a network, and give its folder: --clip-model DIR.",
        ) from None
