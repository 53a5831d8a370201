// Adam on what was visible, and the pulls that keep Gaussians flat and few.
#include <cmath>

#include "splat.h"

namespace p2s {

void adam(float* p, const float* g, float* m, float* v, const float* rates, int columns, size_t n, const uint8_t* visible,
          float beta1, float beta2, float correct1, float correct2, float eps, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {
    if (!visible[i]) continue;  // what was not in the picture keeps its momentum
    for (size_t j = i * columns, k = 0; k < (size_t)columns; j++, k++) {
      float mm = m[j] = beta1 * m[j] + (1 - beta1) * g[j], vv = v[j] = beta2 * v[j] + (1 - beta2) * g[j] * g[j];
      p[j] -= rates[k] * mm * correct1 / (std::sqrt(vv * correct2) + eps);
    }
  }
}

// Adds the gradient of opacity · mean(o) + scale · mean(scales) + flat · mean(min scale), means over the visible; the
// weights come divided by how many those are.
void regularise(const float* log_scales, const float* logits, float* g_log_scales, float* g_logits, const uint8_t* visible, size_t n,
                float opacity, float scale, float flat, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {
    if (!visible[i]) continue;
    const float* s = log_scales + 3 * i;
    int k = s[0] < s[1] ? (s[0] < s[2] ? 0 : 2) : (s[1] < s[2] ? 1 : 2);
    g_log_scales[3 * i + k] += flat * std::exp(s[k]);
    if (scale != 0)
      for (int j = 0; j < 3; j++) g_log_scales[3 * i + j] += scale / 3 * std::exp(s[j]);
    float o = 1.f / (1.f + std::exp(-logits[i]));
    g_logits[i] += opacity * o * (1 - o);
  }
}

// Noise along each Gaussian's own covariance, for the nearly transparent only (Kheradmand et al. 2024, eq. 8). The draws
// hang on the seed and the index alone.
void jitter(float* means, const float* quats, const float* log_scales, const float* logits, const uint8_t* visible, size_t n, float size,
            uint64_t seed, int threads) {
  auto mix = [](uint64_t z) {  // SplitMix64 (Steele et al. 2014)
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  const uint64_t base = mix(seed);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {
    const double o = 1 / (1 + std::exp(-(double)logits[i])), share = 1 / (1 + std::exp(100 * (o - .005)));
    if (!visible[i] || share < 1e-4) continue;
    double u[4], draw[4], R[3][3];
    for (int j = 0; j < 4; j++) u[j] = ((double)(mix(base ^ (4 * (uint64_t)i + j)) >> 11) + .5) * 0x1p-53;
    for (int j = 0; j < 4; j += 2) {  // Box and Muller 1958
      double r = std::sqrt(-2 * std::log(u[j])), a = 6.283185307179586 * u[j + 1];
      draw[j] = r * std::cos(a), draw[j + 1] = r * std::sin(a);
    }
    const float *q = quats + 4 * i, *s = log_scales + 3 * i;
    double l = 1 / std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3] + 1e-30), a = q[0] * l, b = q[1] * l, c = q[2] * l, d = q[3] * l;
    R[0][0] = 1 - 2 * (c * c + d * d), R[0][1] = 2 * (b * c - a * d), R[0][2] = 2 * (b * d + a * c);
    R[1][0] = 2 * (b * c + a * d), R[1][1] = 1 - 2 * (b * b + d * d), R[1][2] = 2 * (c * d - a * b);
    R[2][0] = 2 * (b * d - a * c), R[2][1] = 2 * (c * d + a * b), R[2][2] = 1 - 2 * (b * b + c * c);
    for (int k = 0; k < 3; k++) {
      double along = 0, var = std::exp(2.0 * s[k]);
      for (int j = 0; j < 3; j++) along += R[j][k] * draw[j];
      for (int j = 0; j < 3; j++) means[3 * i + j] += (float)(size * share * var * along * R[j][k]);
    }
  }
}

}  // namespace p2s
