"""A small visuomotor policy: a convolutional network looks at the first picture and decides the whole approach at once, a chunk
of joint targets in the space of the demonstrations' principal components."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

COMPONENTS = 6
"""Principal components of the demonstrated chunks."""


class Cloner(nn.Module):
    """Pictures (n, 3, h, w) 0–1 → weights (n, COMPONENTS) of the chunk's components, in standard deviations."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, size in ((3, 16, 5), (16, 32, 3), (32, 48, 3), (48, 64, 3)):
            layers += [nn.Conv2d(before, after, size, stride=2, padding=size // 2), nn.GroupNorm(4, after), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(128), nn.ReLU(), nn.Linear(128, COMPONENTS))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images - 0.5)


class ClonedPolicy:
    """A trained network as a policy for worlds with joint control: one look, one chunk, then it holds still."""

    needs_pictures = True

    def __init__(self, trained: dict[str, Any], name: str, camera: str) -> None:
        self.name, self._camera = name, camera
        self._model, self._mean, self._basis = trained["model"].eval(), trained["mean"], trained["basis"]

    def reset(self, world: Any) -> None:
        self._chunk: np.ndarray | None = None

    @torch.no_grad()
    def act(self, observation: dict[str, Any]) -> np.ndarray:
        if self._chunk is not None:
            return self._chunk[-1:]
        image = torch.from_numpy(observation["images"][self._camera].transpose(2, 0, 1).copy())[None].float() / 255
        self._chunk = self._mean + np.tensordot(self._model(image)[0].numpy(), self._basis, 1)
        return self._chunk


def train(images: np.ndarray, chunks: np.ndarray, *, seed: int, steps: int, batch: int = 32) -> dict[str, Any]:
    """Fit pictures (d, p, 3, h, w) uint8, any of the p of each of d demonstrations, to their chunks (d, t, a). Adam with a
    falling rate on the mean squared error; single-threaded and seeded, so the same every time."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    mean = chunks.mean(0)
    flat = (chunks - mean).reshape(len(chunks), -1)
    _, s, basis = np.linalg.svd(flat, full_matrices=False)
    basis = basis[:COMPONENTS] * (s[:COMPONENTS, None] / np.sqrt(len(flat)))
    share = torch.from_numpy((s[:COMPONENTS] / s[0]).astype(np.float32))
    weights = torch.from_numpy((flat @ basis.T / (basis**2).sum(1)).astype(np.float32))
    model = Cloner()
    model(torch.zeros(1, *images.shape[2:]))  # sizes the lazy layer
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    rng = np.random.default_rng(seed)
    pictures = torch.from_numpy(images)
    demonstrations, each = images.shape[:2]
    recent: list[float] = []
    for _ in range(steps):
        at, which = (torch.from_numpy(rng.integers(n, size=batch)) for n in (demonstrations, each))
        error = (model(pictures[at, which].float() / 255) - weights[at]) * share
        loss = (error**2).mean()
        optimiser.zero_grad(), loss.backward(), optimiser.step(), schedule.step()
        recent = [*recent[-49:], float(loss.detach())]
    return {
        "model": model,
        "mean": mean,
        "basis": basis.reshape(COMPONENTS, *mean.shape),
        "loss": float(np.mean(recent)),
    }


@torch.no_grad()
def action_error(trained: dict[str, Any], images: np.ndarray, chunks: np.ndarray) -> np.ndarray:
    """Root mean square error of the chunks (d, t, a) predicted from the p-th pictures (d, p, 3, h, w), for each p."""
    model = trained["model"].eval()
    out = []
    for p in range(images.shape[1]):
        weights = model(torch.from_numpy(images[:, p]).float() / 255).numpy()
        error = trained["mean"] + np.tensordot(weights, trained["basis"], 1) - chunks
        out.append(np.sqrt((error**2).mean()))
    return np.array(out)
