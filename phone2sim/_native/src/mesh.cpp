// Python bindings of the mesh rasteriser. Shapes and dtypes are checked in phone2sim/_native/mesh.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "mesh_layer.hpp"
#include "mesh_over.hpp"
#include "mesh_plane.hpp"
#include "mesh_resolve.hpp"
#include "mesh_sensor.hpp"

namespace nb = nanobind;
using namespace p2s;

namespace {

template <class T>
using In = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
template <class T>
using Out = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

int thread_count(int threads) { return threads > 0 ? threads : omp_get_max_threads(); }

void add_part(World& w, In<float> vertices, In<int32_t> faces, In<float> normals, std::optional<In<float>> uv,
              std::optional<In<uint8_t>> texture, In<float> rgb, float gloss, bool double_sided) {
    const int v0 = int(w.position.size() / 3), f0 = int(w.face.size() / 3), nv = int(vertices.shape(0)), nf = int(faces.shape(0));
    w.position.insert(w.position.end(), vertices.data(), vertices.data() + 3 * nv);
    w.normal.insert(w.normal.end(), normals.data(), normals.data() + 3 * nv);
    if (uv)
        w.uv.insert(w.uv.end(), uv->data(), uv->data() + 2 * nv);
    else
        w.uv.resize(w.uv.size() + 2 * nv, 0.0f);
    for (int i = 0; i < 3 * nf; ++i) w.face.push_back(faces.data()[i] + v0);
    w.face_part.resize(w.face_part.size() + nf, int32_t(w.parts.size()));
    for (int f = f0; f < f0 + nf; ++f) {
        const float *a = &w.position[3 * w.face[3 * f]], *b = &w.position[3 * w.face[3 * f + 1]], *c = &w.position[3 * w.face[3 * f + 2]];
        const Vec3 u = {b[0] - a[0], b[1] - a[1], b[2] - a[2]}, v = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
        const Vec3 n = {u.y * v.z - u.z * v.y, u.z * v.x - u.x * v.z, u.x * v.y - u.y * v.x};
        w.face_normal.push_back(n * (1.0f / std::max(1e-30f, std::sqrt(dot(n, n)))));
    }
    Part p{f0, f0 + nf, v0, v0 + nv, {rgb.data()[0], rgb.data()[1], rgb.data()[2]}, gloss, -1, double_sided};
    if (uv && texture) {
        p.texture = int(w.textures.size());
        w.textures.emplace_back(texture->data(), int(texture->shape(1)), int(texture->shape(0)));
    }
    w.parts.push_back(p);
}

View make_view(In<double> K, In<double> T_world_camera, int width, int height, int supersample) {
    View v{};
    std::copy_n(K.data(), 9, v.K);
    std::copy_n(T_world_camera.data(), 12, v.T_world_camera);
    v.width = width, v.height = height, v.supersample = supersample;
    return v;
}

Light make_light(In<float> direction, In<float> key, In<float> sh) {
    Light l{};
    l.direction = {direction.data()[0], direction.data()[1], direction.data()[2]};
    l.key = {key.data()[0], key.data()[1], key.data()[2]};
    for (int i = 0; i < 9; ++i) std::copy_n(sh.data() + 3 * i, 3, l.sh[i]);
    return l;
}

void render(const World& world, In<double> poses, In<double> K, In<double> T_world_camera, int width, int height,
            int supersample, float near_m, In<uint8_t> visible, In<float> gain, In<float> direction, In<float> key, In<float> sh,
            const ShadowMap* shadow, const ContactMap* contact, const ShadowMap* shadow2, const ContactMap* contact2,
            std::optional<In<float>> behind, float step, int threads, Out<float> rgb,
            Out<float> coverage, Out<float> depth, Out<int32_t> part, Out<float> normal) {
    threads = thread_count(threads);
    const View view = make_view(K, T_world_camera, width, height, supersample);
    const Light light = make_light(direction, key, sh);
    nb::gil_scoped_release release;
    static thread_local Visibility seen;  // kept: its pages are asked for once
    seen.w = width * supersample, seen.h = height * supersample;
    seen.id.assign(size_t(seen.w) * seen.h, -1);
    if (behind) {
        seen.key.resize(seen.id.size());
        for (int y = 0; y < seen.h; y += supersample) {
            float* row = &seen.key[size_t(y) * seen.w];
            for (int x = 0; x < width; ++x) std::fill_n(row + x * supersample, supersample, 1.0f / behind->data()[size_t(y / supersample) * width + x]);
            for (int k = 1; k < supersample; ++k) std::copy_n(row, seen.w, row + size_t(k) * seen.w);
        }
    } else {
        seen.key.assign(seen.id.size(), 0.0f);
    }
    const Projection projection = perspective(world, view, poses.data(), near_m);
    rasterize(world, projection, visible.data(), seen, threads);
    resolve(world, view, seen, poses.data(), gain.data(), light, {{shadow, shadow2}, {contact, contact2}, step}, threads,
            {rgb.data(), coverage.data(), depth.data(), part.data(), normal.data()});
}

// Orthographic rows: x = (u·p - u·c) / texel, y likewise, depth = d·p - d·c; relative to the target's centre.
Projection orthographic(const World& world, const double* poses, const double axes[9], const double centre[3], double texel) {
    Projection projection{false, 0.0f, {}};
    projection.matrices.resize(12 * world.parts.size());
    for (size_t p = 0; p < world.parts.size(); ++p)
        for (int r = 0; r < 3; ++r) {
            const double s = r < 2 ? 1.0 / texel : 1.0;
            for (int c = 0; c < 4; ++c) {
                double sum = 0;
                for (int i = 0; i < 3; ++i) sum += axes[3 * r + i] * (poses[16 * p + 4 * i + c] - (c == 3 ? centre[i] : 0.0));
                projection.matrices[12 * p + 4 * r + c] = s * sum;
            }
        }
    return projection;
}

ShadowMap make_shadow(const World& world, In<double> poses, In<uint8_t> visible, In<double> axes, In<double> centre, float extent,
                      int n, float softness, int threads) {
    threads = thread_count(threads);
    ShadowMap m;
    const double* a = axes.data();
    m.n = n, m.texel = extent / n, m.softness = softness;
    m.u = {float(a[0]), float(a[1]), float(a[2])};
    m.v = {float(a[3]), float(a[4]), float(a[5])};
    m.dir = {float(a[6]), float(a[7]), float(a[8])};
    m.centre = {float(centre.data()[0]), float(centre.data()[1]), float(centre.data()[2])};
    nb::gil_scoped_release release;
    static thread_local Visibility seen;
    seen.w = seen.h = n;
    seen.key.assign(size_t(n) * n, -1e30f);
    seen.id.assign(size_t(n) * n, -1);
    rasterize(world, orthographic(world, poses.data(), a, centre.data(), m.texel), visible.data(), seen, threads);
    m.depth.resize(seen.key.size());  // -1e30 where nothing becomes 1e30
    for (size_t i = 0; i < seen.key.size(); ++i) m.depth[i] = -seen.key[i];
    m.build_least();
    return m;
}

void smooth(std::vector<float>& a, int w, int h, float sigma) {
    const int r = std::max(1, int(std::ceil(2.5f * sigma)));
    std::vector<float> k(2 * r + 1), b(a.size());
    float sum = 0;
    for (int i = -r; i <= r; ++i) sum += k[i + r] = std::exp(-0.5f * i * i / (sigma * sigma));
    for (float& v : k) v /= sum;
    for (int pass = 0; pass < 2; ++pass) {
        std::fill(b.begin(), b.end(), 0.0f);
        for (int y = 0; y < h; ++y)
            for (int i = -r; i <= r; ++i) {
                const float wt = k[i + r];
                if (pass == 0) {
                    const int lo = std::max(0, -i), hi = std::min(w, w - i);
                    for (int x = lo; x < hi; ++x) b[size_t(y) * w + x] += wt * a[size_t(y) * w + x + i];
                } else if (y + i >= 0 && y + i < h) {
                    for (int x = 0; x < w; ++x) b[size_t(y) * w + x] += wt * a[size_t(y + i) * w + x];
                }
            }
        a.swap(b);
    }
}

ContactMap make_contact(const World& world, In<double> poses, In<uint8_t> visible, float x0, float y0, float cell, int w, int h,
                        float height, float near_m, float wide_m, float near_share, float wide_share, int threads) {
    threads = thread_count(threads);
    ContactMap m{w, h, x0, y0, cell, height, {}};
    nb::gil_scoped_release release;
    Visibility seen;
    seen.w = w, seen.h = h;
    seen.key.assign(size_t(w) * h, -1e30f);
    seen.id.assign(size_t(w) * h, -1);
    const double axes[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};  // seen from below: the lowest point wins
    const double centre[3] = {x0 + 0.5 * w * cell, y0 + 0.5 * h * cell, height};
    rasterize(world, orthographic(world, poses.data(), axes, centre, cell), visible.data(), seen, threads);
    std::vector<float> close(seen.key.size(), 0.0f), far(seen.key.size(), 0.0f);
    for (size_t i = 0; i < seen.key.size(); ++i) {
        if (seen.id[i] < 0) continue;
        const float z = std::max(0.0f, -seen.key[i]);
        close[i] = std::max(0.0f, 1.0f - z / (2 * near_m)), far[i] = std::max(0.0f, 1.0f - z / (2 * wide_m));
    }
    smooth(close, w, h, near_m / cell);
    smooth(far, w, h, wide_m / cell);
    m.occlusion.resize(close.size());
    for (size_t i = 0; i < close.size(); ++i) m.occlusion[i] = near_share * close[i] + wide_share * far[i];
    return m;
}

Layer make_layer(In<double> K, In<double> T_world_camera, int width, int height, int supersample, In<float> rest, In<float> key,
                 In<float> depth, In<double> axes, float step, In<float> gain, float blur_px, float noise) {
    const double* a = axes.data();
    const Vec3 u{float(a[0]), float(a[1]), float(a[2])}, v{float(a[3]), float(a[4]), float(a[5])}, d{float(a[6]), float(a[7]), float(a[8])};
    const Sensor sensor{{gain.data()[0], gain.data()[1], gain.data()[2]}, blur_px, noise};
    return Layer(make_view(K, T_world_camera, width, height, supersample), rest.data(), key.data(), depth.data(), u, v, d, step, sensor);
}

void draw_layer(Layer& layer, const World& world, In<double> poses, In<float> gain, In<float> direction, In<float> key, In<float> sh,
                const ShadowMap* still, const ShadowMap* shadow, const ContactMap* contact, In<int32_t> names, uint64_t seed, int threads,
                std::optional<Out<uint8_t>> out, std::optional<Out<float>> linear, std::optional<Out<float>> depth,
                std::optional<Out<int32_t>> part, std::optional<Out<float>> normal) {
    const Moving moving{world, poses.data(), gain.data(), make_light(direction, key, sh), still, shadow, contact};
    const Truth truth{depth ? depth->data() : nullptr, part ? part->data() : nullptr, normal ? normal->data() : nullptr};
    nb::gil_scoped_release release;
    layer.draw(moving, seed, thread_count(threads), out ? out->data() : nullptr, linear ? linear->data() : nullptr, truth, names.data());
}

// Backdrops that keep the arrays they show.
struct StillBackdrop : Still {
    In<float> kept;
    explicit StillBackdrop(In<float> rgb) : Still(rgb.data(), int(rgb.shape(1))), kept(rgb) {}
};

struct PlaneBackdrop : Painted {
    In<float> kept[3];
    PlaneBackdrop(const PlanePicture& plane, In<double> K, In<double> T_world_camera, In<float> depth, In<float> gain, In<float> colour, In<float> left,
                  In<float> fill, In<float> other)
        : Painted(plane, make_view(K, T_world_camera, int(depth.shape(1)), int(depth.shape(0)), 1), depth.data(), gain.data(),
                  {colour.data(), left.data(), {fill.data()[0], fill.data()[1], fill.data()[2]}, {other.data()[0], other.data()[1], other.data()[2]}}),
          kept{depth, colour, left} {}
};

void draw_over_picture(const World& world, In<double> poses, In<double> K, In<double> T_world_camera, int width, int height, int supersample,
                       float near_m, In<uint8_t> visible, In<float> gain, In<float> direction, In<float> key, In<float> sh,
                       const ShadowMap* shadow, const ContactMap* contact, const ShadowMap* shadow2, const ContactMap* contact2,
                       const Backdrop& backdrop, In<float> behind, float strength, float bias, float step, int threads, Out<float> rgb,
                       std::optional<Out<float>> depth, std::optional<Out<int32_t>> part, std::optional<Out<float>> normal) {
    const View view = make_view(K, T_world_camera, width, height, supersample);
    const Light light = make_light(direction, key, sh);
    const Seen out{rgb.data(), depth ? depth->data() : nullptr, part ? part->data() : nullptr, normal ? normal->data() : nullptr};
    nb::gil_scoped_release release;
    draw_over(world, view, perspective(world, view, poses.data(), near_m), visible.data(), poses.data(), gain.data(), light,
              {{shadow, shadow2}, {contact, contact2}, step}, {backdrop, behind.data(), strength, bias}, thread_count(threads), out);
}

}  // namespace

