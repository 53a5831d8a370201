#include "mesh_pixel.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace p2s {
namespace {

constexpr int kMaxSamples = 9;
constexpr float kSmooth = 0.94f;  // cosine of 20 degrees: of one smooth surface
constexpr float kEven = 0.97f;    // cosine of 14 degrees: so smooth that its light runs straight,
constexpr float kEvenLight = 0.1f, kEvenShine = 0.02f;  // where it changes by less

Vec3 mixed(Vec3 a, Vec3 b, Vec3 c, Vec3 d, float x, float y) { return (a * (1 - x) + b * x) * (1 - y) + (c * (1 - x) + d * x) * y; }

}  // namespace

PixelShader::PixelShader(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
                         const Light& light, const Shade& shade)
    : world(world), view(view), seen(seen), T_world_part(T_world_part), gain(gain), light(light), maps(shade) {
    const int S = view.supersample;
    fx = S * view.K[0], fy = S * view.K[4], skew = S * view.K[1];
    cx = S * view.K[2] - 0.5 * seen.w, cy = S * view.K[5] - 0.5 * seen.h;
}

Vec3 PixelShader::texture_at(const FaceSetup& s, const Part& part, float W, const int32_t* t, float u, float v) const {
    const float* q = world.uv.data();
    float ux = 0, uy = 0, vx = 0, vy = 0, wx = 0, wy = 0;
    for (int i = 0; i < 3; ++i) {
        const float tu = q[2 * t[i]], tv = q[2 * t[i] + 1];
        ux += s.e[i][0] * tu, uy += s.e[i][1] * tu, vx += s.e[i][0] * tv, vy += s.e[i][1] * tv;
        wx += s.e[i][0], wy += s.e[i][1];
    }
    const Texture& texture = world.textures[part.texture];
    const float k = float(view.supersample) / W;  // derivatives per picture pixel
    return Sampler(texture, texture.footprint((ux - u * wx) * k, (vx - v * wx) * k, (uy - u * wy) * k, (vy - v * wy) * k))(u, v);
}

// Colour where the ray of sample position (X, Y) meets the face; camera depth, world normal, share of the key light, light and shine into `out`.
Vec3 PixelShader::shade(const FaceSetup& s, float X, float Y, const Around& around, bool even, Pixel& out) const {
    const int32_t* t = world.face.data() + 3 * size_t(s.face);
    const int p = world.face_part[s.face];
    const Part& part = world.parts[p];
    float b[3], W = 0;
    for (int i = 0; i < 3; ++i) {
        b[i] = std::max(0.0f, s.e[i][0] * X + s.e[i][1] * Y + s.e[i][2]);
        W += b[i];
    }
    W = std::max(W, 1e-30f);
    for (float& v : b) v /= W;
    const float z = out.depth = 1.0f / (s.d[0] * X + s.d[1] * Y + s.d[2]);
    Vec3 albedo = part.rgb;
    if (part.texture >= 0) {
        float u = 0, v = 0;
        for (int i = 0; i < 3; ++i) u += world.uv[2 * size_t(t[i])] * b[i], v += world.uv[2 * size_t(t[i]) + 1] * b[i];
        albedo = texture_at(s, part, W, t, u, v);
    }
    albedo = {albedo.x * gain[3 * p], albedo.y * gain[3 * p + 1], albedo.z * gain[3 * p + 2]};

    Vec3 n = {0, 0, 0};
    for (int i = 0; i < 3; ++i) {
        const float* q = world.normal.data() + 3 * size_t(t[i]);
        n = n + Vec3{q[0], q[1], q[2]} * b[i];
    }
    const double* m = T_world_part + 16 * p;
    n = {float(m[0] * n.x + m[1] * n.y + m[2] * n.z), float(m[4] * n.x + m[5] * n.y + m[6] * n.z), float(m[8] * n.x + m[9] * n.y + m[10] * n.z)};
    out.normal = n * ((s.back ? -1.0f : 1.0f) / std::sqrt(std::max(dot(n, n), 1e-30f)));
    if (even) {
        out.lit = around.lit, out.light = around.light, out.shine = around.shine;
    } else {
        illuminate(part, p, X, Y, z, around, out);
    }
    return {albedo.x * out.light.x + out.shine.x, albedo.y * out.light.y + out.shine.y, albedo.z * out.light.z + out.shine.z};
}

