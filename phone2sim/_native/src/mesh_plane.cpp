#include "mesh_plane.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace p2s {
namespace {

constexpr float kNear = 0.01f;  // [m]
constexpr float kSharp = 0.7f;  // of a pixel's footprint, over which the picture is averaged: splats are drawn as sharp
constexpr int kDecode = 4096;

struct Ray {
    float x, y, per_z;  // of unit camera z: its world x and y in texels, right and down, and 1 over its world z
};

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

// seen(pixel, does it see the picture, its ray, camera z, column and row [texels]) of every pixel that is `wanted`.
template <class Wanted, class Seen>
void PlanePicture::rays(const View& view, int threads, const Wanted& wanted, const Seen& seen) const {
    const double* T = view.T_world_camera;
    const double fx = view.K[0], skew = view.K[1], cx = view.K[2], fy = view.K[4], cy = view.K[5], across = 1 / texel;
    const float above = float(height - T[11]), left = float((T[3] - x0) * across), top = float((y1 - T[7]) * across);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int y = 0; y < view.height; ++y) {
        const double ry = (y + 0.5 - cy) / fy, rx = (0.5 - cx - skew * ry) / fx;
        float from[3], step[3];  // the row's first ray, and what a pixel to the right adds
        for (int i = 0; i < 3; ++i) {
            const double unit = i == 0 ? across : i == 1 ? -across : 1.0;
            from[i] = float(unit * (T[4 * i] * rx + T[4 * i + 1] * ry + T[4 * i + 2])), step[i] = float(unit * T[4 * i] / fx);
        }
        for (int x = 0; x < view.width; ++x) {
            const size_t at = size_t(y) * view.width + x;
            if (!wanted(at)) continue;
            const Ray d{from[0] + float(x) * step[0], from[1] + float(x) * step[1], 1.0f / (from[2] + float(x) * step[2])};
            const float z = above * d.per_z, px = left + z * d.x, py = top + z * d.y;
            const bool inside = (z > kNear) & (px >= 0) & (py >= 0) & (px < float(w)) & (py < float(h));
            seen(at, inside && on[size_t(py) * w + size_t(px)], d, z, px, py);
        }
    }
}

void PlanePicture::depth(const View& view, int threads, float* out) const {
    rays(view, threads, [](size_t) { return true; }, [&](size_t at, bool hit, const Ray&, float z, float, float) {
        out[at] = hit ? z : std::numeric_limits<float>::infinity();
    });
}

void PlanePicture::paint(const View& view, const float* depth, const float* covered, const float gain[3], const Before& before, int threads,
                         float* rgb) const {
    const double* T = view.T_world_camera;
    const double fx = view.K[0], skew = view.K[1], fy = view.K[4];
    const float per_w = 1.0f / float(w), per_h = 1.0f / float(h);
    const size_t n = size_t(view.width) * view.height;
    const auto& table = decode_table();
    // A pixel to the right turns the ray by `right`, one down by `down`: in texels, and its world z.
    float right[3], down[3];
    for (int i = 0; i < 3; ++i) {
        const double unit = i == 0 ? 1 / texel : i == 1 ? -1 / texel : 1.0;
        right[i] = float(unit * T[4 * i] / fx), down[i] = float(unit * (T[4 * i + 1] - T[4 * i] * skew / fx) / fy);
    }
    std::fill_n(rgb, 3 * n, 0.0f);
    rays(view, threads, [&](size_t at) { return covered[at] < 1.0f; }, [&](size_t at, bool, const Ray& d, float z, float px, float py) {
        float* out = rgb + 3 * at;
        const bool plane = depth[at] < std::numeric_limits<float>::infinity();
        const float through = plane ? before.left[at] : 0.0f, share = 1.0f - through;
        if (plane && through > 1.0f / 255) {
            // d (x, y) = z (d ray - ray · d ray_z / ray_z), in shares of the picture; v grows upwards.
            const float ku = kSharp * z * per_w, kv = -kSharp * z * per_h, ax = right[2] * d.per_z, ay = down[2] * d.per_z;
            const Vec3 c = texture.sample(px * per_w, 1.0f - py * per_h, ku * (right[0] - d.x * ax), kv * (right[1] - d.y * ax),
                                          ku * (down[0] - d.x * ay), kv * (down[1] - d.y * ay));
            out[0] = c.x * gain[0], out[1] = c.y * gain[1], out[2] = c.z * gain[2];
        }
        if (share < 1.0f / 255) return;
        for (int c = 0; c < 3; ++c) {
            const float own = (before.colour[c * n + at] + (plane ? 0.0f : before.left[at] * before.fill[c])) / share;
            const float linear = table[int(std::min(std::max(own, 0.0f), 1.0f) * kDecode + 0.5f)];
            out[c] = out[c] * through + linear * before.gain[c] * share;
        }
    });
}

}  // namespace p2s
