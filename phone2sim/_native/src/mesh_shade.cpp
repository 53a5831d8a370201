#include "mesh_shade.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

namespace p2s {
namespace {

constexpr int kBlock = 8, kFine = 4;
constexpr float kReach = 0.02f;  // of contact darkening on a side [m]
constexpr int kSearch = 16, kFilter = 24, kFew = 12;
constexpr float kNarrow = 4.0f;  // [texels]: a penumbra below that needs fewer taps

constexpr float kTap = 1.5f;     // [texels] that a bilinear tap reaches beyond its place

// Points spread evenly over the unit disk (Vogel's spiral): x, then y.
template <int N>
std::array<float, N> vogel(bool y) {
    std::array<float, N> d{};
    for (int i = 0; i < N; ++i) {
        const double r = std::sqrt((i + 0.5) / N), a = 2.399963229728653 * i;
        d[i] = float(r * (y ? std::sin(a) : std::cos(a)));
    }
    return d;
}

const std::array<float, kSearch> search_x = vogel<kSearch>(false), search_y = vogel<kSearch>(true);
const std::array<float, kFilter> filter_x = vogel<kFilter>(false), filter_y = vogel<kFilter>(true);
const std::array<float, kFew> few_x = vogel<kFew>(false), few_y = vogel<kFew>(true);

// In four sums, whatever the processor adds at a time.
template <int N>
float total(const float* a) {
    float part[4] = {};
    for (int i = 0; i < N; i += 4)
        for (int k = 0; k < 4; ++k) part[k] += a[i + k];
    return (part[0] + part[1]) + (part[2] + part[3]);
}

// Mean over N taps in the disk of `radius` texels around (x, y) of what a map of n × n depths lets through at depth t.
template <int N>
float opening(const float* z, int n, float x, float y, float radius, float t, const std::array<float, N>& tap_x, const std::array<float, N>& tap_y) {
    float open[N];
    const float last = n - 1.001f;  // a tap and its right and lower neighbour are inside
#pragma omp simd
    for (int k = 0; k < N; ++k) {
        const float sx = std::clamp(x + radius * tap_x[k] - 0.5f, 0.0f, last);
        const float sy = std::clamp(y + radius * tap_y[k] - 0.5f, 0.0f, last);
        const int i = int(sx), j = int(sy), at = j * n + i;
        const float ax = sx - float(i), ay = sy - float(j);
        const float a = z[at] >= t ? 1.0f : 0.0f, b = z[at + 1] >= t ? 1.0f : 0.0f;
        const float c = z[at + n] >= t ? 1.0f : 0.0f, d = z[at + n + 1] >= t ? 1.0f : 0.0f;
        open[k] = (a * (1 - ax) + b * ax) * (1 - ay) + (c * (1 - ax) + d * ax) * ay;
    }
    return total<N>(open) / N;
}

constexpr auto low = [](float a, float b) { return std::min(a, b); };
constexpr auto high = [](float a, float b) { return std::max(a, b); };

// The least (`low`) or the greatest (`high`) of each 3 × 3 neighbourhood of an n × n grid.
template <class Pick>
std::vector<float> widened(const std::vector<float>& a, int n, const Pick& pick) {
    std::vector<float> rows(a), out;
    for (int y = 0; y < n; ++y) {
        const float* from = &a[size_t(y) * n];
        float* to = &rows[size_t(y) * n];
        for (int x = 1; x < n; ++x) to[x] = pick(to[x], from[x - 1]);
        for (int x = 0; x + 1 < n; ++x) to[x] = pick(to[x], from[x + 1]);
    }
    out = rows;
    for (int y = 0; y < n; ++y)
        for (int other : {y - 1, y + 1}) {
            if (other < 0 || other >= n) continue;
            for (int x = 0; x < n; ++x) out[size_t(y) * n + x] = pick(out[size_t(y) * n + x], rows[size_t(other) * n + x]);
        }
    return out;
}

}  // namespace

void ShadowMap::build_least() {
    nc = (n + kBlock - 1) / kBlock, nf = (n + kFine - 1) / kFine;
    std::vector<float> fine(size_t(nf) * nf, 1e30f), top(fine.size(), -1e30f), blocks(size_t(nc) * nc, 1e30f);
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; x += kFine) {
            const float* d = &depth[size_t(y) * n];
            float least = d[x], most = d[x];
            for (int i = x + 1; i < std::min(n, x + kFine); ++i) least = std::min(least, d[i]), most = std::max(most, d[i]);
            const size_t at = size_t(y / kFine) * nf + x / kFine;
            fine[at] = std::min(fine[at], least), top[at] = std::max(top[at], most);
        }
    for (int y = 0; y < nf; ++y)
        for (int x = 0; x < nf; ++x) {
            float& at = blocks[size_t(y * kFine / kBlock) * nc + x * kFine / kBlock];
            at = std::min(at, fine[size_t(y) * nf + x]);
        }
    // Widen by the largest penumbra on anything inside the map's sphere.
    float lo = 1e30f, hi = 0.5f * n * texel;
    for (float d : blocks)
        if (d < 1e29f) lo = std::min(lo, d), hi = std::max(hi, d);
    const float widest = lo < 1e29f ? softness * (hi - lo) : 0.0f;
    const int r = std::min(nc, int(std::ceil(widest / (texel * kBlock))) + 1);
    reach = r * kBlock;
    coarse = std::move(blocks), per_m = 1.0f / texel;
    for (int k = 0; k < r; ++k) coarse = widened(coarse, nc, low);
    levels = std::max(1, std::min(kLevels, reach / kFine));
    near.resize(fine.size());
    for (int k = 0; k < levels; ++k) {
        fine = widened(fine, nf, low), top = widened(top, nf, high);
        for (size_t i = 0; i < near.size(); ++i) near[i].least[k] = fine[i], near[i].most[k] = top[i];
    }
}

