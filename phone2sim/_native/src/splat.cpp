// Python bindings of the splatting kernels. Arrays are C-contiguous float32; shapes are checked here.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>

#include <cmath>
#include <optional>
#include <string>

#include "splat.h"

namespace nb = nanobind;
using namespace nb::literals;
using In = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using Mask = nb::ndarray<const uint8_t, nb::c_contig, nb::device::cpu>;

namespace {

template <class A>
void check(const A& a, const char* name, size_t size) {
  if (a.size() != size) throw nb::value_error((std::string(name) + ": wrong number of values").c_str());
}

nb::ndarray<nb::numpy, float> new_array(std::initializer_list<size_t> shape) {
  size_t size = 1;
  for (size_t s : shape) size *= s;
  float* data = new float[size];
  nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<float*>(p); });
  return nb::ndarray<nb::numpy, float>(data, shape, owner);
}

// One picture size; keeps the buffers and the last forward pass that `backward` needs.
class Rasterizer {
 public:
  Rasterizer(int width, int height, int threads) : threads_(p2s::resolve_threads(threads)) {
    if (width < 1 || height < 1 || width > 32767 || height > 32767) throw nb::value_error("Rasterizer: bad picture size");
    cam_.w = width, cam_.h = height;
  }

  nb::object forward(In means, In quats, In log_scales, In logits, In sh, In K, In T_camera_world, In background, int degree,
                     bool antialiased, float near, bool depth, bool normals, bool mode, std::optional<In> limit) {
    const size_t n = logits.size();
    check(means, "means", 3 * n), check(quats, "quats", 4 * n), check(log_scales, "log_scales", 3 * n);
    check(K, "K", 9), check(T_camera_world, "T_camera_world", 16);
    const int k = sh.ndim() == 3 ? (int)sh.shape(1) : 0;
    if (sh.size() != 3 * n * k || (degree + 1) * (degree + 1) > k || degree < 0 || degree > 3) throw nb::value_error("sh: bad shape or degree");
    params_ = {means.data(), quats.data(), log_scales.data(), logits.data(), sh.data(), n, k, degree};
    const float *T = T_camera_world.data(), *I = K.data();
    for (int i = 0; i < 3; i++) {
      for (int j = 0; j < 3; j++) cam_.R[i][j] = T[4 * i + j];
      cam_.t[i] = T[4 * i + 3];
    }
    for (int j = 0; j < 3; j++) cam_.centre[j] = -(cam_.R[0][j] * cam_.t[0] + cam_.R[1][j] * cam_.t[1] + cam_.R[2][j] * cam_.t[2]);
    cam_.fx = I[0], cam_.fy = I[4], cam_.cx = I[2], cam_.cy = I[5], cam_.near = near;
    antialiased_ = antialiased;
    const size_t h = cam_.h, w = cam_.w;
    const bool per_pixel = background.size() == 3 * h * w && background.size() != 3;
    if (!per_pixel) check(background, "background", 3);
    auto rgb = new_array({3, h, w}), trans = new_array({h, w});
    nb::object median = nb::none(), expected = nb::none(), normal = nb::none(), densest = nb::none();
    if (limit) {
      check(*limit, "limit", h * w);
      if (normals || mode) throw nb::value_error("limit: not together with normals or mode");
      depth = true;
    }
    p2s::Picture picture{rgb.data(), trans.data(), nullptr, nullptr, nullptr, nullptr, nullptr, limit ? limit->data() : nullptr};
    if (normals) {
      auto a = new_array({3, h, w});
      picture.normals = a.data(), normal = nb::cast(a);
    }
    if (depth || normals || mode) {
      auto a = new_array({h, w});
      picture.depth_median = a.data(), median = nb::cast(a);
    }
    if ((depth || normals || mode) && !limit) {
      auto a = new_array({h, w});
      picture.depth_expected = a.data(), expected = nb::cast(a);
    }
    if (mode) {
      auto a = new_array({h, w});
      picture.depth_mode = a.data(), densest = nb::cast(a);
    }
    const p2s::Background bg{background.data(), per_pixel};
    {
      nb::gil_scoped_release release;
      feet_.resize(n), ranges_.resize(n);
      if (normals) normals_.resize(n);
      p2s::project(params_, cam_, antialiased_, feet_.data(), ranges_.data(), normals ? normals_.data() : nullptr, threads_);
      if (limit) p2s::hide(feet_.data(), ranges_.data(), n, cam_, picture.limit);
      p2s::bin(feet_.data(), ranges_.data(), n, cam_, tiles_, threads_);
      done_.resize((size_t)tiles_.nx * tiles_.ny);
      picture.done = done_.data();
      p2s::raster(feet_.data(), normals_.data(), tiles_, cam_.w, cam_.h, bg, picture, threads_);
    }
    has_normals_ = normals;
    if (mode) return nb::make_tuple(rgb, trans, median, expected, normal, densest);
    return nb::make_tuple(rgb, trans, median, expected, normal);
  }

