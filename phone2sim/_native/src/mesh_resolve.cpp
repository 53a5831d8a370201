#include "mesh_resolve.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

namespace p2s {
namespace {

constexpr int kMaxSamples = 9;

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
    return texture.sample(u, v, (ux - u * wx) * k, (vx - v * wx) * k, (uy - u * wy) * k, (vy - v * wy) * k);
}

// Colour, camera depth and world normal where the ray of sample position (X, Y) meets the face.
Vec3 PixelShader::shade(const FaceSetup& s, float X, float Y, float& z, Vec3& n_world) const {
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
    z = 1.0f / (s.d[0] * X + s.d[1] * Y + s.d[2]);
    Vec3 n = {0, 0, 0};
    for (int i = 0; i < 3; ++i) {
        const float* q = world.normal.data() + 3 * size_t(t[i]);
        n = n + Vec3{q[0], q[1], q[2]} * b[i];
    }
    const double* m = T_world_part + 16 * p;
    n_world = {float(m[0] * n.x + m[1] * n.y + m[2] * n.z), float(m[4] * n.x + m[5] * n.y + m[6] * n.z),
               float(m[8] * n.x + m[9] * n.y + m[10] * n.z)};
    const float length = std::sqrt(std::max(dot(n_world, n_world), 1e-30f));
    n_world = n_world * ((s.back ? -1.0f : 1.0f) / length);

    Vec3 albedo = part.rgb;
    if (part.texture >= 0) {
        float u = 0, v = 0;
        for (int i = 0; i < 3; ++i) u += world.uv[2 * size_t(t[i])] * b[i], v += world.uv[2 * size_t(t[i]) + 1] * b[i];
        albedo = texture_at(s, part, W, t, u, v);
    }
    albedo = {albedo.x * gain[3 * p], albedo.y * gain[3 * p + 1], albedo.z * gain[3 * p + 2]};

    const double ry = (Y - cy) / fy, rx = (X - cx - skew * ry) / fx;
    const double* T = view.T_world_camera;
    const Vec3 ray = {float(T[0] * rx + T[1] * ry + T[2]), float(T[4] * rx + T[5] * ry + T[6]),
                      float(T[8] * rx + T[9] * ry + T[10])};
    const Vec3 point = {float(T[3] + ray.x * z), float(T[7] + ray.y * z), float(T[11] + ray.z * z)};

    const float facing = -dot(n_world, light.direction);
    float key = std::max(0.0f, facing);
    for (const ShadowMap* map : maps.shadow)
        if (key > 0 && map) key *= map->visibility(point + n_world * (1.5f * map->texel), 1.5f * map->texel);
    float ao = 1.0f;
    for (const ContactMap* map : maps.contact)
        if (map) ao *= map->factor(point, n_world);
    const Vec3 e = irradiance(light, n_world) * ao + light.key * key;
    Vec3 c = {albedo.x * e.x, albedo.y * e.y, albedo.z * e.z};
    if (part.gloss > 0 && key > 0) {  // Blinn–Phong, exponent 64
        Vec3 half = {-light.direction.x, -light.direction.y, -light.direction.z};
        half = half + ray * (-1.0f / std::sqrt(dot(ray, ray)));
        float g = std::max(0.0f, dot(half, n_world)) / std::sqrt(std::max(dot(half, half), 1e-12f));
        for (int i = 0; i < 6; ++i) g *= g;
        const float share = key / std::max(facing, 1e-6f);
        c = c + light.key * (part.gloss * g * share);
    }
    return c;
}
// Neighbouring faces of one smooth surface share a shading: same part, close in depth, normals within 20 degrees.
bool PixelShader::continues(int a, float key_a, int b, float key_b) const {
    const int fa = seen.setups[a].face, fb = seen.setups[b].face;
    return world.face_part[fa] == world.face_part[fb] && std::abs(key_a - key_b) < 0.02f * key_a &&
           dot(world.face_normal[fa], world.face_normal[fb]) > 0.94f;
}

Pixel PixelShader::at(int x, int y) const {
    const int S = view.supersample, n = S * S;
    const float ox = 0.5f - 0.5f * seen.w, oy = 0.5f - 0.5f * seen.h;
    struct Group {  // samples that one shading stands for
        int id, count, part, own;
        float X, Y, key;
    } groups[kMaxSamples];
    int n_groups = 0, empty = 0;
    for (int k = 0; k < n; ++k) {
        const int sx = x * S + k % S, sy = y * S + k / S;
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
    Pixel p{{0, 0, 0}, float(n - empty) / n, std::numeric_limits<float>::infinity(), -1, {0, 0, 0}};
    if (n_groups == 0) return p;
    int best = -1, votes = empty;  // the part with most samples owns the pixel
    for (int g = 0; g < n_groups; ++g) {
        int v = 0;
        for (int k = 0; k < n_groups; ++k) v += groups[k].part == groups[g].part ? groups[k].count : 0;
        if (v > votes || (v == votes && best < 0)) votes = v, best = g;
    }
    for (int g = 0; g < n_groups; ++g) {
        const float inv = 1.0f / groups[g].own, share = float(groups[g].count) / n;
        float z;
        Vec3 normal;
        const Vec3 c = shade(seen.setups[groups[g].id], groups[g].X * inv, groups[g].Y * inv, z, normal);
        p.rgb.x += c.x * share, p.rgb.y += c.y * share, p.rgb.z += c.z * share;
        if (g != best) continue;
        // Depth is where the ray of the pixel's centre meets the face. Where it passes beside the face, which does not go on in another,
        // the nearest of the face on the way there from its samples: its plane, seen at a slant, runs off quickly behind its edge.
        const FaceSetup& s = seen.setups[groups[g].id];
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
        p.depth = key > 0 ? std::clamp(1.0f / key, 0.98f * z, 1.02f * z) : z;
        p.part = groups[g].part, p.normal = normal;
    }
    return p;
}

void resolve(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
             const Light& light, const Shade& shade, int threads, Picture out) {
    const PixelShader shader(world, view, seen, T_world_part, gain, light, shade);
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads) if (threads > 1)
    for (int y = 0; y < view.height; ++y)
        for (int x = 0; x < view.width; ++x) {
            const size_t at = size_t(y) * view.width + x;
            const Pixel p = shader.at(x, y);
            out.coverage[at] = p.coverage, out.depth[at] = p.depth, out.part[at] = p.part;
            out.rgb[3 * at] = p.rgb.x, out.rgb[3 * at + 1] = p.rgb.y, out.rgb[3 * at + 2] = p.rgb.z;
            out.normal[3 * at] = p.normal.x, out.normal[3 * at + 1] = p.normal.y, out.normal[3 * at + 2] = p.normal.z;
        }
}

namespace {

// Share of a background's light that parts leave: shadow and contact. Penumbrae are wider than a pixel: every second pixel of every
// second row is asked, and those in between only where their neighbours differ by `step` or more (0: always).
class Cast {
public:
    Cast(const View& view, const float* depth, const Shade& shade, float strength, float bias, float step)
        : view(view), depth(depth), shade(shade), strength(strength), bias(bias), step(step) {}

