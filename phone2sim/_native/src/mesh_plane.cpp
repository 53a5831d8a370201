#include "mesh_plane.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace p2s {
namespace {

constexpr float kNear = 0.01f, kFar = 10.0f;  // [m]
constexpr float kSharp = 0.7f;  // of a pixel's footprint, over which the picture is averaged: splats are drawn as sharp
constexpr int kDecode = 4096;

// Linear of an sRGB value (IEC 61966-2-1), in steps of 1/4096.
const std::array<float, kDecode + 1>& decode_table() {
    static const std::array<float, kDecode + 1> table = [] {
        std::array<float, kDecode + 1> t{};
        for (int i = 0; i <= kDecode; ++i) {
            const double c = double(i) / kDecode;
            t[i] = float(c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4));
        }
        return t;
    }();
    return table;
}

}  // namespace

PlanePicture::PlanePicture(const uint8_t* srgb, const uint8_t* painted, int w, int h, double x0, double y1, double texel, double height)
    : texture(srgb, w, h), on(painted, painted + size_t(w) * h), w(w), h(h), blocks((w + kBlock - 1) / kBlock), x0(x0), y1(y1), texel(texel), height(height) {
    block.resize(size_t(blocks) * ((h + kBlock - 1) / kBlock));
    for (int j = 0; j < h; j += kBlock)
        for (int i = 0; i < w; i += kBlock) {
            int n = 0;
            const int bottom = std::min(h, j + kBlock), right = std::min(w, i + kBlock);
            for (int y = j; y < bottom; ++y)
                for (int x = i; x < right; ++x) n += on[size_t(y) * w + x] != 0;
            block[size_t(j / kBlock) * blocks + i / kBlock] = n == 0 ? none : n == (bottom - j) * (right - i) ? all : some;
        }
}

PlaneRays::PlaneRays(const PlanePicture& plane, const View& view)
    : above(float(plane.height - view.T_world_camera[11])), fx(view.K[0]), skew(view.K[1]), cx(view.K[2]), fy(view.K[4]), cy(view.K[5]),
      across(1 / plane.texel), left(float((view.T_world_camera[3] - plane.x0) * across)), top(float((plane.y1 - view.T_world_camera[7]) * across)) {
    std::copy_n(view.T_world_camera, 12, T);
}

PlaneRays::Row PlaneRays::row(double y) const {
    const double ry = (y + 0.5 - cy) / fy, rx = (0.5 - cx - skew * ry) / fx;
    Row r;
    for (int i = 0; i < 3; ++i) {
        const double unit = i == 0 ? across : i == 1 ? -across : 1.0;
        r.from[i] = float(unit * (T[4 * i] * rx + T[4 * i + 1] * ry + T[4 * i + 2])), r.step[i] = float(unit * T[4 * i] / fx);
    }
    return r;
}

PlaneRays::Eight PlaneRays::eight(const Row& row, int x0) const {
    Eight r;
#pragma omp simd
    for (int i = 0; i < kTile; ++i) {
        const float x = float(x0 + i);
        const float dx = row.from[0] + x * row.step[0], dy = row.from[1] + x * row.step[1], per_z = 1.0f / (row.from[2] + x * row.step[2]);
        const float z = above * per_z;
        r.x[i] = dx, r.y[i] = dy, r.per_z[i] = per_z, r.z[i] = z, r.px[i] = left + z * dx, r.py[i] = top + z * dy;
    }
    return r;
}

