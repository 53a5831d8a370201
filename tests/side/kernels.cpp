// The splatting kernels without Python: a made-up scene, forward, loss, backward, a derivative check and an Adam step.
// Prints one line of numbers that must agree between compilers and processors, then processor milliseconds per part.
//
//   kernels [gaussians] [width] [height] [threads] [repeats] [size of a Gaussian in px]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "splat.h"

using namespace p2s;

namespace {

uint64_t state = 7;
double uniform() {  // xorshift64*
  state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
  return (double)((state * 0x2545F4914F6CDD1Du) >> 11) * 0x1p-53;
}
double normal() { return std::sqrt(-2 * std::log(uniform() + 1e-300)) * std::cos(6.283185307179586 * uniform()); }

struct Scene {
  std::vector<float> means, quats, log_scales, logits, sh;
  Camera cam{};
  Params params() const { return {means.data(), quats.data(), log_scales.data(), logits.data(), sh.data(), logits.size(), 4, 1}; }
};

Scene make(size_t n, int w, int h, double px) {
  Scene s;
  Camera& c = s.cam;
  c.w = w, c.h = h, c.fx = c.fy = (float)w, c.cx = w / 2.f, c.cy = h / 2.f, c.near = .01f;
  for (int i = 0; i < 3; i++) c.R[i][i] = 1;
  for (size_t i = 0; i < n; i++) {
    double z = 1.5 + 2 * uniform(), size = px * z / w;
    s.means.insert(s.means.end(), {(float)((uniform() - .5) * z), (float)((uniform() - .5) * z * h / w), (float)z});
    for (int k = 0; k < 4; k++) s.quats.push_back((float)normal());
    for (int k = 0; k < 3; k++) s.log_scales.push_back((float)(std::log(size) + .5 * normal()));
    s.logits.push_back((float)(1.5 * normal() - .5));
    for (int k = 0; k < 12; k++) s.sh.push_back((float)(normal() * (k < 3 ? .6 : .15)));
  }
  return s;
}

std::map<std::string, double> spent;
template <class F>
void timed(const char* name, F work) {
  const std::clock_t t = std::clock();
  work();
  spent[name] += (double)(std::clock() - t) * 1e3 / CLOCKS_PER_SEC;
}

struct Run {
  std::vector<Footprint> feet;
  std::vector<Normal> normals;
  Tiles tiles;
  std::vector<int32_t> done;
  std::vector<float> rgb, trans, median, expected, normal, grad, g_depth, g_normal, rows;
  std::vector<float> g[6];
  double loss = 0;

  void forward(const Scene& s, bool geometry, int threads) {
    const size_t px = (size_t)s.cam.w * s.cam.h, n = s.logits.size();
    feet.resize(n), normals.resize(n), rgb.resize(3 * px), trans.resize(px), median.resize(px), expected.resize(px), normal.resize(3 * px);
    const float black[3] = {.2f, .5f, .3f};
    timed("project", [&] { project(s.params(), s.cam, false, feet.data(), geometry ? normals.data() : nullptr, threads); });
    timed("bin", [&] { bin(feet.data(), n, s.cam, tiles, threads); });
    done.resize((size_t)tiles.nx * tiles.ny);
    Picture p{};
    p.rgb = rgb.data(), p.transmittance = trans.data(), p.done = done.data();
    if (geometry) p.depth_median = median.data(), p.depth_expected = expected.data(), p.normals = normal.data();
    timed("raster", [&] { raster(feet.data(), normals.data(), tiles, s.cam.w, s.cam.h, {black, false}, p, threads); });
  }
  void backward(const Scene& s, const std::vector<float>& target, bool geometry, int threads) {
    const size_t px = (size_t)s.cam.w * s.cam.h, n = s.logits.size();
    grad.assign(3 * px, 0), g_depth.assign(px, 1e-3f / px), g_normal.assign(3 * px, 1e-3f / px);
    LossFrame f{rgb.data(), target.data(), nullptr, {1, 1, 1}, {0, 0, 0}, s.cam.w, s.cam.h};
    timed("loss", [&] { loss = photometric_loss(f, .2f, grad.data(), threads).loss; });
    if (geometry) timed("normal loss", [&] {
      loss += normal_loss(s.cam, expected.data(), trans.data(), normal.data(), .05f, g_depth.data(), g_normal.data(), threads);
    });
    PictureGradient I{rgb.data(), trans.data(), expected.data(), normal.data(), grad.data(), nullptr,
                      geometry ? g_depth.data() : nullptr, geometry ? g_normal.data() : nullptr, done.data()};
    rows.resize(tiles.entries.size() * (geometry ? kRowGeo : kRow));
    timed("raster back", [&] { raster_backward(feet.data(), normals.data(), tiles, s.cam.w, s.cam.h, I, rows.data(), threads); });
    const size_t sizes[6] = {3 * n, 4 * n, 3 * n, n, 12 * n, n};
    for (int k = 0; k < 6; k++) g[k].resize(sizes[k]);
    Gradients G{g[0].data(), g[1].data(), g[2].data(), g[3].data(), g[4].data(), g[5].data()};
    timed("project back", [&] { project_backward(s.params(), s.cam, false, feet.data(), tiles.offsets.data(), rows.data(), geometry, G, threads); });
  }
};

double length(const std::vector<float>& v) {
  double s = 0;
  for (float x : v) s += (double)x * x;
  return std::sqrt(s);
}

}  // namespace