    Vec3 point(int x, int y) const {
        const double* T = view.T_world_camera;
        const double ry = (y + 0.5 - view.K[5]) / view.K[4], rx = (x + 0.5 - view.K[2] - view.K[1] * ry) / view.K[0];
        const float z = depth[size_t(y) * view.width + x];
        return {float(T[3] + z * (T[0] * rx + T[1] * ry + T[2])), float(T[7] + z * (T[4] * rx + T[5] * ry + T[6])),
                float(T[11] + z * (T[8] * rx + T[9] * ry + T[10]))};
    }
    float exact(int x, int y) const {
        const Vec3 p = point(x, y);
        float lit = 1.0f;
        for (const ShadowMap* map : shade.shadow)
            if (lit > 0 && map) lit *= map->visibility(p, bias);
        float left = 1.0f - strength * (1.0f - lit);
        for (const ContactMap* map : shade.contact)
            if (map) left *= map->factor(p, {0, 0, 1});
        return left;
    }
    // Of pixel (x, y), from the even pixels of the rows above and below (`row[0]`, `row[1]`; NaN where not asked).
    float between(int x, int y, const float* const row[2]) const {
        const int x0 = x & ~1, x1 = std::min(x0 + 2 * (x & 1), (view.width - 1) & ~1), k = y & 1;
        const float a = row[0][x0], b = row[0][x1], c = row[k][x0], d = row[k][x1];
        const float low = std::min(std::min(a, b), std::min(c, d)), high = std::max(std::max(a, b), std::max(c, d));
        if (!(high - low < step) || std::isnan(a + b + c + d)) return exact(x, y);
        const int y0 = y & ~1, y1 = std::min(y0 + 2 * k, (view.height - 1) & ~1);
        const float z = depth[size_t(y) * view.width + x];
        for (int j : {y0, y1})
            for (int i : {x0, x1})
                if (!(std::abs(depth[size_t(j) * view.width + i] - z) < kNear * z)) return exact(x, y);
        return 0.25f * (a + b + c + d);
    }

private:
    static constexpr float kNear = 0.02f;

