"""Open a dataset with the real LeRobotDataset: indexing, delta timestamps, a shuffled loader, statistics, progress, pairs.

Run by `lerobot_check.sh` in its own environment; knows nothing of phone2sim but the folder it is given.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

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
    pairs = check_pairs(plain, cameras) if "pair_id" in plain.meta.episodes.column_names else 0
    print(
        f"lerobot_check: opened {plain.num_episodes} episodes, {len(plain)} frames, {len(cameras)} cameras, "
        f"{pairs} pairs, task {last['task']!r} in {time.monotonic() - start:.1f} s"
    )


def check_pairs(dataset: Any, cameras: list[str]) -> int:
    """Episodes of one `pair_id`: one simulated (no `variant`), the others its renderings: the same columns, other pixels."""
    import torch

    rows = dataset.hf_dataset.with_format("numpy")
    pairs: dict[str, list[dict[str, Any]]] = {}
    for e in dataset.meta.episodes:
        first, end = e["dataset_from_index"], e["dataset_to_index"]
        progress = rows[first:end]["progress"]
        assert progress.min() >= 0 and progress.max() <= 1 and progress[-1] > progress[0], e["episode_index"]
        if e["pair_id"]:
            pairs.setdefault(e["pair_id"], []).append(e)
    assert pairs, "no episode has a pair_id"
    for pair_id, episodes in pairs.items():
        variants = [e["variant"] for e in episodes]
        assert variants.count("") == 1 and len(set(variants)) == len(variants) > 1, (pair_id, variants)
        simulated = episodes[variants.index("")]
        for e in episodes:
            for key in ("observation.state", "action", "progress", "timestamp"):
                a, b = (rows[x["dataset_from_index"] : x["dataset_to_index"]][key] for x in (simulated, e))
                assert a.tobytes() == b.tobytes(), (pair_id, e["variant"], key)
            a, b = (dataset[x["dataset_from_index"]] for x in (simulated, e))
            if e["variant"]:
                assert any(not torch.equal(a[c], b[c]) for c in cameras), (pair_id, e["variant"], "same pixels")
    return len(pairs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
