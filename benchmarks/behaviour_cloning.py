"""A small visuomotor policy: a convolutional network per camera, keypoints by spatial softmax (Levine et al. 2016), and
chunks of joint targets relative to where the joints are. Trained by imitation on a dataset of `phone2sim generate`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

CHUNK = 8
"""Actions predicted at once."""
KEYPOINTS = 16


class Keypoints(nn.Module):
    """Pictures (n, 3, h, w) → expected positions (n, 2 k) of k features, −1 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 16, 5, stride=2, padding=2), nn.ReLU(), nn.Conv2d(16, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, KEYPOINTS, 1),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.net(x)
        n, k, h, w = y.shape
        p = torch.softmax(y.reshape(n, k, h * w), -1).reshape(n, k, h, w)
        u, v = torch.linspace(-1, 1, w), torch.linspace(-1, 1, h)
        return torch.cat([(p.sum(2) * u).sum(-1), (p.sum(3) * v).sum(-1)], 1)


class Cloner(nn.Module):
    """Pictures by camera and state → CHUNK actions relative to the state, in units of `scale`."""

    def __init__(self, cameras: tuple[str, ...], state: int) -> None:
        super().__init__()
        self.cameras = cameras
        self.eyes = nn.ModuleList(Keypoints() for _ in cameras)
        self.head = nn.Sequential(
            nn.Linear(2 * KEYPOINTS * len(cameras) + state, 192), nn.ReLU(), nn.Linear(192, 192), nn.ReLU(),
            nn.Linear(192, CHUNK * state),
        )  # fmt: skip
        for name in ("mean", "std", "scale"):
            self.register_buffer(name, torch.ones(state))

    def forward(self, images: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        """Images (n, cameras, 3, h, w) 0–1 and state (n, s) → (n, CHUNK, s)."""
        seen = [eye(images[:, i] - 0.5) for i, eye in enumerate(self.eyes)]
        z = (state - self.mean) / self.std
        return self.head(torch.cat([*seen, z], 1)).reshape(len(state), CHUNK, -1)


class ClonedPolicy:
    """A trained `Cloner` as a policy for `World`s with joint control."""

    needs_pictures = True

    def __init__(self, model: Cloner, name: str) -> None:
        self.model, self.name = model.eval(), name

    def reset(self, world: Any) -> None: ...

    @torch.no_grad()
    def act(self, observation: dict[str, Any]) -> np.ndarray:
        images = np.stack([observation["images"][c] for c in self.model.cameras]).transpose(0, 3, 1, 2)
        state = torch.from_numpy(observation["state"])[None]
        out = self.model(torch.from_numpy(images)[None].float() / 255, state)[0] * self.model.scale
        return (state + out).numpy().astype(float)


def train(
    data: dict[str, np.ndarray], cameras: tuple[str, ...], *, seed: int, epochs: int = 40, batch: int = 64
) -> Cloner:
    """Adam with a falling rate on the mean absolute error; single-threaded and seeded, so the same every time."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    images, state, target = (torch.from_numpy(data[k]) for k in ("images", "state", "target"))
    model = Cloner(cameras, state.shape[1])
    model.mean.copy_(state.mean(0)), model.std.copy_(state.std(0).clamp_min(1e-2))
    model.scale.copy_(target.abs().mean((0, 1)).clamp_min(1e-3))
    steps = epochs * (len(state) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), 1.5e-3, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=steps)
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = torch.from_numpy(rng.permutation(len(state)))
        for i in range(len(state) // batch):
            at = order[i * batch : (i + 1) * batch]
            s = state[at] + 0.02 * model.std * torch.randn(
                len(at), state.shape[1]
            )  # a little off the demonstrated path
            shift = (state[at] - s)[:, None]
            out = model(images[at].float() / 255, s)
            loss = (out - (target[at] + shift) / model.scale).abs().mean()
            optimiser.zero_grad(), loss.backward(), optimiser.step(), schedule.step()
    model.loss = float(loss.detach())
    return model
