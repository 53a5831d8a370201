// From visibility to pictures: all pixels of the meshes, and compositing them over a background.
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

// out = background × cast shadow × contact, under the foreground. `depth` is the background's camera z, inf where none.
void composite(const View& view, const float* background, const float* depth, const float* fg_rgb, const float* coverage,
               const Shade& shade, float strength, float bias, int threads, float* out);

}  // namespace p2s
