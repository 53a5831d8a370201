// Light: shadow map with percentage-closer soft shadows, contact map, and the shading of one point.
#pragma once
#include "mesh_world.hpp"

namespace p2s {

struct ShadowMap {
    int n;                   // n × n texels
    float texel;             // [m]
    Vec3 u, v, dir, centre;  // light axes and the world point in the middle of the map
    float softness;          // tangent of the light's half angle
    std::vector<float> depth;   // along dir from centre [m]; 1e30 where nothing
    std::vector<float> coarse;  // least depth in the neighbourhood of a block, as far as any search reaches
    std::vector<std::vector<float>> least;  // [k]: within k + 1 finer blocks
    int nc, nf, reach;  // blocks and finer blocks a side; widest search [texels]
    void build_least();
    // Share of the key light that reaches p: 0–1. `bias` [m].
    float visibility(Vec3 p, float bias) const;
    // False only where every point of the box is lit: light coordinates [m] along u, v, and t1 the farthest along dir.
    bool may_shade(float x0, float x1, float y0, float y1, float t1) const;
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