// Fernando 2005: the mean depth of the blockers sets the width of the penumbra.
float ShadowMap::visibility(Vec3 p, float bias) const {
    const Vec3 q = {p.x - centre.x, p.y - centre.y, p.z - centre.z};
    const float x = dot(q, u) * per_m + 0.5f * n, y = dot(q, v) * per_m + 0.5f * n;
    if (!(x >= 1 && y >= 1 && x < n - 1 && y < n - 1)) return 1.0f;
    const float t = dot(q, dir) - bias;
    const float nearest = coarse[size_t(int(y) / kBlock) * nc + int(x) / kBlock];
    if (nearest >= t) return 1.0f;
    const float radius_max = float(reach), widening = softness * per_m;
    const Range& range = near[size_t(int(y) / kFine) * nf + int(x) / kFine];
    // How far off a blocker can be and still count: as far as the penumbra of the nearest to the light that is so near.
    float wide = std::clamp(widening * (t - nearest), 1.0f, radius_max);
    for (int k = int(wide / kFine); k < levels;) {
        const float first = range.least[k];
        if (first >= t) return 1.0f;
        wide = std::min(wide, std::max(widening * (t - first), 1.0f));
        if (k == int(wide / kFine)) break;
        k = int(wide / kFine);
    }
    if (const int k = int((wide + kTap) / kFine); k < levels && range.most[k] < t) return 0.0f;
    const float* z = depth.data();
    float found[kSearch], blocks[kSearch];
#pragma omp simd
    for (int k = 0; k < kSearch; ++k) {
        const int i = std::clamp(int(x + wide * search_x[k]), 0, n - 1), j = std::clamp(int(y + wide * search_y[k]), 0, n - 1);
        const float f = z[j * n + i];
        blocks[k] = f < t ? 1.0f : 0.0f, found[k] = f < t ? f : 0.0f;
    }
    const float blockers = total<kSearch>(blocks);
    if (blockers == 0) return 1.0f;
    const float radius = std::clamp(widening * (t - total<kSearch>(found) / blockers), 1.0f, radius_max);
    if (const int k = int((radius + kTap) / kFine); k < levels) {
        if (range.least[k] >= t) return 1.0f;
        if (range.most[k] < t) return 0.0f;
    }
    if (radius < kNarrow) return opening<kFew>(z, n, x, y, radius, t, few_x, few_y);
    return opening<kFilter>(z, n, x, y, radius, t, filter_x, filter_y);
}