void PlanePicture::depth(const View& view, int threads, float* out) const {
    const PlaneRays rays(*this, view);
    const float right = float(w), bottom = float(h);
    auto at = [&](int i, int j) {
        const uint8_t b = block[size_t(j / kBlock) * blocks + i / kBlock];
        return b == some ? on[size_t(j) * w + i] != 0 : b == all;
    };
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int y = 0; y < view.height; ++y) {
        const PlaneRays::Row row = rays.row(y);
        for (int x0 = 0; x0 < view.width; x0 += kTile) {
            const PlaneRays::Eight r = rays.eight(row, x0);
            float* to = out + size_t(y) * view.width + x0;
            for (int i = 0; i < std::min(kTile, view.width - x0); ++i) {
                const bool inside = (r.z[i] > kNear) & (r.px[i] >= 0) & (r.py[i] >= 0) & (r.px[i] < right) & (r.py[i] < bottom);
                to[i] = inside && at(int(r.px[i]), int(r.py[i])) ? r.z[i] : std::numeric_limits<float>::infinity();
            }
        }
    }
}

Painted::Painted(const PlanePicture& plane, const View& view, const float* depth, const float gain[3], const Before& before)
    : plane(plane), rays(plane, view), n(size_t(view.width) * view.height), depth(depth), before(before), gain{gain[0], gain[1], gain[2]}, width(view.width) {
    const double* T = view.T_world_camera;
    const double fx = view.K[0], skew = view.K[1], fy = view.K[4];
    for (int i = 0; i < 3; ++i) {
        const double unit = i == 0 ? 1 / plane.texel : i == 1 ? -1 / plane.texel : 1.0;
        right[i] = float(unit * T[4 * i] / fx), down[i] = float(unit * (T[4 * i + 1] - T[4 * i] * skew / fx) / fy);
    }
}

// d (x, y) = z (d ray - ray · d ray_z / ray_z), in shares of the picture; v grows upwards.
Texture::Footprint Painted::footprint(const Ray& d, float z) const {
    const float ku = kSharp * z / float(plane.w), kv = -kSharp * z / float(plane.h), ax = right[2] * d.per_z, ay = down[2] * d.per_z;
    return plane.texture.footprint(ku * (right[0] - d.x * ax), kv * (right[1] - d.y * ax), ku * (down[0] - d.x * ay), kv * (down[1] - d.y * ay));
}

void Painted::tile(int x0, int y0, int w, int h, const float* covered, float* rgb) const {
    const auto& table = decode_table();
    const Ray m = rays.at(rays.row(y0 + 0.5 * (h - 1)), float(x0) + 0.5f * float(w - 1));
    const float z = rays.above * m.per_z;
    const bool known = z > kNear && z < kFar;  // the middle looks at the plane: all pixels share its footprint
    const Sampler shared(plane.texture, known ? footprint(m, z) : Texture::Footprint{1, 0, 0, 0.0f, 0.0f, 0.0f});
    for (int y = 0; y < h; ++y) {
        const PlaneRays::Eight r = rays.eight(rays.row(y0 + y), x0);
        const size_t first = size_t(y0 + y) * width + x0;
        const float *under = covered + y * kTile, *left = before.left + first, *met = depth + first;
        for (int x = 0; x < w; ++x) {
            float* out = rgb + 3 * (y * kTile + x);
            out[0] = out[1] = out[2] = 0.0f;
            if (!(under[x] < 1.0f)) continue;
            const bool on = met[x] < std::numeric_limits<float>::infinity();
            const float through = on ? left[x] : 0.0f, share = 1.0f - through;
            if (on && through > 1.0f / 255) {
                const Vec3 c = known ? shared.texel(r.px[x], r.py[x]) : Sampler(plane.texture, footprint({r.x[x], r.y[x], r.per_z[x]}, r.z[x])).texel(r.px[x], r.py[x]);
                out[0] = c.x * gain[0], out[1] = c.y * gain[1], out[2] = c.z * gain[2];
            }
            if (share < 1.0f / 255) continue;
            for (int c = 0; c < 3; ++c) {
                const float own = (before.colour[c * n + first + x] + (on ? 0.0f : left[x] * before.fill[c])) / share;
                const float linear = table[int(std::min(std::max(own, 0.0f), 1.0f) * kDecode + 0.5f)];
                out[c] = out[c] * through + linear * before.gain[c] * share;
            }
        }
    }
}

}  // namespace p2s
