// Light: shadow map with percentage-closer soft shadows, contact map, and the shading of one point.
#pragma once
#include "mesh_world.hpp"

namespace p2s {

// In a light's axes [m]: along u and v, and along dir, away from it.
struct LightBox {
    float x0, x1, y0, y1, t0, t1;
};

struct ShadowMap {
    static constexpr int kLevels = 6;
    int n;                   // n × n texels
    float texel, per_m;      // width of a texel [m], and texels a metre
    Vec3 u, v, dir, centre;  // light axes and the world point in the middle of the map
    float softness;          // tangent of the light's half angle
    std::vector<float> depth;   // along dir from centre [m]; 1e30 where nothing
    std::vector<float> coarse;  // least depth in the neighbourhood of a block, as far as any search reaches
    struct Range {
        float least[kLevels], most[kLevels];  // [k]: depth within k + 1 finer blocks
    };
    std::vector<Range> near;
    int levels;
    int nc, nf, reach;  // blocks and finer blocks a side; widest search [texels]
    void build_least();
    // Share of the key light that reaches p: 0–1. `bias` [m].
    float visibility(Vec3 p, float bias) const;
    // What all points of a box see of the light; `mixed` where that isn't plain.
    enum class Over { lit, dark, mixed };
    Over over(const LightBox& box, float bias) const;
};

struct ContactMap {
    int w, h;
    float x0, y0, cell, height;
    std::vector<float> occlusion;  // 0–1 on the support
    float at(float x, float y) const;  // bilinear, 0 outside
    // Share of the ambient light left at p with normal n.
    float factor(Vec3 p, Vec3 n) const;
    // False only where `factor` is 1 for every upward-facing point of the world box.
    bool may_touch(float a0, float a1, float b0, float b1, float z0, float z1) const;
};

struct Light {
    Vec3 direction, key;
    float sh[9][4];  // red, green, blue, 0
};

Vec3 irradiance(const Light& light, Vec3 n);

}  // namespace p2s
