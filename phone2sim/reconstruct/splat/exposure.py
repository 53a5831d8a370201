"""Gain and offset per colour channel and frame: phones change exposure and white balance while filming."""

from __future__ import annotations

import numpy as np


class Exposure:
    """compared picture = exp(log_gain) · render + bias; (frames, 3) each, Adam with moments per frame."""

    def __init__(self, frames: int, *, threads: int = 0) -> None:
        self.value = np.zeros((frames, 6))  # log gain, bias
        self._m, self._v, self._steps = np.zeros((frames, 6)), np.zeros((frames, 6)), np.zeros(frames, int)

    def of(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """Gain (3,) and bias (3,) float32."""
        return self.split(self.value[frame])

    @staticmethod
    def split(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.exp(value[:3]).astype(np.float32), value[3:].astype(np.float32)

    def between(self, frame: int, known: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """Gain and bias of a frame that was not trained on, interpolated in time between those that were."""
        return self.split(np.array([np.interp(frame, known, self.value[known, k]) for k in range(6)]))

    def step(self, frame: int, g_gain: np.ndarray, g_bias: np.ndarray, t: float) -> None:
        """One Adam step of `frame`; `t` is the share of training done."""
        g = np.concatenate([g_gain * np.exp(self.value[frame, :3]), g_bias])
        self._steps[frame] += 1
        n = self._steps[frame]
        self._m[frame] = 0.8 * self._m[frame] + 0.2 * g
        self._v[frame] = 0.98 * self._v[frame] + 0.02 * g * g
        m, v = self._m[frame] / (1 - 0.8**n), self._v[frame] / (1 - 0.98**n)
        rate = 0.01 * 0.1**t * np.array([1, 1, 1, 0.5, 0.5, 0.5])
        self.value[frame] -= rate * m / (np.sqrt(v) + 1e-12)

    def centre(self, frames: list[int]) -> None:
        """Hold the mean over `frames` at the identity, so that the cloud keeps the capture's own colours."""
        self.value[frames] -= self.value[frames].mean(axis=0)
