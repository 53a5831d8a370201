"""Segment Anything's weights: fetched once, checked, and loaded into the package's own classes (extra `sam`)."""

from __future__ import annotations

import hashlib
import os
import re
import urllib.request
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from phone2sim.errors import InputError, MissingDependencyError, did_you_mean
from phone2sim.progress import message, progress

SOURCE = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of Meta's; its name carries the start of its MD5."""

    file: str
    sha256: str
    megabytes: int


WEIGHTS = {
    "vit_b": Weights(
        file="sam_vit_b_01ec64.pth", megabytes=375,
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": Weights(
        file="sam_vit_l_0b3195.pth", megabytes=1250,
        sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": Weights(
        file="sam_vit_h_4b8939.pth", megabytes=2565,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}  # fmt: skip
DEFAULT = "vit_b"


def load_sam(model: str = DEFAULT, *, checkpoint: Path | None = None) -> Any:
    """A `segment_anything.modeling.Sam` ready to predict, of the named weights or of a file.

    Raises `MissingDependencyError` without the extra, or when the weights cannot be fetched; `InputError` for a file that
    is damaged or no Segment Anything model.
    """
    check_model(model)
    need_packages()
    file = fetch(model) if checkpoint is None else check_file(checkpoint)
    return _load(file)


def check_model(model: str) -> str:
    """`model`, when it is one of `WEIGHTS`."""
    if model not in WEIGHTS:
        raise InputError(f"No Segment Anything model {model!r};", hint=did_you_mean(model, WEIGHTS))
    return model


def need_packages() -> None:
    """Raise `MissingDependencyError` unless the extra is installed."""
    from importlib.util import find_spec

    missing = [p for p in ("torch", "torchvision", "segment_anything") if find_spec(p) is None]
    if missing:
        raise MissingDependencyError(
            f"Segment Anything needs {', '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not installed.",
            hint="Install the extra: pip install 'phone2sim[sam]'. Or leave out --segmenter sam: geometry needs no weights.",
        )


def cache_folder() -> Path:
    """Where fetched weights are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "phone2sim" / "sam"


def fetch(model: str, *, source: str = SOURCE, folder: Path | None = None) -> Path:
    """The model's file, fetched when it is not in `folder` (default: the cache), its SHA-256 checked."""
    weights = WEIGHTS[model]
    file = (folder or cache_folder()) / weights.file
    if file.exists():
        return check_file(file)
    message(f"Fetching {weights.file} ({weights.megabytes} MB, Apache-2.0), once.")
    partial_file = file.with_name(f".{file.name}.partial-{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(source + weights.file, timeout=30) as got, partial_file.open("wb") as out:
            with progress(f"Fetching {weights.file}", total=1e6 * weights.megabytes, unit="B") as bar:
                while block := got.read(1 << 20):
                    out.write(block)
                    bar.advance(len(block))
        if _sha256(partial_file) != weights.sha256:
            raise OSError("its checksum is not the published one")
        os.replace(partial_file, file)
    except OSError as e:
        why = re.sub(r"\s+", " ", str(e)).strip().rstrip(".") or type(e).__name__
        raise MissingDependencyError(
            f"The weights {weights.file} could not be fetched ({why[:120]}).",
            hint=f"Fetch {source}{weights.file} where there is a network, and give it: --sam-checkpoint FILE.",
        ) from None
    finally:
        partial_file.unlink(missing_ok=True)
    return file


def check_file(file: Path) -> Path:
    """The file, when it exists; one that bears the name of published weights must have their checksum."""
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise InputError(f"--sam-checkpoint {file} {what}.", hint=f"Give a file such as {WEIGHTS[DEFAULT].file}.")
    known = {w.file: w for w in WEIGHTS.values()}.get(file.name)
    if known is not None and _sha256(file) != known.sha256:
        raise InputError(f"{file} is damaged: its checksum is not the published one.", hint="Delete it and run again.")
    return file


def _sha256(file: Path) -> str:
    h = hashlib.sha256()
    with file.open("rb") as f:
        while block := f.read(1 << 22):
            h.update(block)
    return h.hexdigest()


def _load(file: Path) -> Any:
    import torch

    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as e:  # pickle, zip and torch errors differ between versions
        raise InputError(f"{file} cannot be loaded as weights ({type(e).__name__}).", hint="It should be a .pth of tensors.") from None
    try:
        sam = build(state)
        sam.load_state_dict(state)
    except (KeyError, IndexError, AttributeError, TypeError, RuntimeError) as e:
        line = re.sub(r"\s+", " ", str(e))[:120]
        raise InputError(f"{file} is no Segment Anything model ({line}).", hint="Give a .pth made by that package.") from None
    sam.eval()
    return sam.to("cuda" if torch.cuda.is_available() else "cpu")


def build(state: dict[str, Any]) -> Any:
    """An untrained `Sam` of the size that a state dict's tensors have.

    The published sizes are the package's own; others, such as fine-tuned or reduced ones, are read off the shapes.
    """
    import torch
    from segment_anything import sam_model_registry
    from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

    grid, width = (int(n) for n in state["image_encoder.pos_embed"].shape[2:])
    depth = _count(state, r"image_encoder\.blocks\.(\d+)\.")
    patch = int(state["image_encoder.patch_embed.proj.weight"].shape[2])
    published = {(768, 12): "vit_b", (1024, 24): "vit_l", (1280, 32): "vit_h"}
    if (grid, patch) == (64, 16) and (width, depth) in published:
        return sam_model_registry[published[width, depth]]()
    spans = [tuple(state[f"image_encoder.blocks.{i}.attn.rel_pos_h"].shape) for i in range(depth)]
    windows = [(n + 1) // 2 for n, _ in spans]
    local = [w for w in windows if w != grid]
    channels = int(state["image_encoder.neck.0.weight"].shape[0])
    decoder = "mask_decoder.transformer.layers."
    encoder = ImageEncoderViT(
        img_size=grid * patch, patch_size=patch, embed_dim=width, depth=depth, num_heads=width // spans[0][1],
        mlp_ratio=state["image_encoder.blocks.0.mlp.lin1.weight"].shape[0] / width, out_chans=channels,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), use_rel_pos=True, window_size=local[0] if local else 0,
        global_attn_indexes=tuple(i for i, w in enumerate(windows) if w == grid),
    )  # fmt: skip
    prompts = PromptEncoder(
        embed_dim=channels, image_embedding_size=(grid, grid), input_image_size=(grid * patch, grid * patch),
        mask_in_chans=int(state["prompt_encoder.mask_downscaling.3.weight"].shape[0]),
    )  # fmt: skip
    masks = MaskDecoder(
        num_multimask_outputs=int(state["mask_decoder.mask_tokens.weight"].shape[0]) - 1,
        transformer=TwoWayTransformer(
            depth=_count(state, re.escape(decoder) + r"(\d+)\."), embedding_dim=channels, num_heads=8,
            mlp_dim=int(state[f"{decoder}0.mlp.lin1.weight"].shape[0]),
        ),
        transformer_dim=channels, iou_head_depth=_count(state, r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\."),
        iou_head_hidden_dim=int(state["mask_decoder.iou_prediction_head.layers.0.weight"].shape[0]),
    )  # fmt: skip
    return Sam(
        image_encoder=encoder, prompt_encoder=prompts, mask_decoder=masks, pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )  # fmt: skip


def _count(state: dict[str, Any], pattern: str) -> int:
    return 1 + max(int(found[1]) for key in state if (found := re.match(pattern, key)))
