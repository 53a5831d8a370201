#include "mesh_over.hpp"

namespace p2s {
namespace {

// Share of a background's light that parts leave: shadow and contact.
class Cast {
public:
    Cast(const View& view, const Behind& behind, const Shade& shade) : view(view), depth(behind.depth), shade(shade), strength(behind.strength), bias(behind.bias) {}

    // Of the w × h pixels from (x0, y0); `covered` and `left` in rows of kTile. 1 where the background does not show or is endlessly far.
    void tile(int x0, int y0, int w, int h, const float* covered, float* left) const {
        Tile t;
        std::fill_n(left, kTile * kTile, 1.0f);
        if (!look(x0, y0, w, h, covered, t)) return;
        const ShadowMap* shadows[2];
        const ContactMap* contacts[2];
        float lit = 1.0f;
        int n_shadows = 0, n_contacts = 0;
        for (const ShadowMap* map : shade.shadow) {
            const ShadowMap::Over over = map ? map->over(box(t, *map), bias) : ShadowMap::Over::lit;
            if (over == ShadowMap::Over::mixed) shadows[n_shadows++] = map;
            if (over == ShadowMap::Over::dark) lit = 0.0f;
        }
        if (lit == 0.0f) n_shadows = 0;
        for (const ContactMap* map : shade.contact)
            if (map && map->may_touch(t.middle.x - t.half.x, t.middle.x + t.half.x, t.middle.y - t.half.y, t.middle.y + t.half.y,
                                      t.middle.z - t.half.z, t.middle.z + t.half.z)) contacts[n_contacts++] = map;
        const float even = 1.0f - strength * (1.0f - lit);
        if (n_shadows + n_contacts == 0) {
            for (int y = 0; y < h; ++y)
                for (int x = 0; x < w; ++x) left[y * kTile + x] = t.asked[y * kTile + x] ? even : 1.0f;
            return;
        }
        auto asked = [&](int x, int y) { return t.asked[y * kTile + x]; };
        auto value = [&](int x, int y) {
            const Vec3 p = point(x0 + x, y0 + y);
            float l = lit;
            for (int i = 0; i < n_shadows && l > 0; ++i) l *= shadows[i]->visibility(p, bias);
            float share = 1.0f - strength * (1.0f - l);
            for (int i = 0; i < n_contacts; ++i) share *= contacts[i]->factor(p, {0, 0, 1});
            return share;
        };
        auto z = [&](int x, int y) { return depth[size_t(y0 + y) * view.width + x0 + x]; };
        spread(w, h, shade.step, float(1.0 / view.K[0]), shade.texel(), asked, value, z, left);
        for (int y = 0; y < h; ++y)
            for (int x = 0; x < w; ++x)
                if (!asked(x, y)) left[y * kTile + x] = 1.0f;
    }

private:
    static constexpr float kRounding = 2e-5f;  // [m] that a box is wider than its points: they are met in single precision
    struct Tile {
        int32_t asked[kTile * kTile];
        Vec3 middle, half;  // of the world box around those that are asked for
    };

    // False when no pixel is asked for.
    bool look(int x0, int y0, int w, int h, const float* covered, Tile& t) const {
        const double* T = view.T_world_camera;
        const float eye[3] = {float(T[3]), float(T[7]), float(T[11])};
        int n = 0;
        float ax = 1e30f, bx = -1e30f, ay = 1e30f, by = -1e30f, az = 1e30f, bz = -1e30f;
        for (int y = 0; y < h; ++y) {
            const Ray ray = row(x0, y0 + y);
            const float from[3] = {float(ray.from[0]), float(ray.from[1]), float(ray.from[2])};
            const float across[3] = {float(ray.across[0]), float(ray.across[1]), float(ray.across[2])};
            const float* z = depth + size_t(y0 + y) * view.width + x0;
            const float* under = covered + y * kTile;
            int32_t* asked = t.asked + y * kTile;
#pragma omp simd reduction(min : ax, ay, az) reduction(max : bx, by, bz) reduction(+ : n)
            for (int x = 0; x < w; ++x) {
                const int32_t ask = int32_t(under[x] < 1.0f) & int32_t(z[x] < 1e6f);
                const float i = float(x);
                const float qx = eye[0] + z[x] * (from[0] + i * across[0]), qy = eye[1] + z[x] * (from[1] + i * across[1]);
                const float qz = eye[2] + z[x] * (from[2] + i * across[2]);
                asked[x] = ask, n += ask;
                const float lx = ask ? qx : 1e30f, ly = ask ? qy : 1e30f, lz = ask ? qz : 1e30f;
                const float hx = ask ? qx : -1e30f, hy = ask ? qy : -1e30f, hz = ask ? qz : -1e30f;
                ax = lx < ax ? lx : ax, ay = ly < ay ? ly : ay, az = lz < az ? lz : az;
                bx = hx > bx ? hx : bx, by = hy > by ? hy : by, bz = hz > bz ? hz : bz;
            }
        }
        t.middle = Vec3{ax + bx, ay + by, az + bz} * 0.5f, t.half = Vec3{bx - ax + kRounding, by - ay + kRounding, bz - az + kRounding} * 0.5f;
        return n > 0;
    }
    // World ray of unit depth of pixel (x, y), and what a pixel to the right adds.
    struct Ray {
        double from[3], across[3];
    };
    Ray row(int x, int y) const {
        const double* T = view.T_world_camera;
        const double ry = (y + 0.5 - view.K[5]) / view.K[4], rx = (x + 0.5 - view.K[2] - view.K[1] * ry) / view.K[0];
        Ray ray;
        for (int r = 0; r < 3; ++r) ray.from[r] = T[4 * r] * rx + T[4 * r + 1] * ry + T[4 * r + 2], ray.across[r] = T[4 * r] / view.K[0];
        return ray;
    }
    Vec3 point(int x, int y) const {
        const double* T = view.T_world_camera;
        const Ray ray = row(x, y);
        const double z = depth[size_t(y) * view.width + x];
        return {float(T[3] + z * ray.from[0]), float(T[7] + z * ray.from[1]), float(T[11] + z * ray.from[2])};
    }
    // Around the tile's box.
    LightBox box(const Tile& t, const ShadowMap& map) const {
        auto reach = [&](Vec3 a) { return std::abs(a.x) * t.half.x + std::abs(a.y) * t.half.y + std::abs(a.z) * t.half.z; };
        const float x = dot(t.middle, map.u), y = dot(t.middle, map.v), z = dot(t.middle, map.dir);
        const float rx = reach(map.u), ry = reach(map.v), rz = reach(map.dir);
        return {x - rx, x + rx, y - ry, y + ry, z - rz, z + rz};
    }

