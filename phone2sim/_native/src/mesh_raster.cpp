// Visibility by 2D homogeneous rasterisation (Olano & Greer 1997): faces crossing the near plane need no clipping of
// attributes. Edges are evaluated from canonically ordered vertices, so neighbours share them exactly: no cracks.
#include <algorithm>
#include <cmath>

#include "mesh_pixel.hpp"

namespace p2s {
namespace {

constexpr int kBand = 32, kLanes = 8;

struct D3 {
    double x, y, z;
};

bool before(const D3& a, const D3& b) {
    if (a.x != b.x) return a.x < b.x;
    if (a.y != b.y) return a.y < b.y;
    return a.z < b.z;
}

D3 edge(const D3& a, const D3& b) {
    const bool swap = before(b, a);
    const D3 &p = swap ? b : a, &q = swap ? a : b;
    const double s = swap ? -1.0 : 1.0;
    return {s * (p.y * q.z - p.z * q.y), s * (p.z * q.x - p.x * q.z), s * (p.x * q.y - p.y * q.x)};
}

struct Bounds {
    double x0 = 1e30, x1 = -1e30, y0 = 1e30, y1 = -1e30;
    void add(double x, double y) {
        x0 = std::min(x0, x), x1 = std::max(x1, x), y0 = std::min(y0, y), y1 = std::max(y1, y);
    }
};

// Bounding box of the projected face; false when nothing is in front of the near plane.
bool project_bounds(const D3 v[3], double near_m, Bounds& box) {
    const bool in[3] = {v[0].z >= near_m, v[1].z >= near_m, v[2].z >= near_m};
    if (!in[0] && !in[1] && !in[2]) return false;
    for (int i = 0; i < 3; ++i) {
        const int j = (i + 1) % 3;
        if (in[i]) box.add(v[i].x / v[i].z, v[i].y / v[i].z);
        if (in[i] != in[j]) {
            const double t = (near_m - v[i].z) / (v[j].z - v[i].z);
            box.add((v[i].x + t * (v[j].x - v[i].x)) / near_m, (v[i].y + t * (v[j].y - v[i].y)) / near_m);
        }
    }
    return true;
}

void set_up(const D3 v[3], const double depth[3], bool perspective, double near_m, bool cull, int w, int h, FaceSetup& s) {
    s.face = -1;
    Bounds box;
    if (perspective) {
        if (!project_bounds(v, near_m, box)) return;
    } else {
        for (int i = 0; i < 3; ++i) box.add(v[i].x, v[i].y);
    }
    const double cx = 0.5 * w - 0.5, cy = 0.5 * h - 0.5;  // sample index of X = 0
    s.x0 = int(std::ceil(std::max(box.x0 + cx - 1e-3, 0.0)));
    s.x1 = int(std::floor(std::min(box.x1 + cx + 1e-3, w - 1.0)));
    s.y0 = int(std::ceil(std::max(box.y0 + cy - 1e-3, 0.0)));
    s.y1 = int(std::floor(std::min(box.y1 + cy + 1e-3, h - 1.0)));
    if (s.x0 > s.x1 || s.y0 > s.y1) return;
    D3 e[3] = {edge(v[1], v[2]), edge(v[2], v[0]), edge(v[0], v[1])};
    double det = v[0].x * e[0].x + v[0].y * e[0].y + v[0].z * e[0].z;
    if (!(std::abs(det) > 1e-30)) return;
    const double sign = det < 0 ? -1.0 : 1.0;
    s.back = det > 0;  // counter-clockwise faces seen from outside have det < 0 in OpenCV axes
    if (cull && s.back) return;
    double d[3] = {0, 0, 0};
    for (int i = 0; i < 3; ++i) {
        const double c[3] = {e[i].x, e[i].y, e[i].z};
        const double weight = (perspective ? 1.0 : -depth[i]) / det;
        for (int k = 0; k < 3; ++k) {
            s.e[i][k] = float(sign * c[k]);
            d[k] += weight * c[k];
        }
    }
    for (int k = 0; k < 3; ++k) s.d[k] = float(d[k]);
    s.face = 0;
}

template <int N>
inline void span(const FaceSetup& s, int index, int x0, int xa, int xb, float r0, float r1, float r2, float rd, float ox, float key_max,
                 float* key, int32_t* id) {
    const float a0 = s.e[0][0], a1 = s.e[1][0], a2 = s.e[2][0], ad = s.d[0];
    float* k = key + x0;
    int32_t* to = id + x0;
#pragma omp simd
    for (int i = 0; i < N; ++i) {
        const int x = x0 + i;
        const float X = float(x) + ox;
        const float e0 = a0 * X + r0, e1 = a1 * X + r1, e2 = a2 * X + r2, d = ad * X + rd;
        const bool pass = (e0 >= 0) & (e1 >= 0) & (e2 >= 0) & (d > k[i]) & (d <= key_max) & (x >= xa) & (x <= xb);
        k[i] = pass ? d : k[i];
        to[i] = pass ? index : to[i];
    }
}

void draw(const FaceSetup& s, int index, int row0, int row1, float key_max, Visibility& out) {
    const float ox = 0.5f - 0.5f * out.w, oy = 0.5f - 0.5f * out.h;
    for (int y = std::max(s.y0, row0); y <= std::min(s.y1, row1); ++y) {
        const float Y = y + oy;
        const float r0 = s.e[0][1] * Y + s.e[0][2], r1 = s.e[1][1] * Y + s.e[1][2], r2 = s.e[2][1] * Y + s.e[2][2];
        const float rd = s.d[1] * Y + s.d[2];
        int xa = s.x0, xb = s.x1;
        if (xb - xa > 16) {  // narrow to the span of this row, one sample wider than exact
            float lo = xa + ox, hi = xb + ox;
            for (int i = 0; i < 3; ++i) {
                const float a = s.e[i][0], r = i == 0 ? r0 : i == 1 ? r1 : r2;
                if (a > 0) lo = std::max(lo, -r / a - 1.0f);
                if (a < 0) hi = std::min(hi, -r / a + 1.0f);
            }
            if (!(lo <= hi)) continue;
            xa = std::max(xa, int(std::floor(lo - ox)));
            xb = std::min(xb, int(std::ceil(hi - ox)));
        }
        float* key = out.key.data() + size_t(y) * out.w;
        int32_t* id = out.id.data() + size_t(y) * out.w;
        // Eight at a time, from a start that keeps all eight inside the row; those outside the span change nothing.
        const int lanes = std::min(kLanes, out.w);
        for (int x = std::min(xa, out.w - lanes); x <= xb; x += lanes, x = x > xb ? x : std::min(x, out.w - lanes)) {
            if (lanes == kLanes)
                span<kLanes>(s, index, x, xa, xb, r0, r1, r2, rd, ox, key_max, key, id);
            else
                for (int i = 0; i < lanes; ++i) span<1>(s, index, x + i, xa, xb, r0, r1, r2, rd, ox, key_max, key, id);
        }
    }
}

// Faces of a closed part that surely look away from the eye (or from an orthographic viewer): they hide behind others.
struct Away {
    bool perspective;
    double eye[3];  // in the part's frame, or the viewing direction

