// Projection of Gaussians to screen ellipses and its derivative.
#include <algorithm>
#include <cmath>

#include "splat.h"

namespace p2s {
namespace {

constexpr float C0 = 0.28209479177387814f, C1 = 0.4886025119029199f;
constexpr float C2[5] = {1.0925484305920792f, -1.0925484305920792f, 0.31539156525252005f, -1.0925484305920792f, 0.5462742152960396f};
constexpr float C3[7] = {-0.5900435899266435f, 2.890611442640554f, -0.4570457994644658f, 0.3731763325901154f,
                         -0.4570457994644658f, 1.445305721320277f, -0.5900435899266435f};

// Real spherical harmonics at a unit direction, first `degree` bands.
void sh_basis(int degree, float x, float y, float z, float* out) {
  out[0] = C0;
  if (degree < 1) return;
  out[1] = -C1 * y, out[2] = C1 * z, out[3] = -C1 * x;
  if (degree < 2) return;
  float xx = x * x, yy = y * y, zz = z * z;
  out[4] = C2[0] * x * y, out[5] = C2[1] * y * z, out[6] = C2[2] * (2 * zz - xx - yy);
  out[7] = C2[3] * x * z, out[8] = C2[4] * (xx - yy);
  if (degree < 3) return;
  out[9] = C3[0] * y * (3 * xx - yy), out[10] = C3[1] * x * y * z, out[11] = C3[2] * y * (4 * zz - xx - yy);
  out[12] = C3[3] * z * (2 * zz - 3 * xx - 3 * yy), out[13] = C3[4] * x * (4 * zz - xx - yy);
  out[14] = C3[5] * z * (xx - yy), out[15] = C3[6] * x * (xx - 3 * yy);
}

// d (sum_k w_k basis_k) / d direction, the direction taken as free.
void sh_direction_gradient(int degree, float x, float y, float z, const float* w, float* g) {
  g[0] = g[1] = g[2] = 0;
  if (degree < 1) return;
  g[0] = -C1 * w[3], g[1] = -C1 * w[1], g[2] = C1 * w[2];
  if (degree < 2) return;
  g[0] += C2[0] * y * w[4] - 2 * C2[2] * x * w[6] + C2[3] * z * w[7] + 2 * C2[4] * x * w[8];
  g[1] += C2[0] * x * w[4] + C2[1] * z * w[5] - 2 * C2[2] * y * w[6] - 2 * C2[4] * y * w[8];
  g[2] += C2[1] * y * w[5] + 4 * C2[2] * z * w[6] + C2[3] * x * w[7];
  if (degree < 3) return;
  float xx = x * x, yy = y * y, zz = z * z;
  g[0] += C3[0] * 6 * x * y * w[9] + C3[1] * y * z * w[10] - C3[2] * 2 * x * y * w[11] - C3[3] * 6 * x * z * w[12] +
          C3[4] * (4 * zz - 3 * xx - yy) * w[13] + C3[5] * 2 * x * z * w[14] + C3[6] * 3 * (xx - yy) * w[15];
  g[1] += C3[0] * 3 * (xx - yy) * w[9] + C3[1] * x * z * w[10] + C3[2] * (4 * zz - xx - 3 * yy) * w[11] -
          C3[3] * 6 * y * z * w[12] - C3[4] * 2 * x * y * w[13] - C3[5] * 2 * y * z * w[14] - C3[6] * 6 * x * y * w[15];
  g[2] += C3[1] * x * y * w[10] + C3[2] * 8 * y * z * w[11] + C3[3] * (6 * zz - 3 * xx - 3 * yy) * w[12] +
          C3[4] * 8 * x * z * w[13] + C3[5] * (xx - yy) * w[14];
}

struct Geometry {
  float x, y, z, rz;       // camera frame
  float xc, yc;            // x/z, y/z held near the field of view
  bool xin, yin;           // not held
  float q[4], rq;          // unit quaternion, 1 / |q|
  float s[3];              // scales
  float V[3][3], E[2][3];  // camera from Gaussian axes; J V
  float j00, j02, j11, j12;
  float A, B, C;           // screen covariance without blur
};

// Tells Gaussians that surely stay off the picture, from a bound on their ellipse: a round one of the longest axis.
class Outside {
 public:
  Outside(const Params& P, const Camera& cam) : P(P), cam(cam) {
    // Ratios are held at 0.15 pictures beyond the edge (`geometry`): no ellipse is drawn out further than there.
    const float tx = 1.15f * std::max(cam.w - cam.cx, cam.cx) / cam.fx + 0.15f * cam.w / cam.fx;
    const float ty = 1.15f * std::max(cam.h - cam.cy, cam.cy) / cam.fy + 0.15f * cam.h / cam.fy;
    const float k = std::sqrt(2 * kLogAlphaMin * 1.01f);
    kx = k * cam.fx * std::sqrt(1 + tx * tx), ky = k * cam.fy * std::sqrt(1 + ty * ty), blur = k * std::sqrt(kBlur) + 1;
  }
  bool operator()(size_t i) const {
    const float* m = P.means + 3 * i;
    const auto& R = cam.R;
    const float z = R[2][0] * m[0] + R[2][1] * m[1] + R[2][2] * m[2] + cam.t[2];
    if (!(z > cam.near)) return true;
    const float x = R[0][0] * m[0] + R[0][1] * m[1] + R[0][2] * m[2] + cam.t[0];
    const float y = R[1][0] * m[0] + R[1][1] * m[1] + R[1][2] * m[2] + cam.t[1];
    const float* l = P.log_scales + 3 * i;
    const float s = std::exp(std::max({l[0], l[1], l[2]})), u = cam.fx * x + cam.cx * z, v = cam.fy * y + cam.cy * z;  // times depth
    const float ex = kx * s + blur * z, ey = ky * s + blur * z;
    return u + ex < 0 || u - ex > cam.w * z || v + ey < 0 || v - ey > cam.h * z;
  }

