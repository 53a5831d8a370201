"""Writers of capture apps' formats: small captures, true to format, of the synthetic truth."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation, Slerp

from tests.reconstruct.apps.truth import Truth


def jpeg(rgb: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "JPEG", quality=97, subsampling=0, **options)
    return buffer.getvalue()


def png(a: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(a)).save(buffer, "PNG")
    return buffer.getvalue()


def millimetres(depth: np.ndarray) -> np.ndarray:
    return np.round(depth * 1000).astype(np.uint16)


def store(files: dict[str, bytes], place: Path) -> Path:
    """As a folder, or as a zip when the name has a suffix."""
    if place.suffix:
        with zipfile.ZipFile(place, "w") as z:
            for name, data in files.items():
                z.writestr(name, data)
        return place
    for name, data in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(data)
    return place


def sensor(truth: Truth, i: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, float, float, float]]:
    """What ARKit hands over of a phone held upright: the landscape picture of its sensor, whose left is the phone's top.

    Returns picture, depth, OpenGL pose and lens of the landscape camera.
    """
    x, y, z = (truth.T_world_camera[i][:3, c] for c in range(3))
    T = truth.T_world_camera[i].copy()
    T[:3, 0], T[:3, 1], T[:3, 2] = y, x, -z  # right is the upright picture's down, up its right, back −z
    fx, fy, cx, cy = truth.lens
    w = truth.size_wh[0]
    return np.rot90(truth.rgb[i], 1), np.rot90(truth.depth[i], 1), T, (fy, fx, cy, w - cx)


def nerfstudio_files(truth: Truth, *, shared: bool, npy: bool = False, listed: int = 2, extra: dict | None = None) -> dict[str, bytes]:
    """`transforms.json` with shared or per-frame intrinsics; `listed` more frames whose pictures are not there."""
    fx, fy, cx, cy = truth.lens
    lens = {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": truth.size_wh[0], "h": truth.size_wh[1]}
    lens |= {"k1": 0.01, "k2": -0.02, "p1": 0.001, "p2": -0.002}
    files: dict[str, bytes] = {}
    frames = []
    for i in range(truth.n + listed):
        row: dict = {"file_path": f"images/frame_{i + 1:05d}.jpg", "transform_matrix": truth.T_gl[i % truth.n].tolist()}
        if not shared:
            row |= lens
        if i < truth.n:
            files[row["file_path"]] = jpeg(truth.rgb[i])
            row["mask_path"] = f"masks/frame_{i + 1:05d}.png"
            files[row["mask_path"]] = png(truth.mask[i].astype(np.uint8) * 255)
            row["depth_file_path"] = f"depth/frame_{i + 1:05d}.{'npy' if npy else 'png'}"
            buffer = io.BytesIO()
            np.save(buffer, truth.depth[i])
            files[row["depth_file_path"]] = buffer.getvalue() if npy else png(millimetres(truth.depth[i]))
        frames.append(row)
    data = {
        "camera_model": "OPENCV", **(lens if shared else {}), "frames": frames, "ply_file_path": "sparse_pc.ply",
        "applied_transform": [[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]], **(extra or {}),
    }  # fmt: skip
    head = f"ply\nformat ascii 1.0\nelement vertex {len(truth.points)}\nproperty float x\nproperty float y\nproperty float z\n"
    head += "property uint8 red\nproperty uint8 green\nproperty uint8 blue\nend_header\n"
    body = "".join(f"{x:.7f} {y:.7f} {z:.7f} 10 20 30\n" for x, y, z in truth.points)
    return files | {"transforms.json": json.dumps(data).encode(), "sparse_pc.ply": (head + body).encode()}


def write_colmap(truth: Truth, folder: Path, *, model: str, params: list[float], pictures: np.ndarray, text: bool) -> Path:
    """A model as COLMAP writes it, and its pictures in `images/`."""
    import pycolmap

    rec = pycolmap.Reconstruction()
    w, h = truth.size_wh
    rec.add_camera_with_trivial_rig(pycolmap.Camera(camera_id=3, model=model, width=w, height=h, params=params))
    for i in range(truth.n):
        image = pycolmap.Image(name=f"side/p{i}.jpg", camera_id=3, image_id=i + 1)
        R = truth.T_world_camera[i][:3, :3]
        pose = pycolmap.Rigid3d(pycolmap.Rotation3d(R.T), -R.T @ truth.T_world_camera[i][:3, 3])
        rec.add_image_with_trivial_frame(image, pose)
    for p in truth.points:
        rec.add_point3D(p, pycolmap.Track(), np.array([10, 20, 30], np.uint8))
    (folder / "sparse" / "0").mkdir(parents=True)
    (rec.write_text if text else rec.write_binary)(folder / "sparse" / "0")
    store({f"images/side/p{i}.jpg": jpeg(pictures[i]) for i in range(truth.n)}, folder)
    return folder


def record3d_files(truth: Truth, *, exr: bool = False) -> dict[str, bytes]:
    """The contents of an `.r3d`, or of the EXR + JPG export. Frames 10 and beyond must not sort between 1 and 2."""
    import lzfse

    fx, fy, cx, cy = truth.lens
    w, h = truth.size_wh
    poses = [[*Rotation.from_matrix(T[:3, :3]).as_quat().tolist(), *T[:3, 3].tolist()] for T in truth.T_gl]
    data = {
        "w": w, "h": h, "dw": w // 2, "dh": h // 2, "fps": 2, "K": [fx, 0, 0, 0, fy, 0, cx, cy, 1], "poses": poses,
        "initPose": poses[0], "cameraType": 1, "frameTimestamps": truth.time_s.tolist(),
        "perFrameIntrinsicCoeffs": [[fx, fy, cx, cy]] * truth.n,
    }  # fmt: skip
    files = {"metadata.json" if exr else "metadata": json.dumps(data).encode()}
    for i in range(truth.n):
        if exr:
            files[f"rgb/{i}.jpg"] = jpeg(truth.rgb[i])
            files[f"depth/{i}.exr"] = exr_half(truth.depth[i])
            continue
        sure = np.full(truth.depth[i].shape, 2, np.uint8)
        sure[:5] = 0
        files[f"rgbd/{i}.jpg"] = jpeg(truth.rgb[i])
        files[f"rgbd/{i}.depth"] = lzfse.compress(truth.depth[i].astype("<f4").tobytes())
        files[f"rgbd/{i}.conf"] = lzfse.compress(sure.tobytes())
    return files


def exr_half(a: np.ndarray) -> bytes:
    """A one-channel half-float scan-line OpenEXR picture, zip-packed 16 lines at a time."""
    h, w = a.shape
    box = struct.pack("<4i", 0, 0, w - 1, h - 1)
    attributes = {
        ("channels", "chlist"): b"R\0" + struct.pack("<iIii", 1, 0, 1, 1) + b"\0", ("compression", "compression"): b"\3",
        ("dataWindow", "box2i"): box, ("displayWindow", "box2i"): box, ("lineOrder", "lineOrder"): b"\0",
        ("pixelAspectRatio", "float"): struct.pack("<f", 1), ("screenWindowCenter", "v2f"): struct.pack("<2f", 0, 0),
        ("screenWindowWidth", "float"): struct.pack("<f", 1),
    }  # fmt: skip
    head = struct.pack("<II", 20000630, 2)
    for (name, kind), value in attributes.items():
        head += f"{name}\0{kind}\0".encode() + struct.pack("<i", len(value)) + value
    head += b"\0"
    chunks = []
    for y in range(0, h, 16):
        raw = np.frombuffer(a[y : y + 16].astype("<f2").tobytes(), np.uint8)
        mixed = np.concatenate([raw[0::2], raw[1::2]]).astype(int)
        mixed[1:] = (mixed[1:] - mixed[:-1] + 128) % 256
        data = zlib.compress(mixed.astype(np.uint8).tobytes())
        chunks.append(struct.pack("<ii", y, len(data)) + data)
    at = len(head) + 8 * len(chunks) + np.concatenate([[0], np.cumsum([len(c) for c in chunks])[:-1]])
    return head + struct.pack(f"<{len(chunks)}Q", *at.astype(int).tolist()) + b"".join(chunks)


def polycam_files(truth: Truth, *, corrected: bool, top: str = "") -> dict[str, bytes]:
    """The raw export; without `corrected` its two corrected folders are missing."""
    files = {
        f"{top}mesh_info.json": json.dumps({"alignmentTransform": np.eye(4).T.ravel().tolist()}).encode(),
        f"{top}thumbnail.jpg": jpeg(truth.rgb[0][:64, :64]), f"{top}raw.glb": b"glTF",
    }  # fmt: skip
    for i in range(truth.n):
        rgb, depth, T, (fx, fy, cx, cy) = sensor(truth, i)
        stamp = 998_000_000 + round(truth.time_s[i] * 1e6)  # the numbers gain a digit on the way
        camera = {"fx": fx, "fy": fy, "cx": cx, "cy": cy, "width": rgb.shape[1], "height": rgb.shape[0]}
        camera |= {"blur_score": 80.0, "timestamp": stamp} | {f"t_{r}{c}": T[r, c] for r in range(3) for c in range(4)}
        sure = np.full(depth.shape, 255, np.uint8)
        sure[:, :5] = 0
        files[f"{top}keyframes/images/{stamp}.jpg"] = jpeg(rgb)
        files[f"{top}keyframes/depth/{stamp}.png"] = png(millimetres(depth))
        files[f"{top}keyframes/confidence/{stamp}.png"] = png(sure)
        if corrected:
            files[f"{top}keyframes/corrected_images/{stamp}.jpg"] = jpeg(rgb)
            files[f"{top}keyframes/corrected_cameras/{stamp}.json"] = json.dumps(camera).encode()
            camera = camera | {"t_03": camera["t_03"] + 0.05, "fx": fx * 1.01}  # before optimisation
        files[f"{top}keyframes/cameras/{stamp}.json"] = json.dumps(camera).encode()
    return files


def stray_files(truth: Truth, scratch: Path, *, imu_sign: float = 1.0, lens_in_rows: bool = True) -> dict[str, bytes]:
    """A recording of Stray Scanner: film, poses per frame, depth and raw IMU readings in g."""
    import av

    film = scratch / "film.mp4"
    boot = 4321.0
    rows = ["timestamp, frame, x, y, z, qx, qy, qz, qw" + (", fx, fy, cx, cy" if lens_in_rows else "")]
    files: dict[str, bytes] = {}
    with av.open(str(film), "w") as out:
        stream = out.add_stream("libx264", rate=30, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = truth.size_wh[1], truth.size_wh[0], "yuv444p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(truth.n):
            rgb, depth, T_gl, lens = sensor(truth, i)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = round(truth.time_s[i] * 1000), Fraction(1, 1000)
            out.mux(stream.encode(frame))
            q = (Rotation.from_matrix(T_gl[:3, :3]) * Rotation.from_quat([1, 0, 0, 0])).as_quat()
            values = [boot + truth.time_s[i], *T_gl[:3, 3], *q]
            text = ", ".join([f"{values[0]:.6f}", f"{i:06d}", *(f"{v:.8f}" for v in values[1:])])
            rows.append(text + (", " + ", ".join(f"{v:.5f}" for v in lens) if lens_in_rows else ""))
            sure = np.full(depth.shape, 2, np.uint8)
            sure[:, :5] = 0
            files[f"depth/{i:06d}.png"] = png(millimetres(depth))
            files[f"confidence/{i:06d}.png"] = png(sure)
        out.mux(stream.encode())
    fx, fy, cx, cy = sensor(truth, 0)[3]
    turn = Slerp(truth.time_s, Rotation.from_matrix(truth.T_world_camera[:, :3, :3]))
    imu = ["timestamp, a_x, a_y, a_z, alpha_x, alpha_y, alpha_z"]
    rng = np.random.default_rng(1)
    for t in np.arange(0, truth.time_s[-1], 0.01):
        x, y, z = turn(t).as_matrix().T
        up = np.array([0, 1.0, 0])
        phone = np.array([x @ up, -y @ up, -z @ up])  # right, top, out of the screen
        a = imu_sign * -phone + rng.normal(0, 0.02, 3)
        imu.append(f"{boot + t:.6f}, {a[0]:.6f}, {a[1]:.6f}, {a[2]:.6f}, 0.0, 0.0, 0.0")
    return files | {
        "rgb.mp4": film.read_bytes(), "odometry.csv": ("\n".join(rows) + "\n").encode(),
        "camera_matrix.csv": f"{fx}, 0.0, {cx}\n0.0, {fy}, {cy}\n0.0, 0.0, 1.0".encode(),
        "imu.csv": ("\n".join(imu) + "\n").encode(),
    }  # fmt: skip


def realitycapture_files(truth: Truth, T_z_up: np.ndarray, pictures: np.ndarray, *, k3: float = 0.0) -> dict[str, bytes]:
    """The CSV of internal and external parameters. `T_z_up` (n, 4, 4) in OpenCV camera axes."""
    w, h = truth.size_wh
    unit = max(w, h) / 36
    f, (cx, cy) = truth.lens[0] / unit, truth.lens[2:]
    rows = ["#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2"]
    for i, T in enumerate(T_z_up):
        a, b, c = Rotation.from_matrix(T[:3, :3] @ np.diag([1, -1, -1])).as_euler("ZXY", degrees=True)
        v = [*T[:3, 3], -a, b, c, f, (cx - w / 2) / unit, (cy - h / 2) / unit, 0.03, -0.01, k3, 0, 0, 0]
        rows.append(f"DSC_{i}.JPG," + ",".join(repr(float(x)) for x in v))
    rows.append("DSC_99.JPG" + ",1" * 15)
    files = {f"photos/DSC_{i}.JPG": jpeg(pictures[i]) for i in range(truth.n)}
    return files | {"cameras.csv": "\r\n".join(rows).encode("utf-8-sig")}
