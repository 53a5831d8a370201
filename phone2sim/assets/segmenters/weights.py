"""Segment Anything's weights, of the first and the second generation: fetched once, checked, and loaded into the packages'
own classes (extra `sam`; SAM 2's package is installed by hand)."""

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

SOURCE = "https://dl.fbaipublicfiles.com/segment_anything"
PACKAGES = {
    "segment_anything": "Install the extra: pip install 'phone2sim[sam]'. Or leave out --segmenter sam: geometry needs no weights.",
    "sam2": "With the extra installed: pip install --no-build-isolation sam2==1.1.0. Or leave out --sam-model: vit_b does without it.",
}
"""Package → how to get it."""


@dataclass(frozen=True, kw_only=True)
class Weights:
    """A file of Meta's."""

    file: str
    sha256: str
    megabytes: int
    folder: str = ""
    """Where it lies below `SOURCE`."""
    package: str = "segment_anything"
    """Whose it is."""


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
    **{
        name: Weights(file=f"sam2.1_hiera_{size}.pt", megabytes=megabytes, sha256=sha256, folder="_2/092824", package="sam2")
        for name, size, megabytes, sha256 in (
            ("hiera_t", "tiny", 156, "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
            ("hiera_s", "small", 184, "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
            ("hiera_b", "base_plus", 324, "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
            ("hiera_l", "large", 898, "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
        )
    },
}  # fmt: skip
DEFAULT = "vit_b"


def load_sam(model: str = DEFAULT, *, checkpoint: Path | None = None) -> Any:
    """A `segment_anything.modeling.Sam` or `sam2.modeling.sam2_base.SAM2Base` ready to predict, of the named weights or of a file.

    Raises `MissingDependencyError` without the packages, or when the weights cannot be fetched; `InputError` for a file that
    is damaged or no Segment Anything model.
    """
    need_packages(check_model(model) if checkpoint is None else model_of(checkpoint))
    return _load(fetch(model) if checkpoint is None else check_file(checkpoint))


def model_of(file: Path) -> str | None:
    """Which published model a file is, by its name."""
    return next((name for name, w in WEIGHTS.items() if w.file == file.name), None)


def check_model(model: str) -> str:
    """`model`, when it is one of `WEIGHTS`."""
    if model not in WEIGHTS:
        raise InputError(f"No Segment Anything model {model!r};", hint=did_you_mean(model, WEIGHTS))
    return model


def need_packages(model: str | None = DEFAULT) -> None:
    """Raise `MissingDependencyError` unless what the model needs is installed; None is one whose package shows in its file."""
    need_modules("torch", "torchvision", *([WEIGHTS[model].package] if model else []))


def need_modules(*names: str) -> None:
    """Raise `MissingDependencyError` naming those that are not installed, and how to get them."""
    from importlib.util import find_spec

    missing = [p for p in names if find_spec(p) is None]
    if missing:
        raise MissingDependencyError(
            f"Segment Anything needs {', '.join(missing)}, which {'are' if len(missing) > 1 else 'is'} not installed.",
            hint=PACKAGES[missing[0] if missing[0] in PACKAGES else "segment_anything"],
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
    address = f"{source}{weights.folder}/{weights.file}"
    message(f"Fetching {weights.file} ({weights.megabytes} MB, Apache-2.0), once.")
    partial_file = file.with_name(f".{file.name}.partial-{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(address, timeout=30) as got, partial_file.open("wb") as out:
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
            hint=f"Fetch {address} where there is a network, and give it: --sam-checkpoint FILE.",
        ) from None
    finally:
        partial_file.unlink(missing_ok=True)
    return file


def check_file(file: Path) -> Path:
    """The file, when it exists; one that bears the name of published weights must have their checksum."""
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise InputError(f"--sam-checkpoint {file} {what}.", hint=f"Give a file such as {WEIGHTS[DEFAULT].file}.")
    known = model_of(file)
    if known is not None and _sha256(file) != WEIGHTS[known].sha256:
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
    second = isinstance(state, dict) and isinstance(state.get("model"), dict)
    if second:
        state = state["model"]
    need_modules("sam2" if second else "segment_anything")
    try:
        import torchvision  # noqa: F401
    except (RuntimeError, ImportError, OSError, AttributeError) as e:  # its operators are compiled for one torch
        raise MissingDependencyError(
            f"torchvision does not fit torch {torch.__version__} ({e}).", hint="Install both anew: pip install -U torch torchvision"
        ) from None
    try:
        sam = build_second(state) if second else build(state)
        sam.load_state_dict(state)
    except (KeyError, IndexError, AttributeError, TypeError, RuntimeError) as e:
        line = re.sub(r"\s+", " ", str(e))[:120]
        raise InputError(f"{file} is no Segment Anything model ({line}).", hint="Give a .pth or .pt made by that package.") from None
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


def build_second(state: dict[str, Any]) -> Any:
    """An untrained SAM 2 (Ravi et al., 2024) of the published size that a state dict's tensors have."""
    from sam2.build_sam import build_sam2

    blocks = {12: "t", 16: "s", 24: "b+", 48: "l"}
    size = blocks[_count(state, r"image_encoder\.trunk\.blocks\.(\d+)\.")]
    version = "sam2.1" if "no_obj_embed_spatial" in state else "sam2"
    return build_sam2(f"configs/{version}/{version}_hiera_{size}.yaml", device="cpu")


def _count(state: dict[str, Any], pattern: str) -> int:
    return 1 + max(int(found[1]) for key in state if (found := re.match(pattern, key)))
