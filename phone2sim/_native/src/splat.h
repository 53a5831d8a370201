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
};
static_assert(sizeof(Footprint) == 64);

// Tiles that a Gaussian touches; beside the footprints, most of which nobody looks at. None when tx0 == tx1.
struct Range {
  int16_t tx0, tx1, ty0, ty1;
};

constexpr int kRow = 9;     // gradient row: r g b, opacity, u v, a b c
constexpr int kRowGeo = 15;  // and z, zu zv, normal

// Surface quantities of each Gaussian beside its footprint: the shortest axis in the world, turned to face the camera.
struct Normal { float x, y, z; };

// Footprints of those that are in the picture; a range for each.
void project(const Params&, const Camera&, bool antialiased, Footprint*, Range*, Normal*, int threads);
void project_backward(const Params&, const Camera&, bool antialiased, const Footprint*, const int64_t* offsets,
                      const float* rows, bool geometry, const Gradients&, int threads);

struct Tiles {
  int nx = 0, ny = 0;
  std::vector<int64_t> start;    // (nx ny + 1) first entry of each tile
  std::vector<int64_t> offsets;  // (n + 1) first gradient row of each Gaussian
  struct Entry { int32_t gaussian, row; };
  std::vector<Entry> entries;  // front to back within a tile
  std::vector<uint32_t> keys, keys2;
  std::vector<int32_t> order, order2;
  size_t bytes() const {
    return 8 * (start.capacity() + offsets.capacity() + entries.capacity()) +
           4 * (keys.capacity() + keys2.capacity() + order.capacity() + order2.capacity());
  }
};
// Drops those that are wholly farther than `limit` (h,w).
void hide(const Footprint*, Range*, size_t n, const Camera&, const float* limit);
void bin(const Footprint*, const Range*, size_t n, const Camera&, Tiles&, int threads);

struct Picture {
  float *rgb, *transmittance;           // (3,h,w) planar, (h,w)
  float *depth_median, *depth_expected;  // (h,w) or null
  float* depth_mode;                     // (h,w) or null; needs the other depths too
  float* normals;                        // (3,h,w) planar or null; needs the depths too
  int32_t* done;                         // (tiles) entries of each tile that were composed
  const float* limit;                    // (h,w) depth beyond which nothing is drawn, or null; then of depths the median alone, and no normals
};
struct Background { const float* value; bool per_pixel; };  // (3) or (3,h,w)
void raster(const Footprint*, const Normal*, const Tiles&, int w, int h, Background, const Picture&, int threads);

// The last forward pass and derivatives by it; those of transmittance, depth (expected) and normals may be null, and with
// depth or normals both of the pictures must be there and rows are kRowGeo long.
struct PictureGradient {
  const float *rgb, *transmittance, *depth, *normals;
  const float *g_rgb, *g_transmittance, *g_depth, *g_normals;
  const int32_t* done;
  bool geometry() const { return g_depth || g_normals; }
};
void raster_backward(const Footprint*, const Normal*, const Tiles&, int w, int h, const PictureGradient&, float* rows, int threads);

struct LossFrame {  // planar (3,h,w)
  const float *image, *target, *weight;  // weight (h,w) or null
  float gain[3], bias[3];                // compared picture = gain · image + bias
  int w, h;
};
struct LossResult { double loss, l1, ssim; float gain[3], bias[3]; };
LossResult photometric_loss(const LossFrame&, float ssim_share, float* grad, int threads);

// weight · mean(alpha - N · n(depth)) over inner pixels that are more than half opaque with their four neighbours, alpha a
// constant; adds its derivatives.
double normal_loss(const Camera&, const float* depth, const float* transmittance, const float* normals, float weight, float* g_depth,
                   float* g_normals, int threads);

void adam(float* p, const float* g, float* m, float* v, const float* rates, int columns, size_t n, const uint8_t* visible,
          float beta1, float beta2, float correct1, float correct2, float eps, int threads);
void regularise(const float* log_scales, const float* logits, float* g_log_scales, float* g_logits, const uint8_t* visible, size_t n,
                float opacity, float scale, float flat, int threads);
void jitter(float* means, const float* quats, const float* log_scales, const float* logits, const uint8_t* visible, size_t n, float size,
            uint64_t seed, int threads);
int resolve_threads(int wanted);

}  // namespace p2s
