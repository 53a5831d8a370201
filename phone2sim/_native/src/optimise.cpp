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

// Adds the gradient of opacity · mean(o) + flat · mean(min scale), means over the visible.
void regularise(const float* log_scales, const float* logits, float* g_log_scales, float* g_logits, const uint8_t* visible, size_t n,
                float opacity, float flat, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
  for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) {
    if (!visible[i]) continue;
    const float* s = log_scales + 3 * i;
    int k = s[0] < s[1] ? (s[0] < s[2] ? 0 : 2) : (s[1] < s[2] ? 1 : 2);
    g_log_scales[3 * i + k] += flat * std::exp(s[k]);
    float o = 1.f / (1.f + std::exp(-logits[i]));
    g_logits[i] += opacity * o * (1 - o);
  }
}

}  // namespace p2s
