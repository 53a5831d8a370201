// Photometric loss (1 - share) L1 + share (1 - SSIM) with its derivative.
// SSIM: 11x11 Gaussian window of sigma 1.5, zero outside the picture (Wang et al. 2004).
#include <algorithm>
#include <cmath>
#include <vector>

#include "splat.h"

namespace p2s {
namespace {

constexpr int kTaps = 11, kHalf = 5, kStrip = 48, kRing = 16;  // rows per strip; ring of rows (power of two > taps)

struct Window {
  float w[kTaps];
  Window() {
    double sum = 0, g[kTaps];
    for (int i = 0; i < kTaps; i++) sum += g[i] = std::exp(-(i - kHalf) * (i - kHalf) / (2 * 1.5 * 1.5));
    for (int i = 0; i < kTaps; i++) w[i] = (float)(g[i] / sum);
  }
};
const Window kWindow;

// One strip of one channel. Rows of five fields go through a ring buffer (horizontal blur), are blurred vertically into
// SSIM derivatives, and those pass through a second ring: nothing larger than the cache is touched.
struct Strip {
  int w, pitch;
  std::vector<float> ring, ring2, line, out, ones;

  explicit Strip(int w_) : w(w_), pitch((w_ + 2 * kHalf + 15) / 8 * 8) {
    ring.assign((size_t)5 * kRing * pitch, 0), ring2.assign((size_t)3 * kRing * pitch, 0);
    line.assign((size_t)5 * pitch, 0), out.assign((size_t)5 * pitch, 0), ones.assign(w, 1.f);
  }
  float* at(std::vector<float>& v, int field, int row) { return v.data() + ((size_t)field * kRing + (row & (kRing - 1))) * pitch; }