int main(int argc, char** argv) {
  auto argument = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  const size_t n = argument(1, 3000);
  const int w = argument(2, 120), h = argument(3, 90), threads = argument(4, 1), repeats = argument(5, 1), size = argument(6, 3);
  Scene s = make(n, w, h, size), t = make(n, w, h, size);
  Run run, other;
  other.forward(t, false, threads);
  bool ok = true;
  for (bool geometry : {false, true}) {
    spent.clear();
    for (int i = 0; i < repeats; i++) run.forward(s, geometry, threads), run.backward(s, other.rgb, geometry, threads);
    std::printf("%s: entries %zu loss %.4f rgb %.3f transmittance %.3f", geometry ? "surface" : "colour", run.tiles.entries.size(), run.loss,
                length(run.rgb), length(run.trans));
    if (geometry) std::printf(" depth %.2f %.2f normals %.3f", length(run.expected), length(run.median), length(run.normal));
    const char* names[6] = {"means", "quats", "log_scales", "logits", "sh", "screen"};
    for (int k = 0; k < 6; k++) {
      std::printf(" %s %.3e", names[k], length(run.g[k]));
      ok = ok && std::isfinite(length(run.g[k])) && length(run.g[k]) > 0;
    }
    std::printf("\n ");
    for (auto& [name, ms] : spent) std::printf(" %s %.2f ms", name.c_str(), ms / repeats);
    std::printf("\n");
    // Threads must not change a bit.
    Run again;
    again.forward(s, geometry, 3), again.backward(s, other.rgb, geometry, 3);
    for (int k = 0; k < 6; k++) ok = ok && again.g[k] == run.g[k];
    ok = ok && again.rgb == run.rgb && again.trans == run.trans;
  }
  // The loss falls along its own derivative as predicted. SH colours: the loss is smooth in them.
  run.forward(s, false, threads), run.backward(s, other.rgb, false, threads);
  const double slope = length(run.g[4]) * length(run.g[4]), step = 2e-3 * run.loss / slope;
  std::vector<float> sh = s.sh, g_sh = run.g[4];
  double ends[2];
  for (int k = 0; k < 2; k++) {
    for (size_t i = 0; i < sh.size(); i++) s.sh[i] = sh[i] + (float)((k ? -1 : 1) * step) * g_sh[i];
    run.forward(s, false, threads), run.backward(s, other.rgb, false, threads);
    ends[k] = run.loss;
  }
  const double ratio = (ends[0] - ends[1]) / (2 * step * slope);
  std::printf("derivative: measured over predicted %.4f\n", ratio);
  ok = ok && std::fabs(ratio - 1) < .03;
  // Adam and the noise.
  std::vector<float> m(3 * n, 0.f), v(3 * n, 0.f), before = s.means, rates = {.01f, .01f, .01f};
  std::vector<uint8_t> visible(n, 1);
  adam(s.means.data(), run.g[0].data(), m.data(), v.data(), rates.data(), 3, n, visible.data(), .9f, .999f, 10.f, 1000.f, 1e-15f, threads);
  jitter(s.means.data(), s.quats.data(), s.log_scales.data(), s.logits.data(), visible.data(), n, .01f, 5, threads);
  ok = ok && s.means != before && std::isfinite(length(s.means));
  std::printf("after a step: means %.4f\n%s\n", length(s.means), ok ? "OK" : "FAILED");
  return ok ? 0 : 1;
}
