"""Options that several commands share, so that one name means one thing everywhere."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from phone2sim.cli.paths import check_exists
from phone2sim.errors import InputError, did_you_mean

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout; progress stays on stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors only.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of everything random; the same seed gives the same result.")
]
Force = Annotated[bool, typer.Option("--force", help="Run again even where nothing changed.")]
ForceCapture = Annotated[
    bool,
    typer.Option(
        "--force", help="Run again even where nothing changed, and go on where the capture coach says it cannot work."
    ),
]
SceneDir = Annotated[
    Path, typer.Argument(metavar="SCENE", help="Scene folder made by `phone2sim build`.", show_default=False)
]
TaskName = Annotated[
    str,
    typer.Option(
        "--task", metavar="TASK", help="pick, place, push, stack or clear; a sentence such as \"put the mug left of the "
        "box\"; or a Python file with a task of your own. docs/tasks.md", show_default=False,
    ),
]  # fmt: skip
DatasetDir = Annotated[
    Path, typer.Argument(metavar="DATASET", help="Dataset folder made by `phone2sim generate`.", show_default=False)
]

TagSize = Annotated[
    float | None,
    typer.Option(
        "--tag-size", min=0.001, help="Edge [m] of the AprilTags in view, when they are not our own sheet.", show_default=False
    ),
]
Charuco = Annotated[
    str | None,
    typer.Option(
        "--charuco", metavar="CxR:SQUARE:MARKER:FAMILY",
        help="A ChArUco board in view: columns x rows of squares, edges [m] of a square and of a marker, marker family; "
        "for example 5x7:0.04:0.03:4x4.", show_default=False,
    ),
]  # fmt: skip
Reference = Annotated[
    list[str] | None,
    typer.Option(
        "--reference", metavar="a4|letter|card|auto",
        help="Something of known size in view: a sheet of paper or a bank card, lying flat. auto looks for all of them, "
        "but then they only guess. May be given several times.", show_default=False,
    ),
]  # fmt: skip
LengthPoints = Annotated[
    list[str] | None,
    typer.Option(
        "--length-points", metavar="'FRAME:x,y to FRAME:x,y = METRES'",
        help="A known length between two points picked in pictures of SCENE/capture/frames; a point picked in two "
        "pictures is surer: FRAME:x,y+FRAME:x,y. May be given several times.", show_default=False,
    ),
]  # fmt: skip
Length = Annotated[
    list[str] | None,
    typer.Option(
        "--length", metavar="'NAME DIMENSION=METRES'",
        help="A known height, length, width or depth of an object of the scene, for example 'mug height=0.095'. May be "
        "given several times.", show_default=False,
    ),
]  # fmt: skip

DepthModelName = Annotated[
    str | None,
    typer.Option(
        "--depth-model",
        metavar="NAME",
        help="Learnt metric depth: depth-anything, zoedepth or depth-pro. A single photo without depth takes the first.",
        show_default=False,
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="DIR", help="Folder of the depth model's weights.", show_default=False),
]


class BackendName(str, Enum):
    auto = "auto"
    cpu = "cpu"
    gsplat = "gsplat"
    nerfstudio = "nerfstudio"


SplatBackend = Annotated[
    BackendName,
    typer.Option("--backend", help="What trains the splat; auto takes gsplat where a CUDA GPU is, else the C++ kernels."),
]
NerfstudioEnv = Annotated[
    Path | None,
    typer.Option("--nerfstudio-env", metavar="DIR", help="Environment that nerfstudio is installed in.", show_default=False),
]


class SimulatorName(str, Enum):
    mujoco = "mujoco"
    physx = "physx"
    isaac = "isaac"


class Split(str, Enum):
    train = "train"
    ood = "ood"


class SegmenterName(str, Enum):
    geometric = "geometric"
    sam = "sam"
    sam_automatic = "sam-automatic"


class SamModel(str, Enum):
    vit_b = "vit_b"
    vit_l = "vit_l"
    vit_h = "vit_h"
    hiera_t = "hiera_t"
    hiera_s = "hiera_s"
    hiera_b = "hiera_b"
    hiera_l = "hiera_l"


SegmenterOption = Annotated[
    SegmenterName,
    typer.Option("--segmenter", help="What cuts objects out: geometry alone, or Segment Anything prompted by it."),
]
SamModelOption = Annotated[SamModel, typer.Option("--sam-model", help="Segment Anything's weights, fetched on first use; hiera_* are SAM 2's.")]
SamCheckpoint = Annotated[
    Path | None,
    typer.Option("--sam-checkpoint", metavar="FILE", help="Segment Anything's weights from a file.", show_default=False),
]
class ClassifierName(str, Enum):
    none = "none"
    clip = "clip"


ClassifierOption = Annotated[
    ClassifierName,
    typer.Option("--classifier", help="Who says what an object is made of where assets.toml does not: nobody, or a CLIP model."),
]
ClipModel = Annotated[
    str | None,
    typer.Option("--clip-model", metavar="MODEL", help="Folder or name of a CLIP model, fetched on first use.", show_default=False),
]
Picks = Annotated[
    list[str] | None,
    typer.Option(
        "--pick", metavar="x,y@FRAME",
        help="Only the object at this pixel of a picture of SCENE/capture/frames. May be given several times.",
        show_default=False,
    ),
]  # fmt: skip
Boxes = Annotated[
    list[str] | None,
    typer.Option(
        "--box", metavar="x0,y0,x1,y1@FRAME", help="Only the object in this box. May be given several times.",
        show_default=False,
    ),
]  # fmt: skip
Empty = Annotated[
    Path | None,
    typer.Option(
        "--empty", metavar="CAPTURE",
        help="A second clip or photos of the same place without the objects: the ground under them is then the real one, not filled in.",
        show_default=False,
    ),
]  # fmt: skip

Faces = Annotated[
    int | None,
    typer.Option("--faces", min=100, help="Triangles of an object's visual mesh at most; 4000 unless told.", show_default=False),
]
HullConcavity = Annotated[
    float | None,
    typer.Option(
        "--hull-concavity", min=0.01, max=1.0,
        help="How concave a collision hull may be, where one is not enough: CoACD's bound, 0.06 unless told. Smaller: more hulls.",
        show_default=False,
    ),
]  # fmt: skip
HullParts = Annotated[
    int | None,
    typer.Option(
        "--hulls", min=1, max=256, help="Collision hulls of an object at most, concave or not; 12 unless told.", show_default=False
    ),
]
HullFaces = Annotated[
    int | None,
    typer.Option("--hull-faces", min=12, max=2000, help="Triangles of one collision hull at most; 64, as PhysX takes them, unless told.", show_default=False),
]


def asset_options(
    segmenter: SegmenterName, sam_model: SamModel, sam_checkpoint: Path | None, picks: list[str] | None, boxes: list[str] | None,
    classifier: ClassifierName = ClassifierName.none, clip_model: str | None = None, empty: Path | None = None, **shape: float | None,
) -> dict[str, Any]:  # fmt: skip
    """What cuts objects out, what tells what they are, and which are wanted, as `AssetsConfig` takes it; checked before anything is computed.

    `shape` are its bounds on meshes and hulls; None leaves the default.
    """
    from phone2sim.assets.segmenters import parse_box, parse_pick
    from phone2sim.reconstruct.capture.source import find_source

    for text in picks or ():
        parse_pick(text)
    for text in boxes or ():
        parse_box(text)
    chosen: dict[str, Any] = {"picks": tuple(picks or ()), "boxes": tuple(boxes or ())}
    chosen |= {k: v for k, v in shape.items() if v is not None}
    if empty is not None:
        find_source(check_exists(empty, "Empty clip"))
        chosen["empty"] = str(empty)
    if classifier is ClassifierName.clip:
        from phone2sim.assets import classify

        classify.need_packages()
        chosen["classifier"] = classifier.value
        if clip_model is not None:
            chosen["clip_model"] = str(Path(clip_model).absolute()) if Path(clip_model).is_dir() else clip_model
    elif clip_model is not None:
        raise InputError("--clip-model is of use with --classifier clip only.")
    if segmenter is SegmenterName.geometric:
        if sam_checkpoint is not None:
            raise InputError("--sam-checkpoint is of use with --segmenter sam only.")
        return chosen
    from phone2sim.assets.segmenters.weights import check_file, model_of, need_packages

    need_packages(sam_model.value if sam_checkpoint is None else model_of(sam_checkpoint))
    if sam_checkpoint is not None:
        chosen["sam_checkpoint"] = str(check_file(sam_checkpoint).absolute())
    return chosen | {"segmenter": segmenter.value, "sam_model": sam_model.value}


def splat_backend(backend: BackendName, nerfstudio_env: Path | None) -> dict[str, Any]:
    """The backend as `ReconstructConfig.of` takes it; one that cannot run here is refused before anything is computed."""
    chosen: dict[str, Any] = {}
    if nerfstudio_env is not None and backend is not BackendName.nerfstudio:
        raise InputError("--nerfstudio-env is of use with --backend nerfstudio only.")
    if backend is not BackendName.auto:
        from phone2sim.reconstruct.backends.choose import choose_backend
        from phone2sim.reconstruct.splat.config import SplatConfig

        chosen["backend"] = backend.value
        if nerfstudio_env is not None:
            chosen["nerfstudio_env"] = str(nerfstudio_env.absolute())
        choose_backend(SplatConfig(**chosen))
    return chosen


def scale_options(
    *, tag_size: float | None = None, charuco: str | None = None, reference: list[str] | None = None,
    length_points: list[str] | None = None, depth_model: str | None = None, checkpoint: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """What tells the scale, checked before anything is computed, as `ReconstructConfig.of` takes it."""
    from phone2sim.reconstruct.metric.board import parse_board
    from phone2sim.reconstruct.metric.length import parse_picked_length
    from phone2sim.reconstruct.metric.reference import REFERENCES
    from phone2sim.reconstruct.photo.models import check_model

    if charuco is not None:
        parse_board(charuco)
    known = (*REFERENCES, "auto")
    for name in reference or ():
        if name not in known:
            raise InputError(f"--reference {name!r} is not known;", hint=did_you_mean(name, known))
    for text in length_points or ():
        parse_picked_length(text)
    if depth_model is not None:
        check_model(depth_model)
    chosen = {
        "tag_size_m": tag_size, "charuco": charuco, "references": tuple(dict.fromkeys(reference or ())),
        "length_points": tuple(length_points or ()), "depth_model": depth_model,
        "checkpoint": None if checkpoint is None else str(checkpoint),
    }  # fmt: skip
    return {k: v for k, v in chosen.items() if v}