  // `line` holds values at [kHalf, kHalf + w) between zeros.
  void horizontal(int fields, std::vector<float>& to, int row) {
    const Window k = kWindow;  // a copy: nothing written below can alias it
    for (int f = 0; f < fields; f++) {
      const float* s = line.data() + (size_t)f * pitch;
      float* o = at(to, f, row);
#pragma omp simd
      for (int x = 0; x < w; x++) {
        o[x] = k.w[5] * s[x + 5] + k.w[0] * (s[x] + s[x + 10]) + k.w[1] * (s[x + 1] + s[x + 9]) + k.w[2] * (s[x + 2] + s[x + 8]) +
               k.w[3] * (s[x + 3] + s[x + 7]) + k.w[4] * (s[x + 4] + s[x + 6]);
      }
    }
  }
  void vertical(int fields, std::vector<float>& from, int row) {
    const Window k = kWindow;
    for (int f = 0; f < fields; f++) {
      const float* s[kTaps];
      for (int i = 0; i < kTaps; i++) s[i] = at(from, f, row + i - kHalf);
      float* o = out.data() + (size_t)f * pitch;
#pragma omp simd
      for (int x = 0; x < w; x++) {
        o[x] = k.w[5] * s[5][x] + k.w[0] * (s[0][x] + s[10][x]) + k.w[1] * (s[1][x] + s[9][x]) + k.w[2] * (s[2][x] + s[8][x]) +
               k.w[3] * (s[3][x] + s[7][x]) + k.w[4] * (s[4][x] + s[6][x]);
      }
    }
  }
};

struct Sums { double l1 = 0, ssim = 0, gain = 0, bias = 0; };

Sums strip(const LossFrame& F, int channel, int y0, int y1, float share, float* grad) {
  const int w = F.w, h = F.h;
  const size_t plane = (size_t)w * h;
  const float gain = F.gain[channel], bias = F.bias[channel], inv = 1.f / (3.f * plane);
  const float *image = F.image + channel * plane, *target = F.target + channel * plane;
  float* g = grad + channel * plane;
  Strip S(w);
  Sums sums;
  for (int row = y0 - 2 * kHalf; row < y1 + 2 * kHalf; row++) {
    if (row >= 0 && row < h) {
      float* l = S.line.data();
      const float *im = image + (size_t)row * w, *tg = target + (size_t)row * w;
      const int P = S.pitch;
#pragma omp simd
      for (int x = 0; x < w; x++) {
        float a = gain * im[x] + bias, b = tg[x];
        l[x + kHalf] = a, l[P + x + kHalf] = b, l[2 * P + x + kHalf] = a * a, l[3 * P + x + kHalf] = a * b, l[4 * P + x + kHalf] = b * b;
      }
      S.horizontal(5, S.ring, row);
    } else {
      for (int f = 0; f < 5; f++) std::fill_n(S.at(S.ring, f, row), w, 0.f);
    }
    const int mid = row - kHalf;  // the window of this row is complete
    if (mid >= y0 - kHalf && mid >= 0 && mid < h) {
      S.vertical(5, S.ring, mid);
      const float *o = S.out.data(), *wt = F.weight ? F.weight + (size_t)mid * w : S.ones.data();
      float* l = S.line.data();
      const int P = S.pitch;
      float acc = 0;
#pragma omp simd reduction(+ : acc)
      for (int x = 0; x < w; x++) {
        float ma = o[x], mb = o[P + x], va = o[2 * P + x] - ma * ma, cov = o[3 * P + x] - ma * mb, vb = o[4 * P + x] - mb * mb;
        float A = 2 * ma * mb + 1e-4f, B = 2 * cov + 9e-4f, C = ma * ma + mb * mb + 1e-4f, D = va + vb + 9e-4f;
        float weight = wt[x], r = weight / (C * D), s = A * B * r;
        acc += s + 1.f - weight;
        float dA = B * r, dB = A * r, dC = -s / C, dD = -s / D;
        l[x + kHalf] = 2 * (dA * mb - dB * mb + dC * ma - dD * ma), l[P + x + kHalf] = dD, l[2 * P + x + kHalf] = 2 * dB;
      }
      if (mid >= y0 && mid < y1) sums.ssim += acc;
      S.horizontal(3, S.ring2, mid);
    } else if (mid >= y0 - kHalf) {
      for (int f = 0; f < 3; f++) std::fill_n(S.at(S.ring2, f, mid), w, 0.f);
    }
    const int last = row - 2 * kHalf;
    if (last < y0 || last >= y1) continue;
    S.vertical(3, S.ring2, last);
    const float *o = S.out.data(), *im = image + (size_t)last * w, *tg = target + (size_t)last * w;
    const float* wt = F.weight ? F.weight + (size_t)last * w : S.ones.data();
    float* go = g + (size_t)last * w;
    const int P = S.pitch;
    float l1 = 0, gg = 0, gb = 0;
#pragma omp simd reduction(+ : l1, gg, gb)
    for (int x = 0; x < w; x++) {
      float a = gain * im[x] + bias, d = a - tg[x], weight = wt[x];
      l1 += weight * std::fabs(d);
      float sign = d > 0 ? weight : (d < 0 ? -weight : 0.f);
      float v = inv * ((1 - share) * sign - share * (o[x] + 2 * a * o[P + x] + tg[x] * o[2 * P + x]));
      gg += v * im[x], gb += v;
      go[x] = gain * v;
    }
    sums.l1 += l1, sums.gain += gg, sums.bias += gb;
  }
  return sums;
}

}  // namespace

LossResult photometric_loss(const LossFrame& F, float share, float* grad, int threads) {
  const int strips = (F.h + kStrip - 1) / kStrip;
  std::vector<Sums> parts((size_t)3 * strips);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int job = 0; job < 3 * strips; job++) {
    int y0 = job % strips * kStrip;
    parts[job] = strip(F, job / strips, y0, std::min(F.h, y0 + kStrip), share, grad);
  }
  LossResult R{};
  for (int job = 0; job < 3 * strips; job++) {
    R.l1 += parts[job].l1, R.ssim += parts[job].ssim;
    R.gain[job / strips] += (float)parts[job].gain, R.bias[job / strips] += (float)parts[job].bias;
  }
  R.l1 /= 3.0 * F.w * F.h, R.ssim /= 3.0 * F.w * F.h;
  R.loss = (1 - share) * R.l1 + share * (1 - R.ssim);
  return R;
}