// What light falls on part `p` at camera depth z of the ray of (X, Y), and how much of it its gloss sends back.
void PixelShader::illuminate(const Part& part, int p, float X, float Y, float z, const Around& around, Pixel& out) const {
    const Vec3 n_world = out.normal;
    float& lit = out.lit;
    const double ry = (Y - cy) / fy, rx = (X - cx - skew * ry) / fx;
    const double* T = view.T_world_camera;
    const Vec3 ray = {float(T[0] * rx + T[1] * ry + T[2]), float(T[4] * rx + T[5] * ry + T[6]),
                      float(T[8] * rx + T[9] * ry + T[10])};
    const Vec3 point = {float(T[3] + ray.x * z), float(T[7] + ray.y * z), float(T[11] + ray.z * z)};

    const float facing = -dot(n_world, light.direction);
    float key = std::max(0.0f, facing);
    lit = std::numeric_limits<float>::quiet_NaN();
    if (key > 0 && around.part == p && !std::isnan(around.lit) && std::abs(z - around.depth) < kAlike * z) {
        lit = around.lit;
    } else if (key > 0) {
        lit = 1.0f;
        for (const ShadowMap* map : maps.shadow)
            if (lit > 0 && map) lit *= map->visibility(point + n_world * (1.5f * map->texel), 1.5f * map->texel);
    }
    if (key > 0) key *= lit;
    float ao = 1.0f;
    for (const ContactMap* map : maps.contact)
        if (map) ao *= map->factor(point, n_world);
    const Vec3 e = irradiance(light, n_world) * ao + light.key * key;
    out.light = e, out.shine = {0, 0, 0};
    if (part.gloss > 0 && key > 0) {  // Blinn–Phong, exponent 64
        Vec3 half = {-light.direction.x, -light.direction.y, -light.direction.z};
        half = half + ray * (-1.0f / std::sqrt(dot(ray, ray)));
        float g = std::max(0.0f, dot(half, n_world)) / std::sqrt(std::max(dot(half, half), 1e-12f));
        for (int i = 0; i < 6; ++i) g *= g;
        const float share = key / std::max(facing, 1e-6f);
        out.shine = light.key * (part.gloss * g * share);
    }
}

// Whether a face seen at 1/z = `key` is of the surface around.
bool PixelShader::follows(const FaceSetup& s, const Around& around, float key) const {
    const int p = world.face_part[s.face];
    if (p != around.part || !(std::abs(key * around.depth - 1.0f) < kAlike)) return false;
    const Vec3 n = world.face_normal[s.face], a = around.normal;
    const double* m = T_world_part + 16 * p;
    const float along = float(n.x * (m[0] * a.x + m[4] * a.y + m[8] * a.z) + n.y * (m[1] * a.x + m[5] * a.y + m[9] * a.z) + n.z * (m[2] * a.x + m[6] * a.y + m[10] * a.z));
    return (s.back ? -along : along) > kSmooth;
}

// Neighbouring faces of one smooth surface share a shading: same part, close in depth, normals within 20 degrees.
bool PixelShader::continues(int a, float key_a, int b, float key_b) const {
    const int fa = seen.setups[a].face, fb = seen.setups[b].face;
    return world.face_part[fa] == world.face_part[fb] && std::abs(key_a - key_b) < kAlike * key_a &&
           dot(world.face_normal[fa], world.face_normal[fb]) > kSmooth;
}

