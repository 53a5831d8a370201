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
                     bool antialiased, float near, bool depth) {
    const size_t n = logits.size();
    check(means, "means", 3 * n), check(quats, "quats", 4 * n), check(log_scales, "log_scales", 3 * n);
    check(K, "K", 9), check(T_camera_world, "T_camera_world", 16), check(background, "background", 3);
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
    auto rgb = new_array({3, h, w}), trans = new_array({h, w});
    nb::object median = nb::none(), expected = nb::none();
    p2s::Picture picture{rgb.data(), trans.data(), nullptr, nullptr, nullptr};
    if (depth) {
      auto a = new_array({h, w}), b = new_array({h, w});
      picture.depth_median = a.data(), picture.depth_expected = b.data();
      median = nb::cast(a), expected = nb::cast(b);
    }
    const float* bg = background.data();
    {
      nb::gil_scoped_release release;
      feet_.resize(n);
      p2s::project(params_, cam_, antialiased_, feet_.data(), threads_);
      p2s::bin(feet_.data(), n, cam_, tiles_, threads_);
      done_.resize((size_t)tiles_.nx * tiles_.ny);
      picture.done = done_.data();
      p2s::raster(feet_.data(), tiles_, cam_.w, cam_.h, bg, picture, threads_);
    }
    return nb::make_tuple(rgb, trans, median, expected);
  }

  // Gradients of the parameters given to the last `forward`; the same arrays must still be alive and unchanged.
  void backward(In rgb, In grad_rgb, In means, In quats, In log_scales, In logits, In sh, Out g_means, Out g_quats,
                Out g_log_scales, Out g_logits, Out g_sh, Out g_screen) {
    const size_t n = params_.n, px = (size_t)3 * cam_.w * cam_.h;
    check(rgb, "rgb", px), check(grad_rgb, "grad_rgb", px), check(means, "means", 3 * n), check(quats, "quats", 4 * n);
    check(log_scales, "log_scales", 3 * n), check(logits, "logits", n), check(sh, "sh", 3 * n * params_.k);
    check(g_means, "g_means", 3 * n), check(g_quats, "g_quats", 4 * n), check(g_log_scales, "g_log_scales", 3 * n);
    check(g_logits, "g_logits", n), check(g_sh, "g_sh", 3 * n * params_.k), check(g_screen, "g_screen", n);
    params_.means = means.data(), params_.quats = quats.data(), params_.log_scales = log_scales.data();
    params_.logits = logits.data(), params_.sh = sh.data();
    const float *im = rgb.data(), *g = grad_rgb.data();
    p2s::Gradients G{g_means.data(), g_quats.data(), g_log_scales.data(), g_logits.data(), g_sh.data(), g_screen.data()};
    nb::gil_scoped_release release;
    if (rows_.size() < tiles_.entries.size() * p2s::kRow) rows_.resize(tiles_.entries.size() * p2s::kRow * 5 / 4);
    p2s::raster_backward(feet_.data(), tiles_, cam_.w, cam_.h, im, g, done_.data(), rows_.data(), threads_);
    p2s::project_backward(params_, cam_, antialiased_, feet_.data(), tiles_.offsets.data(), rows_.data(), G, threads_);
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
  bool antialiased_ = false;
  std::vector<p2s::Footprint> feet_;
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

void regularise(In log_scales, In logits, Out g_log_scales, Out g_logits, Mask visible, float opacity, float flat, int threads) {
  const size_t n = logits.size();
  check(log_scales, "log_scales", 3 * n), check(g_log_scales, "g_log_scales", 3 * n), check(g_logits, "g_logits", n), check(visible, "visible", n);
  nb::gil_scoped_release release;
  p2s::regularise(log_scales.data(), logits.data(), g_log_scales.data(), g_logits.data(), visible.data(), n, opacity, flat,
                  p2s::resolve_threads(threads));
}

}  // namespace

NB_MODULE(P2S_MODULE, m) {
  m.def("version", [] { return 2; });
  nb::class_<Rasterizer>(m, "Rasterizer")
      .def(nb::init<int, int, int>(), "width"_a, "height"_a, "threads"_a = 0)
      .def("forward", &Rasterizer::forward, "means"_a, "quats"_a, "log_scales"_a, "logits"_a, "sh"_a, nb::kw_only(), "K"_a, "T_camera_world"_a,
           "background"_a, "degree"_a, "antialiased"_a = false, "near"_a = 0.01f, "depth"_a = false,
           "(rgb (3,h,w), transmittance (h,w), median depth (h,w) or None, expected depth or None).")
      .def("backward", &Rasterizer::backward, "rgb"_a, "grad_rgb"_a, "means"_a, "quats"_a, "log_scales"_a, "logits"_a, "sh"_a, nb::kw_only(),
           "g_means"_a, "g_quats"_a, "g_log_scales"_a, "g_logits"_a, "g_sh"_a, "g_screen"_a)
      .def("visible", &Rasterizer::visible, "out"_a)
      .def_prop_ro("entries", &Rasterizer::entries);
  m.def("photometric_loss", &photometric_loss, "image"_a, "target"_a, "weight"_a.none(), "gain"_a, "bias"_a, "share"_a, "grad"_a, "threads"_a = 0);
  m.def("adam", &adam, "p"_a, "g"_a, "m"_a, "v"_a, "rates"_a, "visible"_a, "beta1"_a, "beta2"_a, "step"_a, "eps"_a, "threads"_a = 0);
  m.def("regularise", &regularise, "log_scales"_a, "logits"_a, "g_log_scales"_a, "g_logits"_a, "visible"_a, "opacity"_a, "flat"_a, "threads"_a = 0);
}
