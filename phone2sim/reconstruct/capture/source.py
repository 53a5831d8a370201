"""What a path holds: a clip, photos, a single photo or an app's capture, told by content and never by name."""

from __future__ import annotations

from pathlib import Path

from phone2sim.errors import CaptureError
from phone2sim.reconstruct.capture.apps import find_app
from phone2sim.reconstruct.capture.content import content_of
from phone2sim.reconstruct.capture.photos import natural_key

_UNPACK = "Unpack it and give the folder, if it holds photos or a clip."
_PICTURES = (".jpg", ".jpeg", ".png", ".heic", ".heif", ".hif")
_INSIDE = ("images", "frames", "rgb", "input", "photos")


def find_source(source: Path) -> tuple[str, list[Path]]:
    """`("clip", [file])`, `("photos", [files, naturally sorted])`, `("photo", [file])`, or `(app, [source])`.

    `app` is a name of `apps.APPS`; the source is then the folder, zip or listing as given. Anything else is a
    `CaptureError`.
    """
    source = Path(source)
    if not source.exists():
        raise CaptureError(f"{source} does not exist.", hint="Give a clip, a photo, or a folder of photos.")
    app = find_app(source)
    if app is not None:
        return app, [source]
    if source.is_file():
        kind = content_of(source)
        if kind == "clip":
            return "clip", [source]
        if kind != "empty" and _is_photo(source, kind):
            return "photo", [source]
        if kind == "zip":
            raise CaptureError(f"{source.name} is a zip, but of no capture app that is known.", hint=_UNPACK)
        what = {"text": "holds text, not video", "empty": "is empty"}.get(kind, "is neither a clip nor a photo")
        raise CaptureError(f"{source.name} {what}.", hint="Give a clip that a phone recorded, or a folder of photos.")
    photos, clips = _sorted_out(source)
    if not photos and not clips:
        for name in _INSIDE:
            if (source / name).is_dir():
                photos, clips = _sorted_out(source / name)
                if photos or clips:
                    break
    if photos:
        return ("photo" if len(photos) == 1 else "photos"), photos
    if len(clips) == 1:
        return "clip", clips
    if clips:
        raise CaptureError(f"{source} holds {len(clips)} clips.", hint="Give one of them.")
    n = sum(1 for p in source.iterdir() if not p.name.startswith("."))
    said = "is empty" if n == 0 else f"holds no photo among its {n} entries"
    raise CaptureError(f"{source} {said}.", hint="Give a folder of JPEG, PNG or HEIC photos, or a clip.")


def _sorted_out(folder: Path) -> tuple[list[Path], list[Path]]:
    files = sorted((p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")), key=natural_key)
    kinds = [(p, content_of(p)) for p in files]
    return [p for p, k in kinds if _is_photo(p, k)], [p for p, k in kinds if k == "clip"]


def _is_photo(path: Path, kind: str) -> bool:
    """By content; what is damaged, by name, so that its reader says so."""
    return kind in ("photo", "heif") or (kind in ("empty", "unknown") and path.suffix.lower() in _PICTURES)