bool PixelShader::tile(int x0, int y0, int w, int h, Pixel* out) const {
    const Around none{-1, 0, 0, false, {}, {}, {}};
    const int S = view.supersample;
    int any = -1;
    for (int y = y0 * S; y < (y0 + h) * S; ++y)
        for (int x = x0 * S; x < (x0 + w) * S; ++x) any &= seen.id[size_t(y) * seen.w + x];
    if (any == -1) return false;
    auto exact = [&](int x, int y) { out[y * kTile + x] = at(x0 + x, y0 + y, none); };
    const float pixel = float(1.0 / view.K[0]), texel = maps.texel();
    bool straight = false;  // of the rectangle that was last agreed on
    auto agreed = [&](int xa, int ya, int xb, int yb) {
        const Pixel &a = out[ya * kTile + xa], &b = out[ya * kTile + xb], &c = out[yb * kTile + xa], &d = out[yb * kTile + xb];
        const int size = std::max(xb - xa, yb - ya);
        if (size > 2 && !(float(size) * pixel * a.depth <= kTexels * texel)) return false;
        if (!agree(a, b, c, d)) return false;
        straight = even(a, b, c, d);
        return true;
    };
    auto fill = [&](int x, int y, float ax, float ay, int xa, int ya, int xb, int yb) {
        const Pixel &a = out[ya * kTile + xa], &b = out[ya * kTile + xb], &c = out[yb * kTile + xa], &d = out[yb * kTile + xb];
        Around around{a.part, a.depth, (a.lit * (1 - ax) + b.lit * ax) * (1 - ay) + (c.lit * (1 - ax) + d.lit * ax) * ay, straight, {}, {}, {}};
        if (straight) {
            around.light = mixed(a.light, b.light, c.light, d.light, ax, ay), around.shine = mixed(a.shine, b.shine, c.shine, d.shine, ax, ay);
            around.normal = mixed(a.normal, b.normal, c.normal, d.normal, ax, ay);
        }
        out[y * kTile + x] = at(x0 + x, y0 + y, around);
    };
    Spread(w, h, exact, agreed, fill);
    return true;
}

bool PixelShader::agree(const Pixel& a, const Pixel& b, const Pixel& c, const Pixel& d) const {
    const float low = std::min(std::min(a.lit, b.lit), std::min(c.lit, d.lit)), high = std::max(std::max(a.lit, b.lit), std::max(c.lit, d.lit));
    const bool dark = std::isnan(a.lit) && std::isnan(b.lit) && std::isnan(c.lit) && std::isnan(d.lit);  // all look away from the light
    if (a.part < 0 || !(maps.step > 0) || !(dark || high - low < maps.step)) return false;
    if (!dark && std::isnan(a.lit + b.lit + c.lit + d.lit)) return false;
    for (const Pixel* p : {&b, &c, &d})
        if (p->part != a.part || !(std::abs(p->depth - a.depth) < kAlike * a.depth) || !(dot(a.normal, p->normal) > kSmooth)) return false;
    return true;
}

bool PixelShader::even(const Pixel& a, const Pixel& b, const Pixel& c, const Pixel& d) const {
    auto near = [](Vec3 p, Vec3 q, float most) { return std::abs(p.x - q.x) < most && std::abs(p.y - q.y) < most && std::abs(p.z - q.z) < most; };
    for (const Pixel* p : {&a, &b, &c, &d})
        if (!(p->coverage >= 1.0f && dot(a.normal, p->normal) > kEven && near(a.light, p->light, kEvenLight) && near(a.shine, p->shine, kEvenShine))) return false;
    return true;
}