ShadowMap::Over ShadowMap::over(const LightBox& box, float bias) const {
    const float cx = dot(centre, u), cy = dot(centre, v), from = dot(centre, dir) + bias, half = 0.5f * n;
    const float t0 = box.t0 - from - 1e-4f, t1 = box.t1 - from + 1e-4f;
    const int i0 = int(std::floor((box.x0 - cx) * per_m + half)), i1 = int(std::ceil((box.x1 - cx) * per_m + half));
    const int j0 = int(std::floor((box.y0 - cy) * per_m + half)), j1 = int(std::ceil((box.y1 - cy) * per_m + half));
    if (i1 < 0 || j1 < 0 || i0 >= n || j0 >= n) return Over::lit;
    auto extreme = [&](int size, float z, const auto& value, const auto& pick) {
        for (int j = std::max(0, j0) / size; j <= std::min(n - 1, j1) / size; ++j)
            for (int i = std::max(0, i0) / size; i <= std::min(n - 1, i1) / size; ++i) z = pick(z, value(i, j));
        return z;
    };
    const float nearest = extreme(kBlock, 1e30f, [&](int i, int j) { return coarse[size_t(j) * nc + i]; }, low);
    if (nearest >= t1) return Over::lit;
    const float wide = std::max(1.0f, softness * (t1 - nearest) * per_m);
    int k = int(wide / kFine);
    if (k < levels && extreme(kFine, 1e30f, [&](int i, int j) { return near[size_t(j) * nf + i].least[k]; }, low) >= t1) return Over::lit;
    if (i0 < 1 || j0 < 1 || i1 >= n - 1 || j1 >= n - 1) return Over::mixed;
    k = int((wide + kTap) / kFine);
    if (k >= levels) return Over::mixed;
    return extreme(kFine, -1e30f, [&](int i, int j) { return near[size_t(j) * nf + i].most[k]; }, high) < t0 ? Over::dark : Over::mixed;
}

float ContactMap::at(float x, float y) const {
    const float per = 1.0f / cell, gx = (x - x0) * per - 0.5f, gy = (y - y0) * per - 0.5f;
    if (!(gx >= 0 && gy >= 0 && gx < w - 1 && gy < h - 1)) return 0.0f;
    const int i = int(gx), j = int(gy);
    const float ax = gx - i, ay = gy - j;
    const float* o = occlusion.data() + size_t(j) * w + i;
    return (o[0] * (1 - ax) + o[1] * ax) * (1 - ay) + (o[w] * (1 - ax) + o[w + 1] * ax) * ay;
}

bool ContactMap::may_touch(float a0, float a1, float b0, float b1, float z0, float z1) const {
    if (z0 - height > 4 * kReach || z1 - height < -2 * kReach) return false;
    const int i0 = int(std::floor((a0 - x0) / cell)) - 1, i1 = int(std::ceil((a1 - x0) / cell)) + 1;
    const int j0 = int(std::floor((b0 - y0) / cell)) - 1, j1 = int(std::ceil((b1 - y0) / cell)) + 1;
    for (int j = std::max(0, j0); j <= std::min(h - 1, j1); ++j)
        for (int i = std::max(0, i0); i <= std::min(w - 1, i1); ++i)
            if (occlusion[size_t(j) * w + i] > 0) return true;
    return false;
}

// On the support the blurred cover itself; on a side, what the ground a little outside of it loses, fading upwards.
float ContactMap::factor(Vec3 p, Vec3 n) const {
    const float above = p.z - height;
    if (above > 4 * kReach || above < -2 * kReach) return 1.0f;
    const float side = 1.0f - std::max(0.0f, n.z);
    const float o = at(p.x + n.x * kReach, p.y + n.y * kReach);
    if (o == 0.0f) return 1.0f;
    const float f = std::max(0.0f, 1.0f - std::abs(above) * (1 / (4 * kReach)));
    return 1.0f - o * f * f * (1.0f - 0.4f * side);
}

Vec3 irradiance(const Light& light, Vec3 n) {
    const float y[9] = {0.282095f,
                        0.488603f * n.y,
                        0.488603f * n.z,
                        0.488603f * n.x,
                        1.092548f * n.x * n.y,
                        1.092548f * n.y * n.z,
                        0.315392f * (3 * n.z * n.z - 1),
                        1.092548f * n.x * n.z,
                        0.546274f * (n.x * n.x - n.y * n.y)};
    typedef float v4 __attribute__((vector_size(16)));
    v4 c = {0, 0, 0, 0};
    for (int i = 0; i < 9; ++i) {
        v4 row;
        std::memcpy(&row, light.sh[i], 16);
        c += row * y[i];
    }
    return {std::max(0.0f, c[0]), std::max(0.0f, c[1]), std::max(0.0f, c[2])};
}

}  // namespace p2s