    const View& view;
    const float* depth;
    const Shade& shade;
    float strength, bias;
};

// One tile, shaded and laid over what is behind it.
void tile_over(const View& view, const PixelShader& shader, const Cast& cast, const Backdrop& picture, int x0, int y0, Seen out) {
    const int w = std::min(kTile, view.width - x0), h = std::min(kTile, view.height - y0);
    Pixel tile[kTile * kTile];
    const bool any = shader.tile(x0, y0, w, h, tile);
    float covered[kTile * kTile] = {}, left[kTile * kTile], rgb[3 * kTile * kTile];
    for (int y = 0; any && y < h; ++y)
        for (int x = 0; x < w; ++x) covered[y * kTile + x] = tile[y * kTile + x].coverage;
    cast.tile(x0, y0, w, h, covered, left);
    picture.tile(x0, y0, w, h, covered, rgb);
    for (int y = 0; y < h; ++y) {
        float* to = out.rgb + 3 * (size_t(y0 + y) * view.width + x0);
        const float* from = rgb + 3 * y * kTile;
        for (int x = 0; x < w; ++x) {
            const int i = y * kTile + x;
            const float factor = (1.0f - covered[i]) * left[i];
            for (int c = 0; c < 3; ++c) to[3 * x + c] = from[3 * x + c] * factor;
        }
        for (int x = 0; any && x < w; ++x) {
            const Vec3& c = tile[y * kTile + x].rgb;
            to[3 * x] += c.x, to[3 * x + 1] += c.y, to[3 * x + 2] += c.z;
        }
    }
    if (!out.part) return;
    for (int y = 0; y < h; ++y)
        for (int x = 0; x < w; ++x) {
            const size_t at = size_t(y0 + y) * view.width + x0 + x;
            const Pixel& p = tile[y * kTile + x];
            const bool own = any && p.part >= 0;
            out.part[at] = own ? p.part : -1, out.depth[at] = own ? p.depth : std::numeric_limits<float>::infinity();
            const Vec3 n = own ? p.normal : Vec3{0, 0, 0};
            out.normal[3 * at] = n.x, out.normal[3 * at + 1] = n.y, out.normal[3 * at + 2] = n.z;
        }
}

// A band of sample rows before anything is drawn into it: 1/z of what is behind.
void clear(const View& view, const float* depth, int row0, int row1, Visibility& seen) {
    const int S = view.supersample;
    std::fill(&seen.id[size_t(row0) * seen.w], &seen.id[size_t(row0) * seen.w] + size_t(row1 - row0) * seen.w, -1);
    for (int y = row0; y < row1; y += S) {
        float* row = &seen.key[size_t(y) * seen.w];
        const float* z = depth + size_t(y / S) * view.width;
        for (int x = 0; x < view.width; ++x) {
            const float key = 1.0f / z[x];
            for (int k = 0; k < S; ++k) row[x * S + k] = key;
        }
        for (int k = 1; k < S; ++k) std::copy_n(row, seen.w, row + size_t(k) * seen.w);
    }
}

}  // namespace

void Still::tile(int x0, int y0, int w, int h, const float*, float* out) const {
    for (int y = 0; y < h; ++y) std::copy_n(rgb + 3 * (size_t(y0 + y) * width + x0), 3 * w, out + 3 * y * kTile);
}

void draw_over(const World& world, const View& view, const Projection& projection, const uint8_t* visible, const double* T_world_part,
               const float* gain, const Light& light, const Shade& shade, const Behind& behind, int threads, Seen out) {
    static thread_local Visibility seen;  // kept: its pages are asked for once
    Visibility& all = seen;
    const int S = view.supersample;
    all.w = view.width * S, all.h = view.height * S;
    all.id.resize(size_t(all.w) * all.h), all.key.resize(all.id.size());
    set_up_faces(world, projection, visible, all, threads);
    const Bands bands = in_bands(all, 2 * kTile * S);  // a few tiles high: drawn, shaded and composed while it is in the cache
    const PixelShader shader(world, view, all, T_world_part, gain, light, shade);
    const Cast cast(view, behind, shade);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (int b = 0; b < int(bands.faces.size()); ++b) {
        const int row0 = b * bands.rows, row1 = std::min(all.h, row0 + bands.rows);
        clear(view, behind.depth, row0, row1, all);
        fill(projection, bands, b, all);
        for (int y0 = row0 / S; y0 < row1 / S; y0 += kTile)
            for (int x0 = 0; x0 < view.width; x0 += kTile) tile_over(view, shader, cast, behind.picture, x0, y0, out);
    }
}

}  // namespace p2s
