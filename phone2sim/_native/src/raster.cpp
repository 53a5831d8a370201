// The tile rasteriser: front to back, several pixels at a time, without atomics.
#include <algorithm>
#include <cmath>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "splat.h"

namespace p2s {

int resolve_threads(int wanted) {
#ifdef _OPENMP
  return wanted > 0 ? wanted : omp_get_max_threads();
#else
  (void)wanted;
  return 1;
#endif
}

namespace {

constexpr int kStride = kTileW + 8;  // padding lanes stay inert: transmittance 0
constexpr int kCheck = 8;            // entries between two looks for finished rows
const v8 kLane = {0.5f, 1.5f, 2.5f, 3.5f, 4.5f, 5.5f, 6.5f, 7.5f};

// exp(-s) for 0 <= s <= 6, a quartic of s/8 to the eighth power; relative error below 2e-5.
inline v8 exp_negative(v8 s) {
  v8 y = min8(s, splat8(8.f)) * -0.125f;
  v8 p = 1.f + y * (0.99999f + y * (0.49978f + y * (0.16560f + y * 0.0382f)));
  p *= p, p *= p;
  return p * p;
}

// Pixel columns [x0, x1] of each row of a tile that the visible ellipse covers.
struct Spans {
  int32_t x0[kTileH], x1[kTileH];
  void set(const Footprint& f, float u, float v) {
    const float k = kLogAlphaMin - f.nlo, skew = -f.b / (2 * f.a), det = f.c - f.b * f.b / (4 * f.a), ra = 1 / f.a;
    for (int y = 0; y < kTileH; y++) {
      float dy = y + .5f - v, inside = (k - det * dy * dy) * ra;
      float half = std::sqrt(inside > 0 ? inside : 0.f) + .01f, mid = u + skew * dy - .5f;
      float lo = mid - half + 1, hi = mid + half;  // truncation below is floor: both are held at or above zero
      lo = lo > 0 ? lo : 0, lo = lo < kTileW ? lo : (float)kTileW;
      hi = hi > -1 ? hi : -1, hi = hi < kTileW - 1 ? hi : (float)(kTileW - 1);
      x0[y] = (int32_t)lo, x1[y] = (int32_t)(hi + 1) - 1;
    }
  }
};

// Rows of a tile still worth visiting.
struct Alive {
  int lo = 0, hi = kTileH - 1;
  void shrink(const float* T) {
    auto dead = [&](int y) {
      v8 m = load8(T + y * kStride);
      for (int x = 8; x < kTileW; x += 8) {
        v8 b = load8(T + y * kStride + x);
        m = m > b ? m : b;
      }
      for (int j = 0; j < 8; j++)
        if (m[j] > kOpaque) return false;
      return true;
    };
    while (lo <= hi && dead(lo)) lo++;
    while (hi >= lo && dead(hi)) hi--;
  }
};

constexpr float kBehind = 0.1f;  // [m]: a Gaussian whose centre is this far behind a limit is hidden there

// Pixels of each row, from the first to the last, that Gaussians from depth z on can still change.
struct Window : Alive {
  int x0[kTileH] = {}, x1[kTileH];
  explicit Window(int width) { std::fill(x1, x1 + kTileH, width - 1); }
  void shrink(const float* T, const float* wall, float z) {
    auto dead = [&](int p) { return T[p] <= kOpaque || wall[p] + kBehind < z; };
    for (int y = lo; y <= hi; y++) {
      while (x0[y] <= x1[y] && dead(y * kStride + x0[y])) x0[y]++;
      while (x0[y] <= x1[y] && dead(y * kStride + x1[y])) x1[y]--;
    }
    while (lo <= hi && x0[lo] > x1[lo]) lo++;
    while (hi >= lo && x0[hi] > x1[hi]) hi--;
  }
};

inline void row_range(const Footprint& f, float v, const Alive& alive, int& y0, int& y1) {
  y0 = std::max(alive.lo, (int)std::ceil(std::max(v - f.ey - .51f, 0.f)));
  y1 = std::min(alive.hi, (int)std::floor(std::max(v + f.ey - .49f, -1.f)));
}

constexpr float kLayer = 0.006f;  // what lies within this share of the mean depth of a layer belongs to it

template <bool kDepth, bool kNormal, bool kMode, bool kLimit = false>
void compose(const Footprint* feet, const Normal* normals, const Tiles& tiles, int tile, int w, int h, Background bg, const Picture& out) {
  alignas(32) float T[kTileH * kStride] = {}, C[3][kTileH * kStride] = {};
  alignas(32) float Z[kDepth && !kLimit ? kTileH * kStride : 8] = {}, M[kDepth ? kTileH * kStride : 8] = {};
  alignas(32) float N[3][kNormal ? kTileH * kStride : 8] = {};
  constexpr int kLayers = kMode ? kTileH * kStride : 8;  // weight and weighted depth of the present layer and of the best one
  alignas(32) float W[kLayers] = {}, L[kLayers] = {}, Wb[kLayers] = {}, Lb[kLayers] = {};
  const int px = tile % tiles.nx * kTileW, py = tile / tiles.nx * kTileH;
  const int tw = std::min(kTileW, w - px), th = std::min(kTileH, h - py);
  for (int y = 0; y < th; y++) std::fill(T + y * kStride, T + y * kStride + tw, 1.f);
  alignas(32) float wall[kLimit ? kTileH * kStride : 8] = {};  // what is farther is hidden
  float farthest = 0;
  if constexpr (kLimit)
    for (int y = 0; y < th; y++)
      for (int x = 0; x < tw; x++) farthest = std::max(farthest, wall[y * kStride + x] = out.limit[(size_t)(py + y) * w + px + x]);
  const Tiles::Entry* entries = tiles.entries.data();
  int64_t k = tiles.start[tile], end = tiles.start[tile + 1];
  Window alive(tw);
  alive.hi = th - 1;
  Spans span;
  for (int64_t since = 0; k < end; k++, since++) {
    const Footprint& f = feet[entries[k].gaussian];
    const float u = f.u - px, v = f.v - py;
    if (since % kCheck == 0) {
      if constexpr (kLimit) alive.shrink(T, wall, f.z);
      else if (since) alive.Alive::shrink(T);
      if (alive.lo > alive.hi) break;
    }
    if constexpr (kLimit) {
      if (f.z > farthest + kBehind) break;
      const float x = f.zu > 0 ? .5f : tw - .5f, y = f.zv > 0 ? .5f : th - .5f;  // where in the tile it is nearest
      if (f.z + f.zu * (x - u) + f.zv * (y - v) > farthest) continue;
    }
    int y0, y1;
    row_range(f, v, alive, y0, y1);
    if (y0 <= y1) span.set(f, u, v);
    const v8 a = splat8(f.a), c0 = splat8(f.rgb[0]), c1 = splat8(f.rgb[1]), c2 = splat8(f.rgb[2]);
    const Normal normal = kNormal ? normals[entries[k].gaussian] : Normal{};
    for (int y = y0; y <= y1; y++) {
      const float dy = y + .5f - v;
      const v8 k1 = splat8(f.b * dy), k0 = splat8(f.c * dy * dy + f.nlo);
      int x = span.x0[y], x1 = span.x1[y];
      if constexpr (kLimit) x = std::max(x, alive.x0[y]), x1 = std::min(x1, alive.x1[y]);
      for (int p = y * kStride + x; x <= x1; x += 8, p += 8) {
        v8 dx = kLane + ((float)x - u);
        v8 s = (a * dx + k1) * dx + k0;
        v8 alpha = where8(s <= kLogAlphaMin, min8(exp_negative(s), splat8(kAlphaMax)));
        if constexpr (kLimit) alpha = where8(f.z + f.zu * dx + f.zv * dy <= load8(wall + p), alpha);
        v8 t = load8(T + p), wt = alpha * t, t1 = t - wt;
        store8(T + p, t1);
        store8(C[0] + p, load8(C[0] + p) + wt * c0);
        store8(C[1] + p, load8(C[1] + p) + wt * c1);
        store8(C[2] + p, load8(C[2] + p) + wt * c2);
        if constexpr (kDepth) {
          v8 z = f.z + f.zu * dx + f.zv * dy;
          if constexpr (!kLimit) store8(Z + p, load8(Z + p) + wt * z);
          store8(M + p, load8(M + p) + where8((t >= 0.5f) & (t1 < 0.5f), z));
          if constexpr (kMode) {
            v8 weight = load8(W + p), sum = load8(L + p), best = load8(Wb + p), gap = z * weight - sum;
            i8 within = (gap <= kLayer * sum) & (gap >= -kLayer * sum), drawn = wt > 0.f;
            v8 joined = wt + where8(within, weight), depth = wt * z + where8(within, sum);
            i8 better = drawn & (joined > best);
            store8(W + p, drawn ? joined : weight), store8(L + p, drawn ? depth : sum);
            store8(Wb + p, better ? joined : best), store8(Lb + p, better ? depth : load8(Lb + p));
          }
        }
        if constexpr (kNormal) {
          store8(N[0] + p, load8(N[0] + p) + wt * normal.x);
          store8(N[1] + p, load8(N[1] + p) + wt * normal.y);
          store8(N[2] + p, load8(N[2] + p) + wt * normal.z);
        }
      }
    }
  }
  out.done[tile] = (int32_t)(k - tiles.start[tile]);
  const size_t plane = (size_t)w * h;
  for (int y = 0; y < th; y++) {
    const size_t o = (size_t)(py + y) * w + px;
    const int p = y * kStride;
    std::copy_n(T + p, tw, out.transmittance + o);
    for (int c = 0; c < 3; c++) {
      float* rgb = out.rgb + c * plane + o;
      const float *own = C[c] + p, *left = T + p, *behind = bg.value + (bg.per_pixel ? c * plane + o : c);
      if (bg.per_pixel)
        for (int x = 0; x < tw; x++) rgb[x] = own[x] + left[x] * behind[x];
      else
        for (int x = 0; x < tw; x++) rgb[x] = own[x] + left[x] * *behind;
    }
    if constexpr (kDepth) {
      std::copy_n(M + p, tw, out.depth_median + o);
      if constexpr (!kLimit)
        for (int x = 0; x < tw; x++) out.depth_expected[o + x] = T[p + x] < 1.f - kAlphaMin ? Z[p + x] / (1.f - T[p + x]) : 0.f;
      if constexpr (kMode)
        for (int x = 0; x < tw; x++) out.depth_mode[o + x] = T[p + x] < 0.5f ? Lb[p + x] / Wb[p + x] : 0.f;
    }
    if constexpr (kNormal)
      for (int c = 0; c < 3; c++) std::copy_n(N[c] + p, tw, out.normals + c * plane + o);
  }
}

// Sums of eight vectors, as one vector.
inline v8 sum_each(const v8* a) {
  v8 p[4], q[2];
  for (int i = 0; i < 4; i++)
    p[i] = __builtin_shufflevector(a[2 * i], a[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
           __builtin_shufflevector(a[2 * i], a[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
  for (int i = 0; i < 2; i++)
    q[i] = __builtin_shufflevector(p[2 * i], p[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
           __builtin_shufflevector(p[2 * i], p[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
  return __builtin_shufflevector(q[0], q[1], 0, 1, 2, 3, 8, 9, 10, 11) + __builtin_shufflevector(q[0], q[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

inline float sum(v8 a) { return ((a[0] + a[4]) + (a[1] + a[5])) + ((a[2] + a[6]) + (a[3] + a[7])); }

// Front to back again, with what is still to come: d loss / d alpha_i = T_i (g·c_i) - (S - A_i) / (1 - alpha_i),
// S the whole g·picture and A_i its part up to and with i. `A` holds A_i - S.
// Depth and normals are further colours; the transmittance left over is one of the background alone.
template <bool kGeo>
void decompose(const Footprint* feet, const Normal* normals, const Tiles& tiles, int tile, int w, int h, const PictureGradient& I, float* rows) {
  constexpr int kWidth = kGeo ? kRowGeo : kRow;
  alignas(32) float T[kTileH * kStride] = {}, A[kTileH * kStride] = {}, G[3][kTileH * kStride] = {};
  alignas(32) float GZ[kGeo ? kTileH * kStride : 8] = {}, GN[3][kGeo ? kTileH * kStride : 8] = {};
  const int done = I.done[tile];
  const int px = tile % tiles.nx * kTileW, py = tile / tiles.nx * kTileH;
  const int tw = std::min(kTileW, w - px), th = std::min(kTileH, h - py);
  const size_t plane = (size_t)w * h;
  for (int y = 0; y < th; y++)
    for (int x = 0; x < tw; x++) {
      size_t o = (size_t)(py + y) * w + px + x;
      int p = y * kStride + x;
      T[p] = 1;
      for (int c = 0; c < 3; c++) G[c][p] = I.g_rgb[c * plane + o], A[p] -= I.g_rgb[c * plane + o] * I.rgb[c * plane + o];
      if (I.g_transmittance) A[p] -= I.g_transmittance[o] * I.transmittance[o];
      if constexpr (kGeo) {
        const float cover = 1.f - I.transmittance[o];
        if (I.g_depth && cover > kAlphaMin) {
          GZ[p] = I.g_depth[o] / cover;
          A[p] -= GZ[p] * I.depth[o] * (cover + I.transmittance[o]);  // through the sum and through what it is divided by
        }
        if (I.g_normals)
          for (int c = 0; c < 3; c++) GN[c][p] = I.g_normals[c * plane + o], A[p] -= GN[c][p] * I.normals[c * plane + o];
      }
    }
  const Tiles::Entry* entries = tiles.entries.data();
  const int64_t begin = tiles.start[tile], end = tiles.start[tile + 1];
  for (int64_t k = begin + done; k < end; k++) std::memset(rows + (size_t)entries[k].row * kWidth, 0, kWidth * sizeof(float));
  Alive alive;
  alive.hi = th - 1;
  Spans span;
  for (int64_t k = begin, since = 1; k < begin + done; k++, since++) {
    const Footprint& f = feet[entries[k].gaussian];
    const float u = f.u - px, v = f.v - py;
    int y0, y1;
    row_range(f, v, alive, y0, y1);
    if (y0 <= y1) span.set(f, u, v);
    const v8 a = splat8(f.a), c0 = splat8(f.rgb[0]), c1 = splat8(f.rgb[1]), c2 = splat8(f.rgb[2]);
    const v8 zero = splat8(0);
    v8 S[8] = {zero, zero, zero, zero, zero, zero, zero, zero}, S8 = zero;  // r g b, 1, x, y, xx, xy; yy
    v8 D[8] = {zero, zero, zero, zero, zero, zero, zero, zero};             // z, its x and y, normal
    const Normal normal = kGeo ? normals[entries[k].gaussian] : Normal{};
    for (int y = y0; y <= y1; y++) {
      const float dy = y + .5f - v;
      const v8 k1 = splat8(f.b * dy), k0 = splat8(f.c * dy * dy + f.nlo);
      v8 n0 = zero, nx = zero, z0 = zero;
      for (int x = span.x0[y], x1 = span.x1[y], p = y * kStride + x; x <= x1; x += 8, p += 8) {
        v8 dx = kLane + ((float)x - u);
        v8 s = (a * dx + k1) * dx + k0;
        v8 raw = where8(s <= kLogAlphaMin, exp_negative(s)), alpha = min8(raw, splat8(kAlphaMax));
        v8 t = load8(T + p), wt = alpha * t, g0 = load8(G[0] + p), g1 = load8(G[1] + p), g2 = load8(G[2] + p);
        v8 gc = g0 * c0 + g1 * c1 + g2 * c2;
        if constexpr (kGeo) {
          v8 gz = load8(GZ + p), h0 = load8(GN[0] + p), h1 = load8(GN[1] + p), h2 = load8(GN[2] + p);
          gc += gz * (f.z + f.zu * dx + f.zv * dy) + h0 * normal.x + h1 * normal.y + h2 * normal.z;
          v8 wz = wt * gz;
          z0 += wz, D[1] += wz * dx, D[3] += wt * h0, D[4] += wt * h1, D[5] += wt * h2;
        }
        v8 rest = load8(A + p) + wt * gc;
        store8(A + p, rest);
        store8(T + p, t - wt);
        v8 gs = where8(raw <= kAlphaMax, (t * gc + rest / (1.f - alpha)) * alpha);  // -d loss / d exponent
        S[0] += wt * g0, S[1] += wt * g1, S[2] += wt * g2;
        v8 gx = gs * dx;
        n0 += gs, nx += gx, S[6] += gx * dx;
      }
      S[3] += n0, S[4] += nx, S[5] += n0 * dy, S[7] += nx * dy, S8 += n0 * (dy * dy);
      if constexpr (kGeo) D[0] += z0, D[2] += z0 * dy;
    }
    float* r = rows + (size_t)entries[k].row * kWidth;
    v8 q = sum_each(S);
    r[0] = q[0], r[1] = q[1], r[2] = q[2], r[3] = q[3] / f.opacity;
    r[4] = 2 * f.a * q[4] + f.b * q[5], r[5] = f.b * q[4] + 2 * f.c * q[5];
    r[6] = -.5f * q[6], r[7] = -q[7], r[8] = -.5f * sum(S8);
    if constexpr (kGeo) {
      v8 d = sum_each(D);
      r[4] -= f.zu * d[0], r[5] -= f.zv * d[0];
      for (int j = 0; j < 6; j++) r[9 + j] = d[j];
    }
    if (since % kCheck == 0) alive.shrink(T);
  }
}

}  // namespace

void raster(const Footprint* feet, const Normal* normals, const Tiles& tiles, int w, int h, Background bg, const Picture& out, int threads) {
  auto tile = out.limit       ? compose<true, false, false, true>
              : out.depth_mode ? (out.normals ? compose<true, true, true> : compose<true, false, true>)
              : out.normals  ? compose<true, true, false>
                             : (out.depth_median ? compose<true, false, false> : compose<false, false, false>);
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int t = 0; t < tiles.nx * tiles.ny; t++) tile(feet, normals, tiles, t, w, h, bg, out);
}

void raster_backward(const Footprint* feet, const Normal* normals, const Tiles& tiles, int w, int h, const PictureGradient& I, float* rows,
                     int threads) {
  auto tile = I.geometry() ? decompose<true> : decompose<false>;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int t = 0; t < tiles.nx * tiles.ny; t++) tile(feet, normals, tiles, t, w, h, I, rows);
}

}  // namespace p2s
