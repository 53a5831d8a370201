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
constexpr int kPatch = 8;  // pixels a side that share one footprint on the picture

struct Ray {
    float x, y, per_z;  // of unit camera z: its world x and y in texels, right and down, and 1 over its world z
};
struct Rays {  // of a row of a patch: what a `Ray` is, camera z where they meet the plane, and where that is [texels]
    float x[kPatch], y[kPatch], per_z[kPatch], z[kPatch], px[kPatch], py[kPatch];
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

// seen(first pixel, number of pixels, their rays, start(ray and camera z in the middle of the patch)) of every row of every patch.
template <class Start, class Seen>
void PlanePicture::rays(const View& view, int threads, const Start& start, const Seen& seen) const {
    const double* T = view.T_world_camera;
    const double fx = view.K[0], skew = view.K[1], cx = view.K[2], fy = view.K[4], cy = view.K[5], across = 1 / texel;
    const float above = float(height - T[11]), left = float((T[3] - x0) * across), top = float((y1 - T[7]) * across);
    // Of pixel (x, y): a row's first ray, and what a pixel to the right adds.
    struct Row {
        float from[3], step[3];
        Ray at(float x) const { return {from[0] + x * step[0], from[1] + x * step[1], 1.0f / (from[2] + x * step[2])}; }
    };
    auto row_at = [&](double y) {
        const double ry = (y + 0.5 - cy) / fy, rx = (0.5 - cx - skew * ry) / fx;
        Row r;
        for (int i = 0; i < 3; ++i) {
            const double unit = i == 0 ? across : i == 1 ? -across : 1.0;
            r.from[i] = float(unit * (T[4 * i] * rx + T[4 * i + 1] * ry + T[4 * i + 2])), r.step[i] = float(unit * T[4 * i] / fx);
        }
        return r;
    };
    const int patches = (view.height + kPatch - 1) / kPatch;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (int patch = 0; patch < patches; ++patch) {
        const int ya = patch * kPatch, yb = std::min(view.height, ya + kPatch);
        Row rows[kPatch];
        for (int y = ya; y < yb; ++y) rows[y - ya] = row_at(y);
        const Row middle = row_at(0.5 * (ya + yb - 1));
        for (int xa = 0; xa < view.width; xa += kPatch) {
            const int xb = std::min(view.width, xa + kPatch);
            const Ray m = middle.at(0.5f * float(xa + xb - 1));
            const auto shared = start(m, above * m.per_z);
            for (int y = ya; y < yb; ++y) {
                const Row& row = rows[y - ya];
                Rays r;
#pragma omp simd
                for (int i = 0; i < kPatch; ++i) {
                    const float x = float(xa + i);
                    const float dx = row.from[0] + x * row.step[0], dy = row.from[1] + x * row.step[1], per_z = 1.0f / (row.from[2] + x * row.step[2]);
                    const float z = above * per_z;
                    r.x[i] = dx, r.y[i] = dy, r.per_z[i] = per_z, r.z[i] = z, r.px[i] = left + z * dx, r.py[i] = top + z * dy;
                }
                seen(size_t(y) * view.width + xa, xb - xa, r, shared);
            }
        }
    }
}

void PlanePicture::depth(const View& view, int threads, float* out) const {
    const float right = float(w), bottom = float(h);
    rays(view, threads, [](const Ray&, float) { return 0; }, [&](size_t at, int n, const Rays& r, int) {
        for (int i = 0; i < n; ++i) {
            const bool inside = (r.z[i] > kNear) & (r.px[i] >= 0) & (r.py[i] >= 0) & (r.px[i] < right) & (r.py[i] < bottom);
            out[at + i] = inside && on[size_t(r.py[i]) * w + size_t(r.px[i])] ? r.z[i] : std::numeric_limits<float>::infinity();
        }
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
    // d (x, y) = z (d ray - ray · d ray_z / ray_z), in shares of the picture; v grows upwards.
    auto footprint = [&](const Ray& d, float z) {
        const float ku = kSharp * z * per_w, kv = -kSharp * z * per_h, ax = right[2] * d.per_z, ay = down[2] * d.per_z;
        return texture.footprint(ku * (right[0] - d.x * ax), kv * (right[1] - d.y * ax), ku * (down[0] - d.x * ay), kv * (down[1] - d.y * ay));
    };
    struct Shared {
        Texture::Footprint footprint;
        bool known;  // its middle looks at the plane
    };
    auto start = [&](const Ray& d, float z) { return z > kNear && z < kFar ? Shared{footprint(d, z), true} : Shared{{}, false}; };
    auto one = [&](size_t at, const Rays& r, int i, const Shared& shared) {
        float* out = rgb + 3 * at;
        const bool plane = depth[at] < std::numeric_limits<float>::infinity();
        const float through = plane ? before.left[at] : 0.0f, share = 1.0f - through;
        if (plane && through > 1.0f / 255) {
            const Vec3 c = texture.sample(r.px[i] * per_w, 1.0f - r.py[i] * per_h, shared.known ? shared.footprint : footprint({r.x[i], r.y[i], r.per_z[i]}, r.z[i]));
            out[0] = c.x * gain[0], out[1] = c.y * gain[1], out[2] = c.z * gain[2];
        } else {
            out[0] = out[1] = out[2] = 0.0f;
        }
        if (share < 1.0f / 255) return;
        for (int c = 0; c < 3; ++c) {
            const float own = (before.colour[c * n + at] + (plane ? 0.0f : before.left[at] * before.fill[c])) / share;
            const float linear = table[int(std::min(std::max(own, 0.0f), 1.0f) * kDecode + 0.5f)];
            out[c] = out[c] * through + linear * before.gain[c] * share;
        }
    };
    rays(view, threads, start, [&](size_t at, int m, const Rays& r, const Shared& shared) {
        for (int i = 0; i < m; ++i) {
            if (covered[at + i] < 1.0f)
                one(at + i, r, i, shared);
            else
                std::fill_n(rgb + 3 * (at + i), 3, 0.0f);
        }
    });
}

}  // namespace p2s