NB_MODULE(P2S_MODULE, m) {
    m.def("version", [] { return 1; });
    nb::class_<World>(m, "World").def(nb::init<>()).def("add_part", &add_part, nb::arg("vertices"), nb::arg("faces"),
        nb::arg("normals"), nb::arg("uv").none(), nb::arg("texture").none(), nb::arg("rgb"), nb::arg("gloss"), nb::arg("double_sided"));
    nb::class_<ShadowMap>(m, "ShadowMap").def("visibility", [](const ShadowMap& s, In<float> points, float bias, Out<float> out) {
        for (size_t i = 0; i < points.shape(0); ++i) {
            const float* p = points.data() + 3 * i;
            out.data()[i] = s.visibility({p[0], p[1], p[2]}, bias);
        }
    });
    nb::class_<ContactMap>(m, "ContactMap").def("factor", [](const ContactMap& s, In<float> points, Out<float> out) {
        for (size_t i = 0; i < points.shape(0); ++i) {
            const float* p = points.data() + 3 * i;
            out.data()[i] = s.factor({p[0], p[1], p[2]}, {0, 0, 1});
        }
    });
    m.def("render", &render, nb::arg("world"), nb::arg("poses"), nb::arg("K"), nb::arg("T_world_camera"), nb::arg("width"),
          nb::arg("height"), nb::arg("supersample"), nb::arg("near_m"), nb::arg("visible"), nb::arg("gain"), nb::arg("direction"),
          nb::arg("key"), nb::arg("sh"), nb::arg("shadow").none(), nb::arg("contact").none(), nb::arg("shadow2").none(),
          nb::arg("contact2").none(), nb::arg("behind").none(), nb::arg("step"),
          nb::arg("threads"), nb::arg("rgb"), nb::arg("coverage"), nb::arg("depth"), nb::arg("part"), nb::arg("normal"));
    nb::class_<Layer>(m, "Layer").def("draw", &draw_layer, nb::arg("world"), nb::arg("poses"), nb::arg("gain"), nb::arg("direction"),
        nb::arg("key"), nb::arg("sh"), nb::arg("still").none(), nb::arg("shadow").none(), nb::arg("contact").none(), nb::arg("names"),
        nb::arg("seed"), nb::arg("threads"), nb::arg("out").none(), nb::arg("linear").none(), nb::arg("depth").none(),
        nb::arg("part").none(), nb::arg("normal").none());
    m.def("make_layer", &make_layer, nb::arg("K"), nb::arg("T_world_camera"), nb::arg("width"), nb::arg("height"), nb::arg("supersample"),
          nb::arg("rest"), nb::arg("key"), nb::arg("depth"), nb::arg("axes"), nb::arg("step"), nb::arg("gain"), nb::arg("blur_px"), nb::arg("noise"));
    m.def("shadow_map", &make_shadow);
    m.def("contact_map", &make_contact);
    nb::class_<Backdrop>(m, "Backdrop");
    nb::class_<StillBackdrop, Backdrop>(m, "StillBackdrop").def(nb::init<In<float>>(), nb::arg("rgb"));
    nb::class_<PlaneBackdrop, Backdrop>(m, "PlaneBackdrop").def(nb::init<const PlanePicture&, In<double>, In<double>, In<float>, In<float>, In<float>, In<float>, In<float>, In<float>>(),
        nb::keep_alive<1, 2>(), nb::arg("plane"), nb::arg("K"), nb::arg("T_world_camera"), nb::arg("depth"), nb::arg("rgb_gain"), nb::arg("colour"),
        nb::arg("left"), nb::arg("fill_rgb"), nb::arg("other_gain"));
    m.def("draw_over", &draw_over_picture, nb::arg("world"), nb::arg("poses"), nb::arg("K"), nb::arg("T_world_camera"), nb::arg("width"),
          nb::arg("height"), nb::arg("supersample"), nb::arg("near_m"), nb::arg("visible"), nb::arg("gain"), nb::arg("direction"),
          nb::arg("key"), nb::arg("sh"), nb::arg("shadow").none(), nb::arg("contact").none(), nb::arg("shadow2").none(),
          nb::arg("contact2").none(), nb::arg("backdrop"), nb::arg("behind"), nb::arg("strength"), nb::arg("bias"), nb::arg("step"), nb::arg("threads"),
          nb::arg("rgb"), nb::arg("depth").none(), nb::arg("part").none(), nb::arg("normal").none());
    nb::class_<PlanePicture>(m, "PlanePicture")
        .def("__init__", [](PlanePicture* p, In<uint8_t> srgb, In<uint8_t> on, double x0, double y1, double texel, double height) {
            new (p) PlanePicture(srgb.data(), on.data(), int(srgb.shape(1)), int(srgb.shape(0)), x0, y1, texel, height);
        })
        .def("depth", [](const PlanePicture& p, In<double> K, In<double> T, int w, int h, int threads, Out<float> out) {
            const View view = make_view(K, T, w, h, 1);
            nb::gil_scoped_release release;
            p.depth(view, thread_count(threads), out.data());
        });
    m.def("sense", [](In<float> rgb, In<float> gain, float blur_px, float noise, uint64_t seed, Out<uint8_t> out) {
        nb::gil_scoped_release release;
        sense(rgb.data(), int(rgb.shape(1)), int(rgb.shape(0)), gain.data(), blur_px, noise, seed, out.data());
    });
}