    Away(const double* m, bool perspective) : perspective(perspective), eye{m[8], m[9], m[10]} {
        if (!perspective) return;
        const double c[9] = {m[5] * m[10] - m[6] * m[9], m[2] * m[9] - m[1] * m[10], m[1] * m[6] - m[2] * m[5],
                             m[6] * m[8] - m[4] * m[10], m[0] * m[10] - m[2] * m[8], m[2] * m[4] - m[0] * m[6],
                             m[4] * m[9] - m[5] * m[8], m[1] * m[8] - m[0] * m[9], m[0] * m[5] - m[1] * m[4]};
        const double det = m[0] * c[0] + m[1] * c[3] + m[2] * c[6];
        for (int i = 0; i < 3; ++i) eye[i] = -(c[3 * i] * m[3] + c[3 * i + 1] * m[7] + c[3 * i + 2] * m[11]) / det;
    }
    bool operator()(Vec3 n, const float* a) const {
        double d[3];
        for (int i = 0; i < 3; ++i) d[i] = perspective ? a[i] - eye[i] : eye[i];
        const double along = n.x * d[0] + n.y * d[1] + n.z * d[2];
        return along > 1e-3 * std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
    }
};

}  // namespace

void rasterize(const World& world, const Projection& projection, const uint8_t* visible, Visibility& out, int threads) {
    set_up_faces(world, projection, visible, out, threads);
    fill(projection, out, threads);
}

void set_up_faces(const World& world, const Projection& projection, const uint8_t* visible, Visibility& out, int threads) {
    const int n_parts = int(world.parts.size()), n_vertices = int(world.position.size() / 3);
    std::vector<D3> posed(n_vertices);
    std::vector<double> depth(projection.perspective ? 0 : n_vertices);
    std::vector<int> first(n_parts + 1, 0);
    for (int p = 0; p < n_parts; ++p)
        first[p + 1] = first[p] + (visible[p] ? world.parts[p].f1 - world.parts[p].f0 : 0);
    out.setups.resize(first[n_parts]);

#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (int p = 0; p < n_parts; ++p) {
        if (!visible[p]) continue;
        const Part& part = world.parts[p];
        const double* m = projection.matrices.data() + 12 * p;
        for (int i = part.v0; i < part.v1; ++i) {
            const float* q = world.position.data() + 3 * i;
            const double x = q[0], y = q[1], z = q[2];
            posed[i] = {m[0] * x + m[1] * y + m[2] * z + m[3], m[4] * x + m[5] * y + m[6] * z + m[7],
                        m[8] * x + m[9] * y + m[10] * z + m[11]};
            if (!projection.perspective) {
                depth[i] = posed[i].z;
                posed[i].z = 1.0;
            }
        }
        const Away away(m, projection.perspective);
        for (int f = part.f0; f < part.f1; ++f) {
            FaceSetup& s = out.setups[first[p] + f - part.f0];
            const int32_t* t = world.face.data() + 3 * f;
            if (!part.double_sided && away(world.face_normal[f], world.position.data() + 3 * t[0])) {
                s.face = -1;
                continue;
            }
            const D3 v[3] = {posed[t[0]], posed[t[1]], posed[t[2]]};
            double z[3] = {0, 0, 0};
            if (!projection.perspective)
                for (int i = 0; i < 3; ++i) z[i] = depth[t[i]];
            set_up(v, z, projection.perspective, projection.near_m, projection.perspective && !part.double_sided, out.w,
                   out.h, s);
            if (s.face == 0) s.face = f;
        }
    }

}