 private:
  const Params& P;
  const Camera& cam;
  float kx, ky, blur;
};

bool geometry(const Params& P, const Camera& cam, size_t i, Geometry& g) {
  const float* m = P.means + 3 * i;
  const auto& R = cam.R;
  g.z = R[2][0] * m[0] + R[2][1] * m[1] + R[2][2] * m[2] + cam.t[2];
  if (!(g.z > cam.near)) return false;
  g.x = R[0][0] * m[0] + R[0][1] * m[1] + R[0][2] * m[2] + cam.t[0];
  g.y = R[1][0] * m[0] + R[1][1] * m[1] + R[1][2] * m[2] + cam.t[1];
  g.rz = 1.f / g.z;
  const float* q = P.quats + 4 * i;
  g.rq = 1.f / std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3] + 1e-30f);
  float a = g.q[0] = q[0] * g.rq, b = g.q[1] = q[1] * g.rq, c = g.q[2] = q[2] * g.rq, d = g.q[3] = q[3] * g.rq;
  const float r[3][3] = {{1 - 2 * (c * c + d * d), 2 * (b * c - a * d), 2 * (b * d + a * c)},
                         {2 * (b * c + a * d), 1 - 2 * (b * b + d * d), 2 * (c * d - a * b)},
                         {2 * (b * d - a * c), 2 * (c * d + a * b), 1 - 2 * (b * b + c * c)}};
  for (int k = 0; k < 3; k++) g.s[k] = std::exp(P.log_scales[3 * i + k]);
  float lx0 = -(0.15f * cam.w + cam.cx) / cam.fx, lx1 = (1.15f * cam.w - cam.cx) / cam.fx;
  float ly0 = -(0.15f * cam.h + cam.cy) / cam.fy, ly1 = (1.15f * cam.h - cam.cy) / cam.fy;
  float xr = g.x * g.rz, yr = g.y * g.rz;
  g.xc = std::min(lx1, std::max(lx0, xr)), g.yc = std::min(ly1, std::max(ly0, yr));
  g.xin = g.xc == xr, g.yin = g.yc == yr;
  g.j00 = cam.fx * g.rz, g.j02 = -cam.fx * g.xc * g.rz, g.j11 = cam.fy * g.rz, g.j12 = -cam.fy * g.yc * g.rz;
  g.A = g.B = g.C = 0;
  for (int k = 0; k < 3; k++) {
    for (int j = 0; j < 3; j++) g.V[j][k] = R[j][0] * r[0][k] + R[j][1] * r[1][k] + R[j][2] * r[2][k];
    g.E[0][k] = g.j00 * g.V[0][k] + g.j02 * g.V[2][k];
    g.E[1][k] = g.j11 * g.V[1][k] + g.j12 * g.V[2][k];
    float e0 = g.E[0][k] * g.s[k], e1 = g.E[1][k] * g.s[k];
    g.A += e0 * e0, g.B += e0 * e1, g.C += e1 * e1;
  }
  return true;
}

