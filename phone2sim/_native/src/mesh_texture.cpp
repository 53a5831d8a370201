// Textures: linear 16-bit, area-averaged pyramid, trilinear sampling.
#include <algorithm>
#include <array>
#include <cmath>

#include "mesh_world.hpp"

namespace p2s {
namespace {

std::array<uint16_t, 256> srgb_table() {
    std::array<uint16_t, 256> t{};
    for (int i = 0; i < 256; ++i) {
        const double c = i / 255.0;
        const double l = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
        t[i] = uint16_t(std::lround(l * 65535.0));
    }
    return t;
}

TextureLevel halve(const TextureLevel& a) {
    TextureLevel b{std::max(1, a.w / 2), std::max(1, a.h / 2), {}};
    b.rgba.resize(size_t(b.w) * b.h * 4);
    if (a.w == 2 * b.w && a.h == 2 * b.h) {
        for (int y = 0; y < b.h; ++y) {
            const uint16_t *p = a.rgba.data() + size_t(2 * y) * a.w * 4, *q = p + size_t(a.w) * 4;
            uint16_t* out = b.rgba.data() + size_t(y) * b.w * 4;
            for (int x = 0; x < b.w; ++x)
                for (int c = 0; c < 4; ++c)
                    out[4 * x + c] = uint16_t((uint32_t(p[8 * x + c]) + p[8 * x + 4 + c] + q[8 * x + c] + q[8 * x + 4 + c] + 2) / 4);
        }
        return b;
    }
    const double sx = double(a.w) / b.w, sy = double(a.h) / b.h;
    for (int y = 0; y < b.h; ++y) {
        const double v0 = y * sy, v1 = (y + 1) * sy;
        for (int x = 0; x < b.w; ++x) {
            const double u0 = x * sx, u1 = (x + 1) * sx;
            double sum[4] = {0, 0, 0, 0};
            for (int j = int(v0); j < std::min<double>(std::ceil(v1), a.h); ++j) {
                const double wy = std::min<double>(v1, j + 1) - std::max<double>(v0, j);
                for (int i = int(u0); i < std::min<double>(std::ceil(u1), a.w); ++i) {
                    const double wt = wy * (std::min<double>(u1, i + 1) - std::max<double>(u0, i));
                    const uint16_t* p = a.rgba.data() + (size_t(j) * a.w + i) * 4;
                    for (int c = 0; c < 3; ++c) sum[c] += wt * p[c];
                }
            }
            for (int c = 0; c < 3; ++c)
                b.rgba[(size_t(y) * b.w + x) * 4 + c] = uint16_t(sum[c] / (sx * sy) + 0.5);
        }
    }
    return b;
}

Vec3 bilinear(const TextureLevel& t, float u, float v) {
    const float x = u * t.w - 0.5f, y = (1.0f - v) * t.h - 0.5f;
    const float fx = std::floor(x), fy = std::floor(y), ax = x - fx, ay = y - fy;
    const int x0 = std::clamp(int(fx), 0, t.w - 1), x1 = std::clamp(int(fx) + 1, 0, t.w - 1);
    const int y0 = std::clamp(int(fy), 0, t.h - 1), y1 = std::clamp(int(fy) + 1, 0, t.h - 1);
    const uint16_t* p00 = t.rgba.data() + (size_t(y0) * t.w + x0) * 4;
    const uint16_t* p01 = t.rgba.data() + (size_t(y0) * t.w + x1) * 4;
    const uint16_t* p10 = t.rgba.data() + (size_t(y1) * t.w + x0) * 4;
    const uint16_t* p11 = t.rgba.data() + (size_t(y1) * t.w + x1) * 4;
    float c[3];
    for (int k = 0; k < 3; ++k) {
        const float top = p00[k] + ax * (float(p01[k]) - p00[k]);
        const float bottom = p10[k] + ax * (float(p11[k]) - p10[k]);
        c[k] = (top + ay * (bottom - top)) * (1.0f / 65535.0f);
    }
    return {c[0], c[1], c[2]};
}

}  // namespace

Texture::Texture(const uint8_t* srgb, int w, int h) {
    static const std::array<uint16_t, 256> table = srgb_table();
    TextureLevel base{w, h, {}};
    base.rgba.resize(size_t(w) * h * 4);
    for (size_t i = 0; i < size_t(w) * h; ++i)
        for (int c = 0; c < 3; ++c) base.rgba[4 * i + c] = table[srgb[3 * i + c]];
    levels.push_back(std::move(base));
    while (levels.back().w > 1 || levels.back().h > 1) levels.push_back(halve(levels.back()));
}

Vec3 Texture::sample(float u, float v, float lod) const {
    u = std::clamp(u, -1.0f, 2.0f), v = std::clamp(v, -1.0f, 2.0f);
    const int last = int(levels.size()) - 1;
    if (!(lod > 0.0f)) return bilinear(levels[0], u, v);
    const int l0 = std::min(int(lod), last), l1 = std::min(l0 + 1, last);
    const float t = lod - int(lod);
    const Vec3 a = bilinear(levels[l0], u, v);
    if (l0 == l1 || t == 0.0f) return a;
    return a * (1.0f - t) + bilinear(levels[l1], u, v) * t;
}

}  // namespace p2s
