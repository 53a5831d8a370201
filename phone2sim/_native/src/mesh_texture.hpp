// Textures: linear 16-bit, area-averaged pyramid, trilinear sampling.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace p2s {

struct Vec3 {
    float x, y, z;
};
inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator*(Vec3 a, float s) { return {a.x * s, a.y * s, a.z * s}; }
inline float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

struct TextureLevel {
    int w, h;
    std::vector<uint16_t> rgba;  // linear, 65535 = 1; a row and a texel more than the picture has, so that each has neighbours to load
};

struct Texture {
    std::vector<TextureLevel> levels;  // 0 is full size, each next one half of it
    explicit Texture(const uint8_t* srgb, int w, int h);
    // What a pixel covers: `taps` samples, (du, dv) from the first end of its longer side to the other, and how far from level `fine` to `coarse`.
    struct Footprint {
        int taps, fine, coarse;
        float du, dv, between;
    };
    // Of a pixel whose steps to the right and down change (u, v) by (dux, dvx) and (duy, dvy): up to eight samples along its longer side.
    Footprint footprint(float dux, float dvx, float duy, float dvy) const;
};

// Looks a texture up in pixels of one footprint.
class Sampler {
public:
    Sampler(const Texture& texture, const Texture::Footprint& f) : f(f), fine(texture.levels[f.fine]), coarse(texture.levels[f.coarse]) {
        size = v4{float(fine.w), float(fine.h), float(coarse.w), float(coarse.h)}, most = size - 1.0f;
        last = i4{std::max(0, fine.w - 2), std::max(0, fine.h - 2), std::max(0, coarse.w - 2), std::max(0, coarse.h - 2)};
        along = v4{f.du, -f.dv, f.du, -f.dv} * size, per = 1.0f / float(f.taps);
        const TextureLevel& full = texture.levels[0];
        per_texel = size / v4{float(full.w), float(full.h), float(full.w), float(full.h)};
    }

    // At (u, v), bottom-left origin, clamped.
    Vec3 operator()(float u, float v) const {
        u = std::clamp(u, -1.0f, 2.0f), v = 1.0f - std::clamp(v, -1.0f, 2.0f);
        return mean(v4{u, v, u, v} * size - 0.5f);
    }
    // At a place in texels of the full size, right and down of the picture's corner.
    Vec3 texel(float x, float y) const { return mean(v4{x, y, x, y} * per_texel - 0.5f); }

private:
    // Four channels at once, or x and y of two levels, through the vector extensions of GCC and Clang.
    typedef float v4 __attribute__((vector_size(16)));
    typedef int32_t i4 __attribute__((vector_size(16)));
    typedef uint16_t h8 __attribute__((vector_size(16)));

    // Of all taps around a place in texels of both levels.
    Vec3 mean(v4 from) const {
        v4 sum = tap(from + (0.5f * per - 0.5f) * along);
        for (int i = 1; i < f.taps; ++i) sum += tap(from + ((float(i) + 0.5f) * per - 0.5f) * along);
        sum *= per * (1.0f / 65535.0f);
        return {sum[0], sum[1], sum[2]};
    }
    // Of 0–65535, at a place in texels of both levels.
    v4 tap(v4 at) const {
        const v4 zero = {};
        at = at < most ? at : most, at = at > zero ? at : zero;
        i4 k = __builtin_convertvector(at, i4);
        k = k < last ? k : last;
        const v4 part = at - __builtin_convertvector(k, v4);
        const v4 c = bilinear(fine, k[0], k[1], part[0], part[1]);
        return f.between == 0.0f ? c : c + f.between * (bilinear(coarse, k[2], k[3], part[2], part[3]) - c);
    }
    // So far on from texel (i, j) to those right and below of it.
    static v4 bilinear(const TextureLevel& t, int i, int j, float x, float y) {
        const size_t row = size_t(t.w) * 4;
        const uint16_t* p = t.rgba.data() + size_t(j) * row + 4 * i;
        const h8 upper = pair(p), lower = pair(p + row);
        const v4 left = first(upper), right = second(upper), a = left + y * (first(lower) - left), b = right + y * (second(lower) - right);
        return a + x * (b - a);
    }
    static h8 pair(const uint16_t* p) {
        h8 a;
        std::memcpy(&a, p, 16);
        return a;
    }
    // Little-endian: a value and zeros above it.
    static v4 first(h8 a) { return __builtin_convertvector((i4)__builtin_shufflevector(a, h8{}, 0, 8, 1, 9, 2, 10, 3, 11), v4); }
    static v4 second(h8 a) { return __builtin_convertvector((i4)__builtin_shufflevector(a, h8{}, 4, 12, 5, 13, 6, 14, 7, 15), v4); }

    const Texture::Footprint f;
    const TextureLevel &fine, &coarse;
    v4 size, most, along, per_texel;
    i4 last;  // column and row of each level that still have a neighbour to the right and below
    float per;
};

}  // namespace p2s