  // Gradients of the parameters given to the last `forward`; the same arrays must still be alive and unchanged.
  // The optional pictures and derivatives go in pairs: what `forward` gave, and the loss's derivative by it.
  void backward(In rgb, In grad_rgb, In means, In quats, In log_scales, In logits, In sh, Out g_means, Out g_quats,
                Out g_log_scales, Out g_logits, Out g_sh, Out g_screen, std::optional<In> transmittance,
                std::optional<In> grad_transmittance, std::optional<In> depth, std::optional<In> grad_depth, std::optional<In> normals,
                std::optional<In> grad_normals) {
    const size_t n = params_.n, px = (size_t)3 * cam_.w * cam_.h;
    check(rgb, "rgb", px), check(grad_rgb, "grad_rgb", px), check(means, "means", 3 * n), check(quats, "quats", 4 * n);
    check(log_scales, "log_scales", 3 * n), check(logits, "logits", n), check(sh, "sh", 3 * n * params_.k);
    check(g_means, "g_means", 3 * n), check(g_quats, "g_quats", 4 * n), check(g_log_scales, "g_log_scales", 3 * n);
    check(g_logits, "g_logits", n), check(g_sh, "g_sh", 3 * n * params_.k), check(g_screen, "g_screen", n);
    params_.means = means.data(), params_.quats = quats.data(), params_.log_scales = log_scales.data();
    params_.logits = logits.data(), params_.sh = sh.data();
    auto pointer = [&](const std::optional<In>& a, const char* name, size_t size) -> const float* {
      if (a) check(*a, name, size);
      return a ? a->data() : nullptr;
    };
    p2s::PictureGradient I{rgb.data(), pointer(transmittance, "transmittance", px / 3), pointer(depth, "depth", px / 3),
                           pointer(normals, "normals", px), grad_rgb.data(), pointer(grad_transmittance, "grad_transmittance", px / 3),
                           pointer(grad_depth, "grad_depth", px / 3), pointer(grad_normals, "grad_normals", px), done_.data()};
    if (((I.g_transmittance || I.g_depth) && !I.transmittance) || (I.g_depth && !I.depth) || (I.g_normals && !I.normals))
      throw nb::value_error("backward: a derivative without its picture");
    if (I.geometry() && !has_normals_) throw nb::value_error("backward: depth and normals need forward(normals=True)");
    p2s::Gradients G{g_means.data(), g_quats.data(), g_log_scales.data(), g_logits.data(), g_sh.data(), g_screen.data()};
    nb::gil_scoped_release release;
    const size_t rows = tiles_.entries.size() * (I.geometry() ? p2s::kRowGeo : p2s::kRow);
    if (rows_.size() < rows) std::vector<float>().swap(rows_), rows_.resize(rows * 5 / 4);
    p2s::raster_backward(feet_.data(), normals_.data(), tiles_, cam_.w, cam_.h, I, rows_.data(), threads_);
    p2s::project_backward(params_, cam_, antialiased_, feet_.data(), tiles_.offsets.data(), rows_.data(), I.geometry(), G, threads_);
  }

  double normal_loss(In depth, In transmittance, In normals, float weight, Out g_depth, Out g_normals) {
    const size_t px = (size_t)cam_.w * cam_.h;
    check(depth, "depth", px), check(transmittance, "transmittance", px), check(normals, "normals", 3 * px);
    check(g_depth, "g_depth", px), check(g_normals, "g_normals", 3 * px);
    nb::gil_scoped_release release;
    return p2s::normal_loss(cam_, depth.data(), transmittance.data(), normals.data(), weight, g_depth.data(), g_normals.data(), threads_);
  }

  // Bytes held by the buffers, which grow and are kept.
  size_t bytes() const {
    return feet_.capacity() * sizeof(p2s::Footprint) + ranges_.capacity() * sizeof(p2s::Range) + normals_.capacity() * sizeof(p2s::Normal) + done_.capacity() * 4 +
           rows_.capacity() * 4 + tiles_.bytes();
  }

  void visible(nb::ndarray<uint8_t, nb::c_contig, nb::device::cpu> out) {
    check(out, "visible", params_.n);
    for (size_t i = 0; i < params_.n; i++) out.data()[i] = tiles_.offsets[i + 1] > tiles_.offsets[i];
  }

  size_t entries() const { return tiles_.entries.size(); }

 private:
  int threads_;
  p2s::Camera cam_{};
  p2s::Params params_{};
  bool antialiased_ = false, has_normals_ = false;
  std::vector<p2s::Footprint> feet_;
  std::vector<p2s::Range> ranges_;
  std::vector<p2s::Normal> normals_;
  p2s::Tiles tiles_;
  std::vector<int32_t> done_;
  std::vector<float> rows_;
};

