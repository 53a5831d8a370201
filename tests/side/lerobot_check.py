"""Open a dataset with the real LeRobotDataset: indexing, delta timestamps, a shuffled loader, statistics.

Run by `lerobot_check.sh` in its own environment; knows nothing of phone2sim but the folder it is given.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from torchvision_stub import prepare_torchvision

os.environ["HF_HUB_OFFLINE"] = "1"


def main(folder: Path) -> None:
    prepare_torchvision()
    import torch
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    root = folder / "lerobot" if (folder / "lerobot").is_dir() else folder
    start = time.monotonic()
    plain = LeRobotDataset("local/phone2sim", root=root)
    fps = plain.fps
    cameras = plain.meta.camera_keys
    assert len(plain) == plain.meta.total_frames and plain.num_episodes == plain.meta.total_episodes
    last = plain[len(plain) - 1]
    assert int(last["episode_index"]) == plain.num_episodes - 1
    for key in cameras:
        height, width, channels = plain.meta.features[key]["shape"]
        assert tuple(last[key].shape) == (channels, height, width), (key, last[key].shape)
        assert 0.02 < float(last[key].mean()) < 0.98, f"{key} is blank"
    assert isinstance(last["task"], str) and last["task"]

    deltas = {"action": [i / fps for i in range(16)], "observation.state": [-1 / fps, 0.0]}
    deltas |= {key: [-1 / fps, 0.0] for key in cameras[:1]}
    chunked = LeRobotDataset("local/phone2sim", root=root, delta_timestamps=deltas)
    middle = chunked[len(chunked) // 2]
    assert middle["action"].shape[0] == 16 and middle["observation.state"].shape[0] == 2
    k = len(chunked) // 2
    assert torch.equal(middle["action"][1], plain[k + 1]["action"])

    batch = next(iter(torch.utils.data.DataLoader(plain, batch_size=8, shuffle=True)))
    assert batch["observation.state"].shape[0] == 8
    for key in ["observation.state", "action", *cameras]:
        stats = plain.meta.stats[key]
        assert (stats["min"] <= stats["mean"]).all() and (stats["mean"] <= stats["max"]).all(), key
    print(
        f"lerobot_check: opened {plain.num_episodes} episodes, {len(plain)} frames, {len(cameras)} cameras, "
        f"task {last['task']!r} in {time.monotonic() - start:.1f} s"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
