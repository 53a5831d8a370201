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
    std::vector<float> coarse;  // least depth in the neighbourhood of a block of texels
    int nc, reach;  // blocks a side; widest search [texels]
    void build_coarse();
    // Share of the key light that reaches p: 0–1. `bias` [m].
    float visibility(Vec3 p, float bias) const;
};

struct ContactMap {
    int w, h;
    float x0, y0, cell, height;
    std::vector<float> occlusion;  // 0–1 on the support
    float at(float x, float y) const;  // bilinear, 0 outside
    // Share of the ambient light left at p with normal n.
    float factor(Vec3 p, Vec3 n) const;
};

struct Light {
    Vec3 direction, key;
    float sh[9][3];
};

Vec3 irradiance(const Light& light, Vec3 n);

}  // namespace p2s