// Share of opacity kept when a footprint smaller than a pixel is widened (Yu et al. 2024, eq. 9).
float compensation(const Geometry& g, float det) {
  return std::sqrt(std::max(g.A * g.C - g.B * g.B, 1e-6f * det) / det);
}

void view_direction(const Params& P, const Camera& cam, size_t i, float* d, float& rd) {
  float x = P.means[3 * i] - cam.centre[0], y = P.means[3 * i + 1] - cam.centre[1], z = P.means[3 * i + 2] - cam.centre[2];
  rd = 1.f / std::sqrt(x * x + y * y + z * z + 1e-30f);
  d[0] = x * rd, d[1] = y * rd, d[2] = z * rd;
}

}  // namespace

namespace {

// Slope of depth along the surface of highest density [m/px]: the conditional mean of depth given the pixel.
struct Slope {
  float zu0, zv0;  // covariance of depth with u and v
  float u, v;      // slope
  float held;      // 1, or less where the depth would leave the Gaussian
};

Slope depth_slope(const Geometry& g, float A, float C, float id, float ex, float ey) {
  Slope o{};
  float longest = std::max({g.s[0], g.s[1], g.s[2]});
  for (int j = 0; j < 3; j++) {
    float e = g.V[2][j] * g.s[j] * g.s[j];
    o.zu0 += e * g.E[0][j], o.zv0 += e * g.E[1][j];
  }
  o.u = (C * o.zu0 - g.B * o.zv0) * id, o.v = (A * o.zv0 - g.B * o.zu0) * id;
  float reach = std::fabs(o.u) * ex + std::fabs(o.v) * ey, limit = 3 * longest;
  o.held = reach > limit ? limit / reach : 1.f;
  return o;
}

int shortest(const float* s) { return s[0] < s[1] ? (s[0] < s[2] ? 0 : 2) : (s[1] < s[2] ? 1 : 2); }

// +1 or -1: turns axis k of the Gaussian towards the camera.
float facing(const Geometry& g, int k) { return g.V[0][k] * g.x + g.V[1][k] * g.y + g.V[2][k] * g.z > 0 ? -1.f : 1.f; }

}  // namespace

void project(const Params& P, const Camera& cam, bool antialiased, Footprint* out, Range* ranges, Normal* normals, int threads) {
  const int bands = (P.degree + 1) * (P.degree + 1);
  const int nx = (cam.w + kTileW - 1) / kTileW, ny = (cam.h + kTileH - 1) / kTileH;
  const Outside outside(P, cam);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (ptrdiff_t i = 0; i < (ptrdiff_t)P.n; i++) {
    Range& range = ranges[i];
    range = {0, 0, 0, 0};
    Geometry g;
    if (outside(i) || !geometry(P, cam, i, g)) continue;
    float A = g.A + kBlur, C = g.C + kBlur, det = A * C - g.B * g.B;
    if (!(det > 0)) continue;
    float opacity = 1.f / (1.f + std::exp(-P.logits[i]));
    if (antialiased) opacity *= compensation(g, det);
    if (!(opacity > kAlphaMin)) continue;
    float k = 2 * (kLogAlphaMin + std::log(opacity));
    float ex = std::sqrt(k * A), ey = std::sqrt(k * C);
    float u = cam.fx * g.x * g.rz + cam.cx, v = cam.fy * g.y * g.rz + cam.cy;
    if (!(u + ex > 0 && u - ex < cam.w && v + ey > 0 && v - ey < cam.h)) continue;
    range.tx0 = (int16_t)std::max(0.f, std::floor((u - ex) / kTileW));
    range.tx1 = (int16_t)std::min((float)nx, std::floor((u + ex) / kTileW) + 1);
    range.ty0 = (int16_t)std::max(0.f, std::floor((v - ey) / kTileH));
    range.ty1 = (int16_t)std::min((float)ny, std::floor((v + ey) / kTileH) + 1);
    Footprint& f = out[i];
    float id = 1.f / det;
    f.u = u, f.v = v, f.a = .5f * C * id, f.b = -g.B * id, f.c = .5f * A * id;
    f.opacity = opacity, f.nlo = -std::log(opacity), f.ey = ey, f.z = g.z;
    Slope slope = depth_slope(g, A, C, id, ex, ey);
    f.zu = slope.u * slope.held, f.zv = slope.v * slope.held;
    if (normals) {
      int k = shortest(g.s);
      float s = facing(g, k);
      const auto& R = cam.R;
      normals[i] = {s * (R[0][0] * g.V[0][k] + R[1][0] * g.V[1][k] + R[2][0] * g.V[2][k]),
                    s * (R[0][1] * g.V[0][k] + R[1][1] * g.V[1][k] + R[2][1] * g.V[2][k]),
                    s * (R[0][2] * g.V[0][k] + R[1][2] * g.V[1][k] + R[2][2] * g.V[2][k])};
    }
    float d[3], rd, basis[16];
    view_direction(P, cam, i, d, rd);
    sh_basis(P.degree, d[0], d[1], d[2], basis);
    for (int c = 0; c < 3; c++) {
      float col = 0.5f;
      for (int b = 0; b < bands; b++) col += basis[b] * P.sh[(i * P.k + b) * 3 + c];
      f.rgb[c] = std::max(0.f, col);
    }
  }
}