double normal_loss(const Camera& cam, const float* depth, const float* transmittance, const float* normals, float weight, float* g_depth,
                   float* g_normals, int threads) {
  const int w = cam.w, h = cam.h;
  const size_t plane = (size_t)w * h;
  const float k = weight / plane, ifx = 1.f / cam.fx, ify = 1.f / cam.fy;
  std::vector<float> pull(6 * plane, 0.f);  // derivatives by the differences of points across and down
  std::vector<double> rows(h, 0.0);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int y = 1; y < h - 1; y++) {
    for (int x = 1; x < w - 1; x++) {
      const size_t o = (size_t)y * w + x, around[5] = {o, o - 1, o + 1, o - w, o + w};
      bool solid = true;
      for (size_t q : around) solid &= transmittance[q] < .5f;
      if (!solid) continue;
      const float l = depth[o - 1], r = depth[o + 1], t = depth[o - w], b = depth[o + w];
      const float X = (x + .5f - cam.cx) * ifx, Y = (y + .5f - cam.cy) * ify;
      const float a[3] = {r * (X + ifx) - l * (X - ifx), (r - l) * Y, r - l}, d[3] = {(b - t) * X, b * (Y + ify) - t * (Y - ify), b - t};
      const float m[3] = {d[1] * a[2] - d[2] * a[1], d[2] * a[0] - d[0] * a[2], d[0] * a[1] - d[1] * a[0]};  // d × a: towards the camera
      const float length = std::sqrt(m[0] * m[0] + m[1] * m[1] + m[2] * m[2]);
      if (!(length > 1e-20f)) continue;
      float n[3], N[3], dot = 0, gm[3];
      for (int i = 0; i < 3; i++) {
        n[i] = m[i] / length;
        N[i] = cam.R[i][0] * normals[o] + cam.R[i][1] * normals[plane + o] + cam.R[i][2] * normals[2 * plane + o];
        dot += n[i] * N[i];
      }
      rows[y] += 1.f - transmittance[o] - dot;
      for (int i = 0; i < 3; i++) {
        gm[i] = -k * (N[i] - dot * n[i]) / length;
        g_normals[i * plane + o] -= k * (cam.R[0][i] * n[0] + cam.R[1][i] * n[1] + cam.R[2][i] * n[2]);
      }
      float* p = pull.data() + 6 * o;
      p[0] = gm[1] * d[2] - gm[2] * d[1], p[1] = gm[2] * d[0] - gm[0] * d[2], p[2] = gm[0] * d[1] - gm[1] * d[0];  // gm × d
      p[3] = a[1] * gm[2] - a[2] * gm[1], p[4] = a[2] * gm[0] - a[0] * gm[2], p[5] = a[0] * gm[1] - a[1] * gm[0];  // a × gm
    }
  }
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      const size_t o = (size_t)y * w + x;
      float g[3];
      for (int i = 0; i < 3; i++)
        g[i] = (x > 0 ? pull[6 * (o - 1) + i] : 0) - (x < w - 1 ? pull[6 * (o + 1) + i] : 0) + (y > 0 ? pull[6 * (o - w) + 3 + i] : 0) -
               (y < h - 1 ? pull[6 * (o + w) + 3 + i] : 0);
      g_depth[o] += g[0] * (x + .5f - cam.cx) * ifx + g[1] * (y + .5f - cam.cy) * ify + g[2];
    }
  double sum = 0;
  for (double r : rows) sum += r;
  return sum * k;
}

}  // namespace p2s