Bands in_bands(const Visibility& seen, int rows) {
    Bands bands{rows, std::vector<std::vector<int>>((seen.h + rows - 1) / rows)};
    for (int i = 0; i < int(seen.setups.size()); ++i) {
        const FaceSetup& s = seen.setups[i];
        if (s.face < 0) continue;
        for (int b = s.y0 / rows; b <= s.y1 / rows; ++b) bands.faces[b].push_back(i);
    }
    return bands;
}

void fill(const Projection& projection, const Bands& bands, int band, Visibility& out) {
    const float key_max = projection.perspective ? 1.0f / projection.near_m : 1e30f;
    const int row0 = band * bands.rows, row1 = std::min(out.h, row0 + bands.rows) - 1;
    for (int i : bands.faces[band]) draw(out.setups[i], i, row0, row1, key_max, out);
}

void fill(const Projection& projection, Visibility& out, int threads) {
    const Bands bands = in_bands(out, kBand);
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (int b = 0; b < int(bands.faces.size()); ++b) fill(projection, bands, b, out);
}

Projection perspective(const World& world, const View& view, const double* T_world_part, float near_m) {
    const int w = view.width * view.supersample, h = view.height * view.supersample, n = int(world.parts.size());
    Projection projection{true, near_m, {}};
    projection.matrices.resize(12 * size_t(n));
    const double* T = view.T_world_camera;
    const double S = view.supersample;
    const double k[9] = {S * view.K[0], S * view.K[1], S * view.K[2] - 0.5 * w, 0, S * view.K[4], S * view.K[5] - 0.5 * h, 0, 0, 1};
    double M[12];  // K · T_camera_world
    for (int r = 0; r < 3; ++r)
        for (int c = 0; c < 4; ++c) {
            double sum = 0;
            for (int i = 0; i < 3; ++i) {
                const double shift = -(T[i] * T[3] + T[4 + i] * T[7] + T[8 + i] * T[11]);
                sum += k[3 * r + i] * (c < 3 ? T[4 * c + i] : shift);
            }
            M[4 * r + c] = sum;
        }
    for (int p = 0; p < n; ++p)
        for (int r = 0; r < 3; ++r)
            for (int c = 0; c < 4; ++c) {
                double sum = c == 3 ? M[4 * r + 3] : 0.0;
                for (int i = 0; i < 3; ++i) sum += M[4 * r + i] * T_world_part[16 * p + 4 * i + c];
                projection.matrices[12 * size_t(p) + 4 * r + c] = sum;
            }
    return projection;
}

}  // namespace p2s
