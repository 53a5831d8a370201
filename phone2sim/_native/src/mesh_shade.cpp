#include "mesh_shade.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace p2s {
namespace {

constexpr int kBlock = 8;
constexpr int kSearch = 16, kFilter = 24;

struct Disk {
    float x, y;
};

// Points spread evenly over the unit disk (Vogel's spiral).
template <int N>
std::array<Disk, N> vogel() {
    std::array<Disk, N> d{};
    for (int i = 0; i < N; ++i) {
        const double r = std::sqrt((i + 0.5) / N), a = 2.399963229728653 * i;
        d[i] = {float(r * std::cos(a)), float(r * std::sin(a))};
    }
    return d;
}

const std::array<Disk, kSearch> search_disk = vogel<kSearch>();
const std::array<Disk, kFilter> filter_disk = vogel<kFilter>();

}  // namespace

void ShadowMap::build_coarse() {
    nc = (n + kBlock - 1) / kBlock;
    std::vector<float> least(size_t(nc) * nc, 1e30f);
    for (int y = 0; y < n; ++y)
        for (int x = 0; x < n; ++x) {
            float& m = least[size_t(y / kBlock) * nc + x / kBlock];
            m = std::min(m, depth[size_t(y) * n + x]);
        }
    // Widen by the largest penumbra on anything inside the map's sphere.
    float lo = 1e30f, hi = 0.5f * n * texel;
    for (float d : least)
        if (d < 1e29f) lo = std::min(lo, d), hi = std::max(hi, d);
    const float widest = lo < 1e29f ? softness * (hi - lo) : 0.0f;
    const int r = std::min(nc, int(std::ceil(widest / (texel * kBlock))) + 1);
    reach = r * kBlock;
    std::vector<float> rows(least.size(), 1e30f);
    coarse.assign(least.size(), 1e30f);
    for (int y = 0; y < nc; ++y)
        for (int x = 0; x < nc; ++x)
            for (int i = std::max(0, x - r); i <= std::min(nc - 1, x + r); ++i)
                rows[size_t(y) * nc + x] = std::min(rows[size_t(y) * nc + x], least[size_t(y) * nc + i]);
    for (int y = 0; y < nc; ++y)
        for (int x = 0; x < nc; ++x)
            for (int j = std::max(0, y - r); j <= std::min(nc - 1, y + r); ++j)
                coarse[size_t(y) * nc + x] = std::min(coarse[size_t(y) * nc + x], rows[size_t(j) * nc + x]);
}

// Fernando 2005: the mean depth of the blockers sets the width of the penumbra.
float ShadowMap::visibility(Vec3 p, float bias) const {
    const Vec3 q = {p.x - centre.x, p.y - centre.y, p.z - centre.z};
    const float x = dot(q, u) / texel + 0.5f * n, y = dot(q, v) / texel + 0.5f * n;
    if (!(x >= 1 && y >= 1 && x < n - 1 && y < n - 1)) return 1.0f;
    const float t = dot(q, dir) - bias;
    const float least = coarse[size_t(int(y) / kBlock) * nc + int(x) / kBlock];
    if (least >= t) return 1.0f;
    const float radius_max = float(reach), wide = std::clamp(softness * (t - least) / texel, 1.0f, radius_max);
    float sum = 0.0f;
    int blockers = 0;
    for (const Disk& d : search_disk) {
        const int i = std::clamp(int(x + wide * d.x), 0, n - 1), j = std::clamp(int(y + wide * d.y), 0, n - 1);
        const float z = depth[size_t(j) * n + i];
        if (z < t) sum += z, ++blockers;
    }
    if (blockers == 0) return 1.0f;
    const float radius = std::clamp(softness * (t - sum / blockers) / texel, 1.0f, radius_max);
    float lit = 0.0f;
    for (const Disk& d : filter_disk) {
        const float sx = std::clamp(x + radius * d.x - 0.5f, 0.0f, n - 1.001f);
        const float sy = std::clamp(y + radius * d.y - 0.5f, 0.0f, n - 1.001f);
        const int i = int(sx), j = int(sy);
        const float ax = sx - i, ay = sy - j;
        const float* z = depth.data() + size_t(j) * n + i;
        const int step_x = i + 1 < n ? 1 : 0, step_y = j + 1 < n ? n : 0;
        const float top = (z[0] >= t) * (1 - ax) + (z[step_x] >= t) * ax;
        const float bottom = (z[step_y] >= t) * (1 - ax) + (z[step_y + step_x] >= t) * ax;
        lit += top * (1 - ay) + bottom * ay;
    }
    return lit / kFilter;
}

float ContactMap::at(float x, float y) const {
    const float gx = (x - x0) / cell - 0.5f, gy = (y - y0) / cell - 0.5f;
    if (!(gx >= 0 && gy >= 0 && gx < w - 1 && gy < h - 1)) return 0.0f;
    const int i = int(gx), j = int(gy);
    const float ax = gx - i, ay = gy - j;
    const float* o = occlusion.data() + size_t(j) * w + i;
    return (o[0] * (1 - ax) + o[1] * ax) * (1 - ay) + (o[w] * (1 - ax) + o[w + 1] * ax) * ay;
}

// On the support the blurred cover itself; on a side, what the ground a little outside of it loses, fading upwards.
float ContactMap::factor(Vec3 p, Vec3 n) const {
    constexpr float reach = 0.02f;
    const float above = p.z - height;
    if (above > 4 * reach || above < -2 * reach) return 1.0f;
    const float side = 1.0f - std::max(0.0f, n.z);
    const float o = at(p.x + n.x * reach, p.y + n.y * reach);
    const float f = std::max(0.0f, 1.0f - std::abs(above) / (4 * reach));
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
    float c[3] = {0, 0, 0};
    for (int i = 0; i < 9; ++i)
        for (int k = 0; k < 3; ++k) c[k] += light.sh[i][k] * y[i];
    return {std::max(0.0f, c[0]), std::max(0.0f, c[1]), std::max(0.0f, c[2])};
}

}  // namespace p2s
