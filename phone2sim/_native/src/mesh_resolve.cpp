#include "mesh_resolve.hpp"

namespace p2s {

void resolve(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
             const Light& light, const Shade& shade, int threads, Picture out) {
    const PixelShader shader(world, view, seen, T_world_part, gain, light, shade);
    const int rows = (view.height + kTile - 1) / kTile;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (int row = 0; row < rows; ++row)
        for (int x0 = 0; x0 < view.width; x0 += kTile) {
            const int y0 = row * kTile, w = std::min(kTile, view.width - x0), h = std::min(kTile, view.height - y0);
            Pixel tile[kTile * kTile];
            const bool any = shader.tile(x0, y0, w, h, tile);
            for (int y = 0; y < h; ++y) {
                const size_t row = size_t(y0 + y) * view.width + x0;
                if (!any) {
                    std::fill_n(out.coverage + row, w, 0.0f), std::fill_n(out.depth + row, w, std::numeric_limits<float>::infinity());
                    std::fill_n(out.part + row, w, -1), std::fill_n(out.rgb + 3 * row, 3 * w, 0.0f), std::fill_n(out.normal + 3 * row, 3 * w, 0.0f);
                    continue;
                }
                for (int x = 0; x < w; ++x) {
                    const size_t at = row + x;
                    const Pixel& p = tile[y * kTile + x];
                    out.coverage[at] = p.coverage, out.depth[at] = p.depth, out.part[at] = p.part;
                    out.rgb[3 * at] = p.rgb.x, out.rgb[3 * at + 1] = p.rgb.y, out.rgb[3 * at + 2] = p.rgb.z;
                    out.normal[3 * at] = p.normal.x, out.normal[3 * at + 1] = p.normal.y, out.normal[3 * at + 2] = p.normal.z;
                }
            }
        }
}

namespace {

// Share of a background's light that parts leave: shadow and contact.
class Cast {
public:
    Cast(const View& view, const float* depth, const float* coverage, const Shade& shade, float strength, float bias)
        : view(view), depth(depth), coverage(coverage), shade(shade), strength(strength), bias(bias) {}

    // Of the w × h pixels from (x0, y0); rows of kTile. 1 where the background does not show or is endlessly far.
    void tile(int x0, int y0, int w, int h, float* left) const {
        Tile t;
        std::fill_n(left, kTile * kTile, 1.0f);
        if (!look(x0, y0, w, h, t)) return;
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
            const Vec3 p{t.p[0][y * kTile + x], t.p[1][y * kTile + x], t.p[2][y * kTile + x]};
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
    struct Tile {
        int32_t asked[kTile * kTile];
        float p[3][kTile * kTile];  // world
        Vec3 middle, half;          // of the box around those that are asked for
    };

    // False when no pixel is asked for.
    bool look(int x0, int y0, int w, int h, Tile& t) const {
        const double* T = view.T_world_camera;
        int n = 0;
        float ax = 1e30f, bx = -1e30f, ay = 1e30f, by = -1e30f, az = 1e30f, bz = -1e30f;
        for (int y = 0; y < h; ++y) {
            const double ry = (y0 + y + 0.5 - view.K[5]) / view.K[4], rx = (x0 + 0.5 - view.K[2] - view.K[1] * ry) / view.K[0];
            double from[3], across[3];
            for (int r = 0; r < 3; ++r) from[r] = T[4 * r] * rx + T[4 * r + 1] * ry + T[4 * r + 2], across[r] = T[4 * r] / view.K[0];
            const double eye[3] = {T[3], T[7], T[11]};
            const float* z = depth + size_t(y0 + y) * view.width + x0;
            const float* covered = coverage + size_t(y0 + y) * view.width + x0;
            int32_t* asked = t.asked + y * kTile;
            float *px = t.p[0] + y * kTile, *py = t.p[1] + y * kTile, *pz = t.p[2] + y * kTile;
#pragma omp simd reduction(min : ax, ay, az) reduction(max : bx, by, bz) reduction(+ : n)
            for (int x = 0; x < w; ++x) {
                const int32_t ask = int32_t(covered[x] < 1.0f) & int32_t(z[x] < 1e6f);
                const float qx = float(eye[0] + z[x] * (from[0] + x * across[0])), qy = float(eye[1] + z[x] * (from[1] + x * across[1]));
                const float qz = float(eye[2] + z[x] * (from[2] + x * across[2]));
                asked[x] = ask, n += ask, px[x] = qx, py[x] = qy, pz[x] = qz;
                const float lx = ask ? qx : 1e30f, ly = ask ? qy : 1e30f, lz = ask ? qz : 1e30f;
                const float hx = ask ? qx : -1e30f, hy = ask ? qy : -1e30f, hz = ask ? qz : -1e30f;
                ax = lx < ax ? lx : ax, ay = ly < ay ? ly : ay, az = lz < az ? lz : az;
                bx = hx > bx ? hx : bx, by = hy > by ? hy : by, bz = hz > bz ? hz : bz;
            }
        }
        t.middle = Vec3{ax + bx, ay + by, az + bz} * 0.5f, t.half = Vec3{bx - ax, by - ay, bz - az} * 0.5f;
        return n > 0;
    }
    // Around the tile's box.
    LightBox box(const Tile& t, const ShadowMap& map) const {
        auto reach = [&](Vec3 a) { return std::abs(a.x) * t.half.x + std::abs(a.y) * t.half.y + std::abs(a.z) * t.half.z; };
        const float x = dot(t.middle, map.u), y = dot(t.middle, map.v), z = dot(t.middle, map.dir);
        const float rx = reach(map.u), ry = reach(map.v), rz = reach(map.dir);
        return {x - rx, x + rx, y - ry, y + ry, z - rz, z + rz};
    }

    const View& view;
    const float *depth, *coverage;
    const Shade& shade;
    float strength, bias;
};

}  // namespace

void composite(const View& view, const float* background, const float* depth, const float* fg_rgb, const float* coverage,
               const Shade& shade, float strength, float bias, int threads, float* out) {
    const Cast cast(view, depth, coverage, shade, strength, bias);
    const int rows = (view.height + kTile - 1) / kTile;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (int row = 0; row < rows; ++row)
        for (int x0 = 0; x0 < view.width; x0 += kTile) {
            const int y0 = row * kTile, w = std::min(kTile, view.width - x0), h = std::min(kTile, view.height - y0);
            float left[kTile * kTile];
            cast.tile(x0, y0, w, h, left);
            for (int y = 0; y < h; ++y)
                for (int x = 0; x < w; ++x) {
                    const size_t at = size_t(y0 + y) * view.width + x0 + x;
                    const float factor = (1.0f - coverage[at]) * left[y * kTile + x];
                    for (int c = 0; c < 3; ++c) out[3 * at + c] = background[3 * at + c] * factor + fg_rgb[3 * at + c];
                }
        }
}

}  // namespace p2s
