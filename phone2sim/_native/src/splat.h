// Gaussian splatting on the CPU: shared types. Kerbl et al. 2023; EWA projection after Zwicker et al. 2001.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace p2s {

// Eight lanes through the vector extensions of GCC and Clang: AVX2 where there is one, pairs of SSE or NEON elsewhere.
typedef float v8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));
static inline v8 splat8(float x) { return v8{x, x, x, x, x, x, x, x}; }
static inline v8 load8(const float* p) { v8 r; std::memcpy(&r, p, 32); return r; }
static inline void store8(float* p, v8 a) { std::memcpy(p, &a, 32); }
static inline v8 where8(i8 mask, v8 a) { return (v8)((i8)a & mask); }
static inline v8 min8(v8 a, v8 b) { return a < b ? a : b; }

constexpr float kBlur = 0.3f;             // variance added to every footprint [px²]
constexpr float kAlphaMin = 1.f / 255.f;  // smaller contributions are dropped
constexpr float kAlphaMax = 0.999f;
constexpr float kLogAlphaMin = 5.541263545f;  // ln 255
constexpr float kOpaque = 1e-4f;              // rows of a tile this dark to all that follows are finished
constexpr int kTileW = 32, kTileH = 16;       // [px]

struct Camera {
  float R[3][3], t[3];  // p_camera = R p_world + t
  float centre[3];      // in the world
  float fx, fy, cx, cy;
  float near;
  int w, h;
};

// Parameters of n Gaussians as they are optimised: log scales, logit opacities, unnormalised quaternions wxyz.
struct Params {
  const float *means, *quats, *log_scales, *logits, *sh;  // (n,3) (n,4) (n,3) (n) (n,k,3)
  size_t n;
  int k;       // coefficients stored
  int degree;  // degree evaluated
};

struct Gradients {
  float *means, *quats, *log_scales, *logits, *sh, *screen;  // screen (n): |d loss / d centre| in half image sizes
};

// One projected Gaussian: alpha = exp(-(a dx² + b dx dy + c dy² + nlo)), dropped beyond ln 255.
struct alignas(64) Footprint {
  float u, v, a, b, c, nlo;  // centre [px], conic, -ln(opacity)
  float rgb[3];
  float z, zu, zv;     // depth [m] at the centre and its slope along the surface of highest density [m/px]
  float ey;            // half height of the visible ellipse [px]
  float opacity;
  int16_t tx0, tx1, ty0, ty1;  // tiles touched; empty when tx0 == tx1
};
static_assert(sizeof(Footprint) == 64);

constexpr int kRow = 10;  // gradient row: r g b, opacity, u v, a b c, (spare)

void project(const Params&, const Camera&, bool antialiased, Footprint*, int threads);
void project_backward(const Params&, const Camera&, bool antialiased, const Footprint*, const int64_t* offsets,
                      const float* rows, const Gradients&, int threads);

struct Tiles {
  int nx = 0, ny = 0;
  std::vector<int64_t> start;    // (nx ny + 1) first entry of each tile
  std::vector<int64_t> offsets;  // (n + 1) first gradient row of each Gaussian
  struct Entry { int32_t gaussian, row; };
  std::vector<Entry> entries;  // front to back within a tile
  std::vector<uint32_t> keys, keys2;
  std::vector<int32_t> order, order2;
};
void bin(const Footprint*, size_t n, const Camera&, Tiles&, int threads);

struct Picture {
  float *rgb, *transmittance;           // (3,h,w) planar, (h,w)
  float *depth_median, *depth_expected;  // (h,w) or null
  int32_t* done;                        // (tiles) entries of each tile that were composed
};
void raster(const Footprint*, const Tiles&, int w, int h, const float* background, const Picture&, int threads);
void raster_backward(const Footprint*, const Tiles&, int w, int h, const float* rgb, const float* grad_rgb,
                     const int32_t* done, float* rows, int threads);

struct LossFrame {  // planar (3,h,w)
  const float *image, *target, *weight;  // weight (h,w) or null
  float gain[3], bias[3];                // compared picture = gain · image + bias
  int w, h;
};
struct LossResult { double loss, l1, ssim; float gain[3], bias[3]; };
LossResult photometric_loss(const LossFrame&, float ssim_share, float* grad, int threads);

void adam(float* p, const float* g, float* m, float* v, const float* rates, int columns, size_t n, const uint8_t* visible,
          float beta1, float beta2, float correct1, float correct2, float eps, int threads);
void regularise(const float* log_scales, const float* logits, float* g_log_scales, float* g_logits, const uint8_t* visible, size_t n,
                float opacity, float flat, int threads);
int resolve_threads(int wanted);

}  // namespace p2s