    const View& view;
    const float* depth;
    const Shade& shade;
    float strength, bias, step;
};

}  // namespace

void composite(const View& view, const float* background, const float* depth, const float* fg_rgb, const float* coverage,
               const Shade& shade, float strength, float bias, float step, int threads, float* out) {
    const Cast cast(view, depth, shade, strength, bias, step);
    const int w = view.width, h = view.height, pairs = (h + 1) / 2;
    auto asked = [&](int x, int y) { return coverage[size_t(y) * w + x] < 1.0f && depth[size_t(y) * w + x] < 1e6f; };
    std::vector<float> even(size_t(pairs) * w, 1.0f);
#pragma omp parallel for schedule(dynamic, 4) num_threads(threads) if (threads > 1)
    for (int j = 0; j < pairs; ++j)
        for (int x = 0; x < w; x += 2)
            even[size_t(j) * w + x] = asked(x, 2 * j) ? cast.exact(x, 2 * j) : std::numeric_limits<float>::quiet_NaN();
#pragma omp parallel for schedule(dynamic, 8) num_threads(threads) if (threads > 1)
    for (int y = 0; y < h; ++y) {
        const float* const rows[2] = {&even[size_t(y / 2) * w], &even[size_t(std::min(y / 2 + 1, pairs - 1)) * w]};
        for (int x = 0; x < w; ++x) {
            const size_t at = size_t(y) * w + x;
            float factor = 1.0f - coverage[at];
            if (asked(x, y)) factor *= !((x | y) & 1) ? rows[0][x] : cast.between(x, y, rows);
            for (int c = 0; c < 3; ++c) out[3 * at + c] = background[3 * at + c] * factor + fg_rgb[3 * at + c];
        }
    }
}

const float* encode_table() {
    static const std::array<float, kEncode + 2> table = [] {
        std::array<float, kEncode + 2> t{};
        for (int i = 0; i < kEncode + 2; ++i) {  // indexed by the square root of the linear value
            const double r = std::min(1.0, double(i) / kEncode), l = r * r;
            t[i] = float(255.0 * (l <= 0.0031308 ? 12.92 * l : 1.055 * std::pow(l, 1 / 2.4) - 0.055));
        }
        return t;
    }();
    return table.data();
}

namespace {

// splitmix64 (Steele et al. 2014).
uint64_t mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void blur(std::vector<float>& a, int w, int h, float sigma) {
    const int r = std::max(1, int(std::ceil(3 * sigma)));
    std::vector<float> k(r + 1), b(a.size());
    float sum = 0;
    for (int i = 0; i <= r; ++i) k[i] = std::exp(-0.5f * i * i / (sigma * sigma)), sum += i ? 2 * k[i] : k[i];
    for (float& v : k) v /= sum;
    for (int pass = 0; pass < 2; ++pass) {
        std::fill(b.begin(), b.end(), 0.0f);
        for (int y = 0; y < h; ++y)
            for (int i = -r; i <= r; ++i) {
                const float wt = k[std::abs(i)];
                float* to = b.data() + size_t(y) * w * 3;
                if (pass == 0) {
                    const float* from = a.data() + size_t(y) * w * 3;
                    for (int x = 0; x < w; ++x) {
                        const int j = std::clamp(x + i, 0, w - 1);
                        for (int c = 0; c < 3; ++c) to[3 * x + c] += wt * from[3 * j + c];
                    }
                } else {
                    const float* from = a.data() + size_t(std::clamp(y + i, 0, h - 1)) * w * 3;
                    for (int x = 0; x < 3 * w; ++x) to[x] += wt * from[x];
                }
            }
        a.swap(b);
    }
}

}  // namespace

void to_bytes(const float* from, size_t n, size_t first, float noise, uint64_t seed, uint8_t* out) {
    if (!(noise > 0)) {
        for (size_t i = 0; i < n; ++i) out[i] = uint8_t(int(std::min(std::max(from[i], 0.0f), 255.0f)));
        return;
    }
    // The sum of four bytes of a hash (lowbias32, Wellons 2018), centred and scaled to unit deviation: close to normal.
    const uint64_t start = mix(seed);
    const uint32_t base = uint32_t(start) + uint32_t(first), second = uint32_t(start >> 32);
    const float deviation = 255.0f * noise / 147.8f;
    for (size_t i = 0; i < n; ++i) {
        uint32_t k = base + uint32_t(i);
        k ^= k >> 16, k *= 0x7feb352du, k ^= (k >> 15) ^ second, k *= 0x846ca68bu, k ^= k >> 16;
        const int sum = int(k & 255) + int((k >> 8) & 255) + int((k >> 16) & 255) + int(k >> 24) - 510;
        out[i] = uint8_t(int(std::min(std::max(from[i] + deviation * float(sum), 0.0f), 255.0f)));
    }
}

void sense(const float* rgb, int w, int h, const float gain[3], float blur_px, float noise, uint64_t seed, uint8_t* out) {
    const float* table = encode_table();
    const size_t n = size_t(w) * 3;
    std::vector<float> blurred, row(n), gains(n);
    if (blur_px > 0.05f) {
        blurred.assign(rgb, rgb + n * h);
        blur(blurred, w, h, blur_px);
        rgb = blurred.data();
    }
    for (size_t i = 0; i < n; ++i) gains[i] = gain[i % 3];
    for (size_t y = 0; y < size_t(h); ++y) {
        const float* from = rgb + y * n;
        for (size_t i = 0; i < n; ++i) row[i] = std::sqrt(std::min(std::max(from[i] * gains[i], 0.0f), 1.0f)) * kEncode + 0.5f;
        for (size_t i = 0; i < n; ++i) row[i] = table[int(row[i])] + 0.5f;
        to_bytes(row.data(), n, y * n, noise, seed, out + y * n);
    }
}

}  // namespace p2s