void project_backward(const Params& P, const Camera& cam, bool antialiased, const Footprint* feet, const int64_t* offsets,
                      const float* rows, bool geometry, const Gradients& G, int threads) {
  const int bands = (P.degree + 1) * (P.degree + 1);
  const int width = geometry ? kRowGeo : kRow;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (ptrdiff_t i = 0; i < (ptrdiff_t)P.n; i++) {
    float *gm = G.means + 3 * i, *gq = G.quats + 4 * i, *gs = G.log_scales + 3 * i, *gsh = G.sh + (size_t)i * P.k * 3;
    if (offsets[i + 1] == offsets[i]) {
      std::fill(gm, gm + 3, 0.f), std::fill(gq, gq + 4, 0.f), std::fill(gs, gs + 3, 0.f), std::fill(gsh, gsh + 3 * P.k, 0.f);
      G.logits[i] = G.screen[i] = 0;
      continue;
    }
    float r[kRowGeo] = {};
    for (int64_t k = offsets[i]; k < offsets[i + 1]; k++)
      for (int j = 0; j < width; j++) r[j] += rows[k * width + j];
    const Footprint& f = feet[i];
    Geometry g;
    p2s::geometry(P, cam, i, g);
    float gu = r[4], gv = r[5];
    G.screen[i] = .5f * std::hypot(gu * cam.w, gv * cam.h);

    // Colour and its dependence on the direction of view.
    float d[3], rd, basis[16], weight[16] = {}, gd[3];
    view_direction(P, cam, i, d, rd);
    sh_basis(P.degree, d[0], d[1], d[2], basis);
    for (int c = 0; c < 3; c++) {
      float gc = f.rgb[c] > 0 ? r[c] : 0;
      for (int b = 0; b < bands; b++) gsh[3 * b + c] = basis[b] * gc, weight[b] += gc * P.sh[(i * P.k + b) * 3 + c];
      for (int b = bands; b < P.k; b++) gsh[3 * b + c] = 0;
    }
    sh_direction_gradient(P.degree, d[0], d[1], d[2], weight, gd);
    float along = gd[0] * d[0] + gd[1] * d[1] + gd[2] * d[2];
    for (int k = 0; k < 3; k++) gm[k] = (gd[k] - along * d[k]) * rd;

    // Conic → covariance: d cov = -M⁻¹ (d conic) M⁻¹ with the conic ((2a, b), (b, 2c)).
    float A = 2 * f.a, B = f.b, C = 2 * f.c, gA = r[6], gB = .5f * r[7], gC = r[8];
    float m00 = A * gA + B * gB, m01 = A * gB + B * gC, m10 = B * gA + C * gB, m11 = B * gB + C * gC;
    float va = -(m00 * A + m01 * B), vb = -(m00 * B + m01 * C), vc = -(m10 * B + m11 * C);
    float sigmoid = 1.f / (1.f + std::exp(-P.logits[i])), go = r[3];
    if (antialiased) {
      float det = (g.A + kBlur) * (g.C + kBlur) - g.B * g.B, det0 = g.A * g.C - g.B * g.B, rho = compensation(g, det);
      if (det0 > 1e-6f * det) {
        float s = .5f * rho * go * sigmoid;
        va += s * (g.C / det0 - A), vb += s * (-g.B / det0 - B), vc += s * (g.A / det0 - C);
      }
      go *= rho;
    }
    G.logits[i] = go * sigmoid * (1 - sigmoid);

    // Depth slope → covariance, its covariance with depth.
    float gz0 = 0, gzu0 = 0, gzv0 = 0;
    if (geometry) {
      float Ab = g.A + kBlur, Cb = g.C + kBlur, id = 1.f / (Ab * Cb - g.B * g.B), k = 2 * (kLogAlphaMin - f.nlo);
      Slope slope = depth_slope(g, Ab, Cb, id, std::sqrt(k * Ab), std::sqrt(k * Cb));
      float su = r[10] * slope.held, sv = r[11] * slope.held, both = (su * slope.u + sv * slope.v) * id;
      gz0 = r[9], gzu0 = (su * Cb - sv * g.B) * id, gzv0 = (sv * Ab - su * g.B) * id;
      va += sv * slope.zv0 * id - both * Cb, vc += su * slope.zu0 * id - both * Ab;
      vb += both * g.B - .5f * (su * slope.zv0 + sv * slope.zu0) * id;
    }

    // Covariance E S² Eᵀ → scales, E = J V → J and V = W Rq.
    float F0[3], F1[3], w[3][3], h[3][3];
    for (int k = 0; k < 3; k++) {
      float p0 = 2 * (va * g.E[0][k] + vb * g.E[1][k]), p1 = 2 * (vb * g.E[0][k] + vc * g.E[1][k]), ss = g.s[k] * g.s[k];
      gs[k] = ss * (p0 * g.E[0][k] + p1 * g.E[1][k]);
      F0[k] = ss * p0, F1[k] = ss * p1;
      float z = 0;
      if (geometry) {
        z = ss * (gzu0 * g.E[0][k] + gzv0 * g.E[1][k]);
        gs[k] += 2 * g.V[2][k] * z;
        F0[k] += gzu0 * g.V[2][k] * ss, F1[k] += gzv0 * g.V[2][k] * ss;
      }
      w[0][k] = g.j00 * F0[k], w[1][k] = g.j11 * F1[k], w[2][k] = g.j02 * F0[k] + g.j12 * F1[k] + z;
      for (int j = 0; j < 3; j++) h[j][k] = cam.R[0][j] * w[0][k] + cam.R[1][j] * w[1][k] + cam.R[2][j] * w[2][k];
    }
    if (geometry) {
      int k = shortest(g.s);
      float s = facing(g, k);
      for (int j = 0; j < 3; j++) h[j][k] += s * r[12 + j];
    }
    float a = g.q[0], b = g.q[1], c = g.q[2], e = g.q[3];
    float n[4] = {2 * (b * (h[2][1] - h[1][2]) + c * (h[0][2] - h[2][0]) + e * (h[1][0] - h[0][1])),
                  2 * (-2 * b * (h[1][1] + h[2][2]) + c * (h[0][1] + h[1][0]) + e * (h[0][2] + h[2][0]) + a * (h[2][1] - h[1][2])),
                  2 * (b * (h[0][1] + h[1][0]) - 2 * c * (h[0][0] + h[2][2]) + e * (h[1][2] + h[2][1]) + a * (h[0][2] - h[2][0])),
                  2 * (b * (h[0][2] + h[2][0]) + c * (h[1][2] + h[2][1]) - 2 * e * (h[0][0] + h[1][1]) + a * (h[1][0] - h[0][1]))};
    float dot = n[0] * a + n[1] * b + n[2] * c + n[3] * e;
    for (int k = 0; k < 4; k++) gq[k] = (n[k] - dot * g.q[k]) * g.rq;

    float j00 = 0, j02 = 0, j11 = 0, j12 = 0;
    for (int k = 0; k < 3; k++) j00 += F0[k] * g.V[0][k], j02 += F0[k] * g.V[2][k], j11 += F1[k] * g.V[1][k], j12 += F1[k] * g.V[2][k];
    float fx = cam.fx, fy = cam.fy, rz = g.rz, rz2 = rz * rz;
    float gx = gu * fx * rz, gy = gv * fy * rz, gz = gz0 - (gu * fx * g.x + gv * fy * g.y) * rz2 - j00 * fx * rz2 - j11 * fy * rz2;
    if (g.xin) gx -= j02 * fx * rz2, gz += 2 * j02 * fx * g.x * rz2 * rz;
    else gz += j02 * fx * g.xc * rz2;
    if (g.yin) gy -= j12 * fy * rz2, gz += 2 * j12 * fy * g.y * rz2 * rz;
    else gz += j12 * fy * g.yc * rz2;
    for (int k = 0; k < 3; k++) gm[k] += cam.R[0][k] * gx + cam.R[1][k] * gy + cam.R[2][k] * gz;
  }
}

}  // namespace p2s
