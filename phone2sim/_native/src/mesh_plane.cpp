#include "mesh_plane.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace p2s {
namespace {

constexpr double kNear = 0.01;  // [m]
constexpr double kSharp = 0.7;  // of a pixel's footprint, over which the picture is averaged: splats are drawn as sharp
constexpr int kDecode = 4096;

struct Ray {
    double x, y, per_z;  // of unit camera z: its world x and y, and 1 over its world z
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
    const double fx = view.K[0], skew = view.K[1], cx = view.K[2], fy = view.K[4], cy = view.K[5];
    const double above = height - T[11], across = 1 / texel;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int y = 0; y < view.height; ++y) {
        const double ry = (y + 0.5 - cy) / fy;
        for (int x = 0; x < view.width; ++x) {
            if (!wanted(size_t(y) * view.width + x)) continue;
            const double rx = (x + 0.5 - cx - skew * ry) / fx;
            const Ray d{T[0] * rx + T[1] * ry + T[2], T[4] * rx + T[5] * ry + T[6], 1 / (T[8] * rx + T[9] * ry + T[10])};
            const double z = above * d.per_z, px = (T[3] + z * d.x - x0) * across, py = (y1 - T[7] - z * d.y) * across;
            const bool hit = z > kNear && px >= 0 && py >= 0 && px < w && py < h && on[size_t(py) * w + size_t(px)];
            seen(size_t(y) * view.width + x, hit, d, z, px, py);
        }
    }
}

void PlanePicture::depth(const View& view, int threads, float* out) const {
    rays(view, threads, [](size_t) { return true; }, [&](size_t at, bool hit, const Ray&, double z, double, double) {
        out[at] = hit ? float(z) : std::numeric_limits<float>::infinity();
    });
}

void PlanePicture::paint(const View& view, const float* depth, const float* covered, const float gain[3], const Before& before, int threads,
                         float* rgb) const {
    const double* T = view.T_world_camera;
    const double fx = view.K[0], skew = view.K[1], fy = view.K[4], per_w = 1.0 / w, per_h = 1.0 / h;
    const size_t n = size_t(view.width) * view.height;
    const auto& table = decode_table();
    // A pixel to the right turns the ray by `right`, one down by `down`.
    double right[3], down[3];
    for (int i = 0; i < 3; ++i) right[i] = T[4 * i] / fx, down[i] = (T[4 * i + 1] - T[4 * i] * skew / fx) / fy;
    std::fill_n(rgb, 3 * n, 0.0f);
    rays(view, threads, [&](size_t at) { return covered[at] < 1.0f; }, [&](size_t at, bool, const Ray& d, double z, double px, double py) {
        float* out = rgb + 3 * at;
        const bool plane = depth[at] < std::numeric_limits<float>::infinity();
        const float through = plane ? before.left[at] : 0.0f, share = 1.0f - through;
        if (plane && through > 1.0f / 255) {
            // d (x, y) = z (d ray - ray · d ray_z / ray_z), in shares of the picture; v grows upwards.
            const double k = kSharp * z / texel, ax = right[2] * d.per_z, ay = down[2] * d.per_z;
            const Vec3 c = texture.sample(
                float(px * per_w), float(1.0 - py * per_h), float(k * (right[0] - d.x * ax) * per_w),
                float(k * (right[1] - d.y * ax) * per_h), float(k * (down[0] - d.x * ay) * per_w), float(k * (down[1] - d.y * ay) * per_h));
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