Pixel PixelShader::at(int x, int y, const Around& around) const {
    const int S = view.supersample, n = S * S;
    const float ox = 0.5f - 0.5f * seen.w, oy = 0.5f - 0.5f * seen.h;
    const size_t first = size_t(y) * S * seen.w + size_t(x) * S;
    const int only = seen.id[first];
    bool one = true;
    for (int row = 0; row < S; ++row)
        for (int k = 0; k < S; ++k) one &= seen.id[first + size_t(row) * seen.w + k] == only;
    Pixel p{{0, 0, 0}, 0.0f, std::numeric_limits<float>::infinity(), -1, {0, 0, 0}, std::numeric_limits<float>::quiet_NaN(), {0, 0, 0}, {0, 0, 0}};
    if (one && only < 0) return p;
    if (one) {  // all of one face, as most are
        const FaceSetup& s = seen.setups[only];
        const float middle = 0.5f * float(S - 1);
        p.rgb = shade(s, float(x * S) + middle + ox, float(y * S) + middle + oy, around, around.even && follows(s, around, seen.key[first]), p);
        p.coverage = 1.0f, p.part = world.face_part[s.face];
        return p;
    }
    struct Group {  // samples that one shading stands for
        int id, count, part, own;
        float X, Y, key;
    } groups[kMaxSamples];
    int n_groups = 0, empty = 0;
    for (int sy = y * S; sy < (y + 1) * S; ++sy)
        for (int sx = x * S; sx < (x + 1) * S; ++sx) {
            const int id = seen.id[size_t(sy) * seen.w + sx];
            if (id < 0) {
                ++empty;
                continue;
            }
            const float near = seen.key[size_t(sy) * seen.w + sx];
            int g = 0;
            while (g < n_groups && groups[g].id != id && !continues(groups[g].id, groups[g].key, id, near)) ++g;
            if (g == n_groups) groups[n_groups++] = {id, 0, world.face_part[seen.setups[id].face], 0, 0, 0, near};
            groups[g].count++;
            if (groups[g].id == id) groups[g].own++, groups[g].X += sx + ox, groups[g].Y += sy + oy;
        }
    p.coverage = float(n - empty) / n;
    const bool even = around.even && n_groups == 1 && empty == 0 && follows(seen.setups[groups[0].id], around, groups[0].key);
    int best = -1, votes = empty;  // the part with most samples owns the pixel
    for (int g = 0; g < n_groups; ++g) {
        int v = 0;
        for (int k = 0; k < n_groups; ++k) v += groups[k].part == groups[g].part ? groups[k].count : 0;
        if (v > votes || (v == votes && best < 0)) votes = v, best = g;
    }
    for (int g = 0; g < n_groups; ++g) {
        const float inv = 1.0f / groups[g].own, share = float(groups[g].count) / n;
        const FaceSetup& s = seen.setups[groups[g].id];
        Pixel own{};
        const Vec3 c = shade(s, groups[g].X * inv, groups[g].Y * inv, around, even, own);
        p.rgb.x += c.x * share, p.rgb.y += c.y * share, p.rgb.z += c.z * share;
        if (g != best) continue;
        // Depth is where the ray of the pixel's centre meets the face. Where it passes beside the face, which does not go on in another,
        // the nearest of the face on the way there from its samples: its plane, seen at a slant, runs off quickly behind its edge.
        float X = x * S + 0.5f * S - 0.5f + ox, Y = y * S + 0.5f * S - 0.5f + oy;
        if (groups[g].count == groups[g].own) {
            const float mx = groups[g].X * inv, my = groups[g].Y * inv;
            float t = 1.0f;
            for (const auto& e : s.e) {
                const float from = std::max(0.0f, e[0] * mx + e[1] * my + e[2]), to = e[0] * X + e[1] * Y + e[2];
                if (to < 0) t = std::min(t, from / (from - to));
            }
            X = mx + t * (X - mx), Y = my + t * (Y - my);
        }
        const float key = s.d[0] * X + s.d[1] * Y + s.d[2];
        p.depth = key > 0 ? std::clamp(1.0f / key, 0.98f * own.depth, 1.02f * own.depth) : own.depth;
        p.part = groups[g].part, p.normal = own.normal, p.lit = own.lit, p.light = own.light, p.shine = own.shine;
    }
    return p;
}

}  // namespace p2s
