#include "mesh_layer.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "mesh_sensor.hpp"

namespace p2s {
namespace {

constexpr float kBias = 0.004f;  // [m], above the depth noise of splats

}  // namespace

Layer::Layer(const View& view, const float* rest, const float* key, const float* depth, Vec3 u, Vec3 v, Vec3 dir, float step,
             const Sensor& sensor)
    : view_(view), sensor_(sensor), step_(step) {
    const int w = view.width, h = view.height;
    const size_t n = size_t(w) * h;
    tiles_x_ = (w + kTile - 1) / kTile, tiles_y_ = (h + kTile - 1) / kTile;
    rest_.assign(rest, rest + 3 * n), key_.assign(key, key + 3 * n);
    near_.resize(n), point_.resize(3 * n), still_.resize(3 * n);
    for (size_t i = 0; i < 3 * n; ++i) still_[i] = rest_[i] + key_[i];
    Tile none{{1e30f, -1e30f, 1e30f, -1e30f, 1e30f, -1e30f}, 1e30f, -1e30f, 1e30f, -1e30f, 1e30f, -1e30f, false};
    tiles_.assign(size_t(tiles_x_) * tiles_y_, none);
    const double* T = view.T_world_camera;
    const double fx = view.K[0], skew = view.K[1], cx = view.K[2], fy = view.K[4], cy = view.K[5];
    for (int y = 0; y < h; ++y)
        for (int x = 0; x < w; ++x) {
            const size_t at = size_t(y) * w + x;
            near_[at] = 1.0f / depth[at];
            const bool far = !(depth[at] < 1e6f);
            const double z = far ? 0.0 : depth[at];
            const double ry = (y + 0.5 - cy) / fy, rx = (x + 0.5 - cx - skew * ry) / fx;
            float* p = &point_[3 * at];
            for (int r = 0; r < 3; ++r) p[r] = far ? 1e30f : float(T[4 * r + 3] + z * (T[4 * r] * rx + T[4 * r + 1] * ry + T[4 * r + 2]));
            if (far) continue;
            const Vec3 q{p[0], p[1], p[2]};
            Tile& t = tiles_[size_t(y / kTile) * tiles_x_ + x / kTile];
            const float lx = dot(q, u), ly = dot(q, v), lt = dot(q, dir);
            LightBox& b = t.light;
            b = {std::min(b.x0, lx), std::max(b.x1, lx), std::min(b.y0, ly), std::max(b.y1, ly), std::min(b.t0, lt), std::max(b.t1, lt)};
            t.any = true;
            t.a0 = std::min(t.a0, q.x), t.a1 = std::max(t.a1, q.x), t.b0 = std::min(t.b0, q.y), t.b1 = std::max(t.b1, q.y);
            t.z0 = std::min(t.z0, q.z), t.z1 = std::max(t.z1, q.z);
        }
    radius_ = 0;
    if (sensor.blur_px > 0.05f) {
        radius_ = std::max(1, int(std::ceil(3 * sensor.blur_px)));
        kernel_.resize(radius_ + 1);
        float sum = 0;
        for (int i = 0; i <= radius_; ++i)
            kernel_[i] = std::exp(-0.5f * i * i / (sensor.blur_px * sensor.blur_px)), sum += i ? 2 * kernel_[i] : kernel_[i];
        for (float& k : kernel_) k /= sum;
    }
    linear_ = still_;
    srgb_.resize(3 * n);
    std::vector<float> scratch;
    for (int i = 0; i < int(tiles_.size()); ++i) {
        scratch.resize(size_t(kTile + 2 * radius_) * kTile * 3);
        encode_tile(i, scratch.data());
    }
    still_srgb_ = srgb_;
    for (auto* flags : {&dirty_, &encode_, &covered_, &touched_}) flags->resize(tiles_.size());
    over_.resize(tiles_.size());
    seen_.w = w * view.supersample, seen_.h = h * view.supersample;
    seen_.key.resize(size_t(seen_.w) * seen_.h), seen_.id.resize(seen_.key.size());
}

// Visibility of the moving parts, and which tiles they change.
void Layer::start(const Moving& moving, int threads) {
    const int S = view_.supersample, w = view_.width, n_parts = int(moving.world.parts.size());
    Projection projection = perspective(moving.world, view_, moving.T_world_part, 0.01f);
    const std::vector<uint8_t> visible(n_parts, 1);
    set_up_faces(moving.world, projection, visible.data(), seen_, threads);
    box_[0] = seen_.w, box_[1] = -1, box_[2] = seen_.h, box_[3] = -1;
    for (const FaceSetup& s : seen_.setups) {
        if (s.face < 0) continue;
        box_[0] = std::min(box_[0], s.x0), box_[1] = std::max(box_[1], s.x1);
        box_[2] = std::min(box_[2], s.y0), box_[3] = std::max(box_[3], s.y1);
    }
    std::fill(covered_.begin(), covered_.end(), 0);
    if (box_[1] >= box_[0]) {
        const int step = S * kTile;  // whole tiles, so that a tile can be looked through without asking for the box
        box_[0] = box_[0] / step * step, box_[1] = std::min(seen_.w, (box_[1] / step + 1) * step) - 1;
        box_[2] = box_[2] / step * step, box_[3] = std::min(seen_.h, (box_[3] / step + 1) * step) - 1;
        for (int y = box_[2]; y <= box_[3]; ++y) {
            float* key = &seen_.key[size_t(y) * seen_.w];
            const float* near = &near_[size_t(y / S) * w];
            for (int x = box_[0] / S; x <= box_[1] / S; ++x)
                for (int k = 0; k < S; ++k) key[x * S + k] = near[x];
            std::fill(&seen_.id[size_t(y) * seen_.w + box_[0]], &seen_.id[size_t(y) * seen_.w + box_[1]] + 1, -1);
        }
        fill(projection, seen_, threads);
        for (int y = box_[2]; y <= box_[3]; ++y) {
            const int32_t* id = &seen_.id[size_t(y) * seen_.w];
            uint8_t* row = &covered_[size_t(y / step) * tiles_x_];
            for (int t = box_[0] / step; t <= box_[1] / step; ++t) {
                int any = -1;
                for (int x = t * step; x < std::min(seen_.w, (t + 1) * step); ++x) any = std::max(any, id[x]);
                row[t] |= any >= 0;
            }
        }
    }
    for (size_t i = 0; i < tiles_.size(); ++i) {
        const Tile& t = tiles_[i];
        over_[i] = t.any && moving.shadow ? moving.shadow->over(t.light, kBias) : ShadowMap::Over::lit;
        touched_[i] = t.any && moving.contact && moving.contact->may_touch(t.a0, t.a1, t.b0, t.b1, t.z0, t.z1);
        dirty_[i] = covered_[i] || touched_[i] || over_[i] != ShadowMap::Over::lit;
    }
}

// Share of the key light on the background that comes past the moving parts; rows of kTile.
void Layer::light_pixels(int tile, const Moving& moving, const Pixel* front, float* lit) const {
    std::fill_n(lit, kTile * kTile, over_[tile] == ShadowMap::Over::dark ? 0.0f : 1.0f);
    if (over_[tile] != ShadowMap::Over::mixed) return;
    const int x0 = tile % tiles_x_ * kTile, y0 = tile / tiles_x_ * kTile;
    auto at = [&](int x, int y) { return size_t(y0 + y) * view_.width + x0 + x; };
    auto asked = [&](int x, int y) { return !(front && front[y * kTile + x].coverage >= 1.0f) && point_[3 * at(x, y)] < 1e29f; };
    auto value = [&](int x, int y) {
        const float* p = &point_[3 * at(x, y)];
        return moving.shadow->visibility({p[0], p[1], p[2]}, kBias);
    };
    auto z = [&](int x, int y) { return 1.0f / near_[at(x, y)]; };
    const int w = std::min(kTile, view_.width - x0), h = std::min(kTile, view_.height - y0);
    spread(w, h, step_, float(1.0 / view_.K[0]), moving.shadow->texel, asked, value, z, lit);
}

void Layer::light_tile(int tile, const Moving& moving, const PixelShader& shader, Truth truth, const int32_t* names) {
    const int x0 = tile % tiles_x_ * kTile, y0 = tile / tiles_x_ * kTile;
    const int w = std::min(kTile, view_.width - x0), h = std::min(kTile, view_.height - y0);
    Pixel drawn[kTile * kTile];
    const Pixel* const front = covered_[tile] && shader.tile(x0, y0, w, h, drawn) ? drawn : nullptr;
    float light[kTile * kTile];
    light_pixels(tile, moving, front, light);
    for (int y = 0; y < h; ++y)
        for (int x = 0; x < w; ++x) {
            const size_t at = size_t(y0 + y) * view_.width + x0 + x;
            const bool ground = point_[3 * at] < 1e29f && !(front && front[y * kTile + x].coverage >= 1.0f);
            const float lit = ground ? light[y * kTile + x] : 1.0f;
            float factor = front ? 1.0f - front[y * kTile + x].coverage : 1.0f;
            if (ground && touched_[tile]) factor *= moving.contact->factor({point_[3 * at], point_[3 * at + 1], point_[3 * at + 2]}, {0, 0, 1});
            for (int c = 0; c < 3; ++c) linear_[3 * at + c] = (rest_[3 * at + c] + key_[3 * at + c] * lit) * factor;
            if (!front) continue;
            const Pixel& p = front[y * kTile + x];
            linear_[3 * at] += p.rgb.x, linear_[3 * at + 1] += p.rgb.y, linear_[3 * at + 2] += p.rgb.z;
            if (p.part < 0) continue;
            if (truth.depth) truth.depth[at] = p.depth;
            if (truth.part) truth.part[at] = names[p.part];
            if (truth.normal) truth.normal[3 * at] = p.normal.x, truth.normal[3 * at + 1] = p.normal.y, truth.normal[3 * at + 2] = p.normal.z;
        }
}

// Blur, gain and sRGB of one tile of `linear_`, into `srgb_`.
void Layer::encode_tile(int tile, float* scratch) {
    const int w = view_.width, h = view_.height, r = radius_;
    const int x0 = tile % tiles_x_ * kTile, y0 = tile / tiles_x_ * kTile, x1 = std::min(w, x0 + kTile), y1 = std::min(h, y0 + kTile);
    const int n = 3 * (x1 - x0);
    const float* table = encode_table();
    for (int y = y0 - r; r > 0 && y < y1 + r; ++y) {  // rows, then columns of the tile and what the blur reaches above and below
        const float* from = &linear_[size_t(std::clamp(y, 0, h - 1)) * w * 3];
        float* to = scratch + size_t(y - y0 + r) * kTile * 3;
        const bool inside = x0 - r >= 0 && x1 + r <= w;
        for (int i = 0; i < n; ++i) to[i] = kernel_[0] * from[3 * x0 + i];
        for (int k = 1; k <= r; ++k) {
            if (inside) {
                for (int i = 0; i < n; ++i) to[i] += kernel_[k] * (from[3 * x0 + i - 3 * k] + from[3 * x0 + i + 3 * k]);
            } else {
                for (int x = x0; x < x1; ++x)
                    for (int c = 0; c < 3; ++c)
                        to[3 * (x - x0) + c] += kernel_[k] * (from[3 * std::max(0, x - k) + c] + from[3 * std::min(w - 1, x + k) + c]);
            }
        }
    }
    float row[kTile * 3], gain[kTile * 3];
    for (int i = 0; i < kTile * 3; ++i) gain[i] = sensor_.gain[i % 3];
    for (int y = y0; y < y1; ++y) {
        if (r > 0) {
            const float* s = scratch + size_t(y - y0 + r) * kTile * 3;
            for (int i = 0; i < n; ++i) row[i] = kernel_[0] * s[i];
            for (int k = 1; k <= r; ++k)
                for (int i = 0; i < n; ++i) row[i] += kernel_[k] * (s[i - k * kTile * 3] + s[i + k * kTile * 3]);
        } else {
            std::copy_n(&linear_[(size_t(y) * w + x0) * 3], n, row);
        }
        float* out = &srgb_[(size_t(y) * w + x0) * 3];
        for (int i = 0; i < n; ++i) row[i] = std::sqrt(std::min(std::max(row[i] * gain[i], 0.0f), 1.0f)) * kEncode + 0.5f;
        for (int i = 0; i < n; ++i) out[i] = table[int(row[i])] + 0.5f;
    }
}

void Layer::draw(const Moving& moving, uint64_t seed, int threads, uint8_t* out, float* linear, Truth truth, const int32_t* names) {
    start(moving, threads);
    const PixelShader shader(moving.world, view_, seen_, moving.T_world_part, moving.gain, moving.light,
                             {{moving.still, moving.shadow}, {moving.contact, nullptr}, step_});
    const int n = int(tiles_.size());
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads) if (threads > 1)
    for (int i = 0; i < n; ++i)
        if (dirty_[i]) light_tile(i, moving, shader, truth, names);
    const int w = view_.width, h = view_.height;
    if (linear) {
        std::copy(linear_.begin(), linear_.end(), linear);
    } else {
        const int reach = (radius_ + kTile - 1) / kTile;
        std::fill(encode_.begin(), encode_.end(), 0);
        for (int i = 0; i < n; ++i) {
            if (!dirty_[i]) continue;
            for (int y = std::max(0, i / tiles_x_ - reach); y <= std::min(tiles_y_ - 1, i / tiles_x_ + reach); ++y)
                for (int x = std::max(0, i % tiles_x_ - reach); x <= std::min(tiles_x_ - 1, i % tiles_x_ + reach); ++x)
                    encode_[size_t(y) * tiles_x_ + x] = 1;
        }
#pragma omp parallel num_threads(threads) if (threads > 1)
        {
            std::vector<float> scratch(size_t(kTile + 2 * radius_) * kTile * 3);
#pragma omp for schedule(dynamic, 8)
            for (int i = 0; i < n; ++i)
                if (encode_[i]) encode_tile(i, scratch.data());
        }
        const size_t row = 3 * size_t(w);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
        for (int y = 0; y < h; ++y) to_bytes(&srgb_[y * row], row, y * row, sensor_.noise, seed, out + y * row);
    }
    for (int i = 0; i < n; ++i) {  // back to the still picture
        const int x0 = i % tiles_x_ * kTile, y0 = i / tiles_x_ * kTile, x1 = std::min(w, x0 + kTile), y1 = std::min(h, y0 + kTile);
        for (int y = y0; y < y1; ++y) {
            const size_t a = (size_t(y) * w + x0) * 3, b = (size_t(y) * w + x1) * 3;
            if (dirty_[i]) std::copy(still_.begin() + a, still_.begin() + b, linear_.begin() + a);
            if (!linear && encode_[i]) std::copy(still_srgb_.begin() + a, still_srgb_.begin() + b, srgb_.begin() + a);
        }
    }
}

}  // namespace p2s