nb::tuple photometric_loss(In image, In target, std::optional<In> weight, In gain, In bias, float share, Out grad, int threads) {
  if (image.ndim() != 3 || image.shape(0) != 3) throw nb::value_error("image: expected (3, h, w)");
  const int h = (int)image.shape(1), w = (int)image.shape(2);
  check(target, "target", image.size()), check(grad, "grad", image.size()), check(gain, "gain", 3), check(bias, "bias", 3);
  if (weight) check(*weight, "weight", (size_t)h * w);
  p2s::LossFrame f{image.data(), target.data(), weight ? weight->data() : nullptr, {}, {}, w, h};
  for (int c = 0; c < 3; c++) f.gain[c] = gain.data()[c], f.bias[c] = bias.data()[c];
  p2s::LossResult r;
  {
    nb::gil_scoped_release release;
    r = p2s::photometric_loss(f, share, grad.data(), p2s::resolve_threads(threads));
  }
  return nb::make_tuple(r.loss, r.l1, r.ssim, nb::make_tuple(r.gain[0], r.gain[1], r.gain[2]), nb::make_tuple(r.bias[0], r.bias[1], r.bias[2]));
}

void adam(Out p, In g, Out m, Out v, In rates, Mask visible, float beta1, float beta2, int step, float eps, int threads) {
  const size_t n = visible.size(), columns = rates.size();
  check(p, "p", n * columns), check(g, "g", n * columns), check(m, "m", n * columns), check(v, "v", n * columns);
  const double c1 = 1 / (1 - std::pow((double)beta1, step)), c2 = 1 / (1 - std::pow((double)beta2, step));
  nb::gil_scoped_release release;
  p2s::adam(p.data(), g.data(), m.data(), v.data(), rates.data(), (int)columns, n, visible.data(), beta1, beta2, (float)c1, (float)c2, eps,
            p2s::resolve_threads(threads));
}

void regularise(In log_scales, In logits, Out g_log_scales, Out g_logits, Mask visible, float opacity, float scale, float flat,
                int threads) {
  const size_t n = logits.size();
  check(log_scales, "log_scales", 3 * n), check(g_log_scales, "g_log_scales", 3 * n), check(g_logits, "g_logits", n), check(visible, "visible", n);
  nb::gil_scoped_release release;
  p2s::regularise(log_scales.data(), logits.data(), g_log_scales.data(), g_logits.data(), visible.data(), n, opacity, scale, flat,
                  p2s::resolve_threads(threads));
}

void jitter(Out means, In quats, In log_scales, In logits, Mask visible, float size, uint64_t seed, int threads) {
  const size_t n = logits.size();
  check(means, "means", 3 * n), check(quats, "quats", 4 * n), check(log_scales, "log_scales", 3 * n), check(visible, "visible", n);
  nb::gil_scoped_release release;
  p2s::jitter(means.data(), quats.data(), log_scales.data(), logits.data(), visible.data(), n, size, seed, p2s::resolve_threads(threads));
}

}  // namespace

NB_MODULE(P2S_MODULE, m) {
  m.def("version", [] { return 3; });
  nb::class_<Rasterizer>(m, "Rasterizer")
      .def(nb::init<int, int, int>(), "width"_a, "height"_a, "threads"_a = 0)
      .def("forward", &Rasterizer::forward, "means"_a, "quats"_a, "log_scales"_a, "logits"_a, "sh"_a, nb::kw_only(), "K"_a, "T_camera_world"_a,
           "background"_a, "degree"_a, "antialiased"_a = false, "near"_a = 0.01f, "depth"_a = false, "normals"_a = false, "mode"_a = false, "limit"_a = nb::none(),
           "(rgb (3,h,w), transmittance (h,w), median depth (h,w), expected depth, normals (3,h,w)); with `mode` also the depth of the densest layer (h,w); None for what was not asked for. `limit` (h,w): nothing farther is drawn, and of the depths there is the median.")
      .def("backward", &Rasterizer::backward, "rgb"_a, "grad_rgb"_a, "means"_a, "quats"_a, "log_scales"_a, "logits"_a, "sh"_a, nb::kw_only(),
           "g_means"_a, "g_quats"_a, "g_log_scales"_a, "g_logits"_a, "g_sh"_a, "g_screen"_a,
           "transmittance"_a = nb::none(), "grad_transmittance"_a = nb::none(), "depth"_a = nb::none(), "grad_depth"_a = nb::none(),
           "normals"_a = nb::none(), "grad_normals"_a = nb::none())
      .def("normal_loss", &Rasterizer::normal_loss, "depth"_a, "transmittance"_a, "normals"_a, "weight"_a, "g_depth"_a, "g_normals"_a)
      .def_prop_ro("bytes", &Rasterizer::bytes)
      .def("visible", &Rasterizer::visible, "out"_a)
      .def_prop_ro("entries", &Rasterizer::entries);
  m.def("photometric_loss", &photometric_loss, "image"_a, "target"_a, "weight"_a.none(), "gain"_a, "bias"_a, "share"_a, "grad"_a, "threads"_a = 0);
  m.def("adam", &adam, "p"_a, "g"_a, "m"_a, "v"_a, "rates"_a, "visible"_a, "beta1"_a, "beta2"_a, "step"_a, "eps"_a, "threads"_a = 0);
  m.def("regularise", &regularise, "log_scales"_a, "logits"_a, "g_log_scales"_a, "g_logits"_a, "visible"_a, "opacity"_a, "scale"_a, "flat"_a, "threads"_a = 0);
  m.def("jitter", &jitter, "means"_a, "quats"_a, "log_scales"_a, "logits"_a, "visible"_a, "size"_a, "seed"_a, "threads"_a = 0);
}
