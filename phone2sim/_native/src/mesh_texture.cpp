// Textures: linear 16-bit, area-averaged pyramid, trilinear sampling.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "mesh_texture.hpp"

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
    b.rgba.resize((size_t(b.w) * (b.h + 1) + 1) * 4);
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

// log2 good to 0.01, from the bits of the float: the same on every machine.
float log2_fast(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, 4);
    const int e = int(bits >> 23) - 127;
    bits = (bits & 0x7fffff) | 0x3f800000;
    float m;
    std::memcpy(&m, &bits, 4);
    return e + (m - 1.0f) * (1.3465f - 0.3465f * (m - 1.0f) * 1.0f) ;
}

}  // namespace

Texture::Texture(const uint8_t* srgb, int w, int h) {
    static const std::array<uint16_t, 256> table = srgb_table();
    TextureLevel base{w, h, {}};
    base.rgba.resize((size_t(w) * (h + 1) + 1) * 4);
    for (size_t i = 0; i < size_t(w) * h; ++i)
        for (int c = 0; c < 3; ++c) base.rgba[4 * i + c] = table[srgb[3 * i + c]];
    levels.push_back(std::move(base));
    while (levels.back().w > 1 || levels.back().h > 1) levels.push_back(halve(levels.back()));
}

Texture::Footprint Texture::footprint(float dux, float dvx, float duy, float dvy) const {
    const float tw = float(levels[0].w), th = float(levels[0].h);
    const float xx = dux * dux * tw * tw + dvx * dvx * th * th, yy = duy * duy * tw * tw + dvy * dvy * th * th;
    if (!(std::max(xx, yy) > 1.0f)) return {1, 0, 0, 0.0f, 0.0f, 0.0f};
    const float lx = std::sqrt(xx), ly = std::sqrt(yy), major = std::max(lx, ly), minor = std::max(std::min(lx, ly), 1e-6f);
    const int taps = std::max(1, std::min(8, int(std::ceil(std::min(major / std::max(minor, 1.0f), 8.0f) - 0.5f))));
    const float lod = log2_fast(std::max(major / float(taps), 1.0f));
    // Between two levels where `lod` is half way between them, of one alone within a quarter of it.
    const int last = int(levels.size()) - 1, l = std::min(int(lod), last), next = std::min(l + 1, last);
    const float t = std::clamp(2.0f * (lod - float(l)) - 0.5f, 0.0f, 1.0f);
    const float du = std::clamp(lx > ly ? dux : duy, -1.0f, 1.0f), dv = std::clamp(lx > ly ? dvx : dvy, -1.0f, 1.0f);
    return {taps, t == 1.0f ? next : l, next, du, dv, t == 1.0f ? 0.0f : t};
}

}  // namespace p2s
