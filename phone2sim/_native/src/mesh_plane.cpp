#include "mesh_plane.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace p2s {
namespace {

constexpr double kNear = 0.01;  // [m]
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

void put_before(size_t n, const float* colour, const float* left, const float* median, const float fill[3], const float gain[3],
                float* rgb, float* depth, uint8_t* on) {
    const auto& table = decode_table();
    for (size_t i = 0; i < n; ++i) {
        const bool plane = depth[i] < std::numeric_limits<float>::infinity();
        const float through = plane ? left[i] : 0.0f, share = 1.0f - through;
        if (share > 1.0f / 255)
            for (int c = 0; c < 3; ++c) {
                const float own = (colour[c * n + i] + (plane ? 0.0f : left[i] * fill[c])) / share;
                const float linear = table[int(std::min(std::max(own, 0.0f), 1.0f) * kDecode + 0.5f)];
                rgb[3 * i + c] = rgb[3 * i + c] * through + linear * gain[c] * share;
            }
        on[i] = plane && left[i] >= 0.5f;
        if (left[i] < 0.5f) depth[i] = median[i];
    }
}

void PlanePicture::look(const View& view, const float gain[3], int threads, float* rgb, float* depth) const {
    const double* T = view.T_world_camera;
    const double fx = view.K[0], skew = view.K[1], cx = view.K[2], fy = view.K[4], cy = view.K[5];
    const double above = height - T[11], across = 1 / texel, per_w = 1.0 / w, per_h = 1.0 / h;
    // A pixel to the right turns the ray by `right`, one down by `down`.
    const double right[3] = {T[0] / fx, T[4] / fx, T[8] / fx};
    double down[3];
    for (int i = 0; i < 3; ++i) down[i] = (T[4 * i + 1] - T[4 * i] * skew / fx) / fy;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int y = 0; y < view.height; ++y) {
        const double ry = (y + 0.5 - cy) / fy;
        for (int x = 0; x < view.width; ++x) {
            const size_t at = size_t(y) * view.width + x;
            rgb[3 * at] = rgb[3 * at + 1] = rgb[3 * at + 2] = 0.0f;
            depth[at] = std::numeric_limits<float>::infinity();
            const double rx = (x + 0.5 - cx - skew * ry) / fx;
            const double dx = T[0] * rx + T[1] * ry + T[2], dy = T[4] * rx + T[5] * ry + T[6], dz = T[8] * rx + T[9] * ry + T[10];
            const double per = 1 / dz, z = above * per;
            if (!(z > kNear)) continue;
            const double px = (T[3] + z * dx - x0) * across, py = (y1 - T[7] - z * dy) * across;
            if (!(px >= 0 && py >= 0 && px < w && py < h) || !on[size_t(py) * w + size_t(px)]) continue;
            // d (x, y) = z (d ray - ray · d ray_z / ray_z), in shares of the picture; v grows upwards.
            const double k = z * across, ax = right[2] * per, ay = down[2] * per;
            const Vec3 c = texture.sample(
                float(px * per_w), float(1.0 - py * per_h), float(k * (right[0] - dx * ax) * per_w), float(k * (right[1] - dy * ax) * per_h),
                float(k * (down[0] - dx * ay) * per_w), float(k * (down[1] - dy * ay) * per_h));
            rgb[3 * at] = c.x * gain[0], rgb[3 * at + 1] = c.y * gain[1], rgb[3 * at + 2] = c.z * gain[2];
            depth[at] = float(z);
        }
    }
}

}  // namespace p2s
