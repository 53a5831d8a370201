// Binning into tiles: what each tile shows, front to back.
#include <algorithm>
#include <cmath>

#include "splat.h"

namespace p2s {
namespace {

// Of the tiles of `r` in row `ty`, those that the visible ellipse of `f` can touch.
inline void tile_range(const Footprint& f, const Range& r, int ty, int& x0, int& x1) {
  x0 = r.tx0, x1 = r.tx1;
  if (x1 - x0 <= 1) return;
  // Half-widths over the band of pixel centres: the ellipse is convex, so its extreme x is at the band's edges or inside.
  float k = kLogAlphaMin - f.nlo, lo = ty * kTileH + .5f - f.v, hi = lo + kTileH - 1, skew = -f.b / (2 * f.a);
  float det = f.c - f.b * f.b / (4 * f.a), top = std::sqrt(std::max(0.f, k / det));
  float xmax = -1e30f, xmin = 1e30f;
  auto visit = [&](float y) {
    y = std::min(hi, std::max(lo, std::min(top, std::max(-top, y))));
    float half = std::sqrt(std::max(0.f, (k - det * y * y) / f.a)), mid = skew * y;
    xmax = std::max(xmax, mid + half), xmin = std::min(xmin, mid - half);
  };
  float tip = -f.b / (2 * f.c) * std::sqrt(std::max(0.f, k / (f.a - f.b * f.b / (4 * f.c))));  // y where x is largest
  visit(lo), visit(hi), visit(tip), visit(-tip);
  x0 = std::max(x0, (int)std::floor((f.u + xmin - .51f) / kTileW));
  x1 = std::min(x1, (int)std::floor((f.u + xmax + .51f) / kTileW) + 1);
}

}  // namespace

void hide(const Footprint* feet, Range* ranges, size_t n, const Camera& cam, const float* limit) {
  const int nx = (cam.w + kTileW - 1) / kTileW, ny = (cam.h + kTileH - 1) / kTileH;
  std::vector<float> farthest((size_t)nx * ny, 0.f);
  for (int y = 0; y < cam.h; y++)
    for (int tx = 0; tx < nx; tx++) {
      const float* row = limit + (size_t)y * cam.w;
      float most = 0;
      for (int x = tx * kTileW; x < std::min(cam.w, (tx + 1) * kTileW); x++) most = most > row[x] ? most : row[x];
      float& far = farthest[(size_t)(y / kTileH) * nx + tx];
      far = std::max(far, most);
    }
  for (size_t i = 0; i < n; i++) {
    Range& r = ranges[i];
    if (r.tx0 == r.tx1) continue;
    const Footprint& f = feet[i];
    float far = 0;
    for (int ty = r.ty0; ty < r.ty1; ty++)
      for (int tx = r.tx0; tx < r.tx1; tx++) far = std::max(far, farthest[(size_t)ty * nx + tx]);
    const float x = f.zu > 0 ? r.tx0 * kTileW : r.tx1 * kTileW, y = f.zv > 0 ? r.ty0 * kTileH : r.ty1 * kTileH;  // where it is nearest
    if (f.z + f.zu * (x - f.u) + f.zv * (y - f.v) > far) r.tx1 = r.tx0;
  }
}

void bin(const Footprint* feet, const Range* ranges, size_t n, const Camera& cam, Tiles& T, int threads) {
  T.nx = (cam.w + kTileW - 1) / kTileW, T.ny = (cam.h + kTileH - 1) / kTileH;
  T.offsets.resize(n + 1), T.keys.resize(n), T.keys2.resize(n), T.order.resize(n), T.order2.resize(n);
  // How many tiles each Gaussian touches, by runs of Gaussians; `offsets` holds the counts before their sums.
  const size_t tiles = (size_t)T.nx * T.ny;
  const int runs = std::max(1, std::min<int>(threads, (int)(n / 256)));
  struct Run { int64_t entries = 0; size_t seen = 0; };
  std::vector<Run> run(runs + 1);
  std::vector<int32_t> per_run(runs * tiles, 0);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int r = 0; r < runs; r++) {
    int32_t* touched = per_run.data() + r * tiles;
    Run sum;
    for (size_t i = n * r / runs; i < n * (r + 1) / runs; i++) {
      const Range& range = ranges[i];
      T.offsets[i] = 0;
      if (range.tx0 == range.tx1) continue;
      const Footprint& f = feet[i];
      int64_t own = 0;
      for (int ty = range.ty0; ty < range.ty1; ty++) {
        int x0, x1;
        tile_range(f, range, ty, x0, x1);
        for (int tx = x0; tx < x1; tx++) touched[(size_t)ty * T.nx + tx]++;
        own += std::max(0, x1 - x0);
      }
      T.offsets[i] = own;
      sum.entries += own, sum.seen += own > 0;
    }
    run[r + 1] = sum;
  }
  for (int r = 0; r < runs; r++) run[r + 1].entries += run[r].entries, run[r + 1].seen += run[r].seen;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int r = 0; r < runs; r++) {
    Run at = run[r];
    for (size_t i = n * r / runs; i < n * (r + 1) / runs; i++) {
      const int64_t own = T.offsets[i];
      T.offsets[i] = at.entries;
      if (own == 0) continue;
      at.entries += own;
      std::memcpy(&T.keys[at.seen], &feet[i].z, 4);  // positive floats sort like integers
      T.order[at.seen++] = (int32_t)i;
    }
  }
  const size_t seen = run[runs].seen;
  T.offsets[n] = run[runs].entries;
  T.start.assign(tiles + 1, 0);
  for (int r = 0; r < runs; r++)
    for (size_t t = 0; t < tiles; t++) T.start[t + 1] += per_run[r * tiles + t];
  for (size_t t = 0; t < tiles; t++) T.start[t + 1] += T.start[t];
  std::vector<int64_t> count = T.start;
  const size_t total = (size_t)T.offsets[n];
  if (T.entries.capacity() < total) std::vector<Tiles::Entry>().swap(T.entries), T.entries.reserve(total * 5 / 4);
  T.entries.resize(total);

  // Stable radix sort by depth, three digits of eleven bits.
  for (int shift = 0; shift < 33; shift += 11) {
    uint32_t digit[2049] = {};
    for (size_t i = 0; i < seen; i++) digit[((T.keys[i] >> shift) & 2047) + 1]++;
    for (int d = 0; d < 2048; d++) digit[d + 1] += digit[d];
    for (size_t i = 0; i < seen; i++) {
      uint32_t p = digit[(T.keys[i] >> shift) & 2047]++;
      T.keys2[p] = T.keys[i], T.order2[p] = T.order[i];
    }
    T.keys.swap(T.keys2), T.order.swap(T.order2);
  }

  // Counting scatter in depth order; each worker owns a band of tile rows.
  const int bands = std::min(threads, T.ny);
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int band = 0; band < bands; band++) {
    int y0 = T.ny * band / bands, y1 = T.ny * (band + 1) / bands;
    for (size_t k = 0; k < seen; k++) {
      int32_t i = T.order[k];
      const Footprint& f = feet[i];
      const Range& r = ranges[i];
      if (r.ty1 <= y0 || r.ty0 >= y1) continue;
      int64_t row = T.offsets[i];
      for (int ty = r.ty0; ty < std::min<int>(r.ty1, y1); ty++) {
        int x0, x1;
        tile_range(f, r, ty, x0, x1);
        if (ty < y0) {
          row += std::max(0, x1 - x0);
          continue;
        }
        for (int tx = x0; tx < x1; tx++) T.entries[(size_t)count[(size_t)ty * T.nx + tx]++] = {i, (int32_t)row++};
      }
    }
  }
}

}  // namespace p2s
