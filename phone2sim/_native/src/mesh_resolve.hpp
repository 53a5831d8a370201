// From visibility to a picture: all pixels of the meshes.
#pragma once
#include "mesh_pixel.hpp"

namespace p2s {

struct Picture {  // width × height, all row major
    float* rgb;   // 3, linear, premultiplied by coverage
    float* coverage;
    float* depth;
    int32_t* part;
    float* normal;  // 3, world
};

void resolve(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
             const Light& light, const Shade& shade, int threads, Picture out);

}  // namespace p2s
