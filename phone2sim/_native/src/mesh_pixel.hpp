// The colour of a pixel of a visibility buffer: shading once per face that it shows.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "mesh_shade.hpp"

namespace p2s {

constexpr int kTile = 8;
constexpr float kAlike = 0.02f;  // share of the depth: of one surface
constexpr float kTexels = 1.5f;  // of a shadow map, between which its light runs straight

struct View {
    double K[9];
    double T_world_camera[12];  // 3×4 row major
    int width, height, supersample;
};

// Of sample coordinates relative to the target's centre, supersampled; poses are 4×4 row major.
Projection perspective(const World& world, const View& view, const double* T_world_part, float near_m);

struct Pixel {
    Vec3 rgb;  // linear, premultiplied by coverage
    float coverage, depth;
    int32_t part;  // -1: none covers most of the pixel
    Vec3 normal;
    float lit;  // share of the key light that comes past what stands in it; NaN where the part looks away from it
    Vec3 light, shine;  // rgb where it is all of one surface: albedo × light + shine
};

// What stands in the light: shadow and contact maps of what stands still and of what moves, null for none.
struct Shade {
    const ShadowMap* shadow[2];
    const ContactMap* contact[2];
    float step;  // pixels between others whose light differs by less lie between them; 0: each is looked up
    float texel() const { return std::min(shadow[0] ? shadow[0]->texel : 1.0f, shadow[1] ? shadow[1]->texel : 1.0f); }
};

// Shades what a visibility buffer shows.
class PixelShader {
public:
    PixelShader(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
                const Light& light, const Shade& shade);
    // w × h pixels from (x0, y0), a tile of the picture; `out` has rows of kTile. False, and `out` left alone, when it shows nothing.
    bool tile(int x0, int y0, int w, int h, Pixel* out) const;

private:
    struct Around {  // what the pixels around show
        int part;    // -1: they disagree
        float depth, lit;
        bool even;  // light and normal run straight over it
        Vec3 light, shine, normal;
    };
    Pixel at(int x, int y, const Around& around) const;
    // Whether four pixels show one surface in one light, and whether that changes so little that it runs straight from one to the other.
    bool agree(const Pixel& a, const Pixel& b, const Pixel& c, const Pixel& d) const;
    bool even(const Pixel& a, const Pixel& b, const Pixel& c, const Pixel& d) const;
    Vec3 shade(const FaceSetup& s, float X, float Y, const Around& around, bool even, Pixel& out) const;
    void illuminate(const Part& part, int p, float X, float Y, float z, const Around& around, Pixel& out) const;
    Vec3 texture_at(const FaceSetup& s, const Part& part, float W, const int32_t* t, float u, float v) const;
    bool follows(const FaceSetup& s, const Around& around, float key) const;
    bool continues(int a, float key_a, int b, float key_b) const;

    const World& world;
    const View& view;
    const Visibility& seen;
    const double* T_world_part;
    const float* gain;
    const Light& light;
    const Shade maps;
    double fx, fy, cx, cy, skew;  // of sample coordinates relative to the target's centre
};

// A w × h tile from few of its pixels: `exact(x, y)` at the corners of a rectangle, and where these do not agree(x0, y0, x1, y1) at those of
// its quarters, down to single pixels; fill(x, y, ax, ay, x0, y0, x1, y1) everywhere else, at the share ax, ay of the way.
template <class Exact, class Agree, class Fill>
class Spread {
public:
    Spread(int w, int h, const Exact& exact, const Agree& agree, const Fill& fill) : exact(exact), agree(agree), fill(fill) { cell(0, 0, w - 1, h - 1); }

private:
    void ask(int x, int y) {
        if (!done[y * kTile + x]) exact(x, y), done[y * kTile + x] = true;
    }
    void cell(int x0, int y0, int x1, int y1) {
        ask(x0, y0), ask(x1, y0), ask(x0, y1), ask(x1, y1);
        const int w = x1 - x0, h = y1 - y0, mx = (x0 + x1) / 2, my = (y0 + y1) / 2;
        if (w <= 1 && h <= 1) return;
        if (agree(x0, y0, x1, y1)) {
            const float per_x = 1.0f / std::max(w, 1), per_y = 1.0f / std::max(h, 1);
            for (int y = y0; y <= y1; ++y)
                for (int x = x0; x <= x1; ++x)
                    if (!done[y * kTile + x]) fill(x, y, (x - x0) * per_x, (y - y0) * per_y, x0, y0, x1, y1), done[y * kTile + x] = true;
            return;
        }
        cell(x0, y0, w > 1 ? mx : x1, h > 1 ? my : y1);
        if (w > 1) cell(mx, y0, x1, h > 1 ? my : y1);
        if (h > 1) cell(x0, my, w > 1 ? mx : x1, y1);
        if (w > 1 && h > 1) cell(mx, my, x1, y1);
    }

    const Exact& exact;
    const Agree& agree;
    const Fill& fill;
    bool done[kTile * kTile] = {};
};

// The same for plain values (rows of kTile), NaN where not `asked`: corners agree when they are within `step` of each other and of one
// depth z(x, y), and a texel of the shadow is not narrower than the rectangle, which is `pixel` wide [m] a pixel at unit depth.
template <class Asked, class Value, class Depth>
void spread(int w, int h, float step, float pixel, float texel, const Asked& asked, const Value& value, const Depth& z, float* out) {
    auto exact = [&](int x, int y) { out[y * kTile + x] = asked(x, y) ? value(x, y) : std::numeric_limits<float>::quiet_NaN(); };
    auto agree = [&](int x0, int y0, int x1, int y1) {
        const float a = out[y0 * kTile + x0], b = out[y0 * kTile + x1], c = out[y1 * kTile + x0], d = out[y1 * kTile + x1];
        if (std::isnan(a + b + c + d)) return false;
        const float low = std::min(std::min(a, b), std::min(c, d)), high = std::max(std::max(a, b), std::max(c, d));
        const int size = std::max(x1 - x0, y1 - y0);
        return high - low < step && (size <= 2 || float(size) * pixel * z(x0, y0) <= kTexels * texel);
    };
    auto fill = [&](int x, int y, float ax, float ay, int x0, int y0, int x1, int y1) {
        const float depth = z(x, y), a = out[y0 * kTile + x0], b = out[y0 * kTile + x1], c = out[y1 * kTile + x0], d = out[y1 * kTile + x1];
        for (const float other : {z(x0, y0), z(x1, y0), z(x0, y1), z(x1, y1)})
            if (!(std::abs(other - depth) < kAlike * depth)) return exact(x, y);
        if (!asked(x, y)) return exact(x, y);
        out[y * kTile + x] = (a * (1 - ax) + b * ax) * (1 - ay) + (c * (1 - ax) + d * ax) * ay;
    };
    Spread(w, h, exact, agree, fill);
}

}  // namespace p2s
