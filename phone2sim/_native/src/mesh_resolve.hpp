// From visibility to pictures: shading once per face and pixel, compositing over a background, the sensor.
#pragma once
#include "mesh_shade.hpp"

namespace p2s {

struct View {
    double K[9];
    double T_world_camera[12];  // 3×4 row major
    int width, height, supersample;
};

struct Picture {  // width × height, all row major
    float* rgb;   // 3, linear, premultiplied by coverage
    float* coverage;
    float* depth;
    int32_t* part;
    float* normal;  // 3, world
};

void resolve(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
             const Light& light, const ShadowMap* shadow, const ContactMap* contact, int threads, Picture out);

// out = background × cast shadow × contact, under the foreground. `depth` is the background's camera z, inf where none.
void composite(const View& view, const float* background, const float* depth, const float* fg_rgb, const float* coverage,
               const ShadowMap* shadow, const ContactMap* contact, float strength, float bias, int threads, float* out);

// Linear picture → 8-bit sRGB: blur, gain, encoding, then additive noise of deviation `noise` (0–1 scale).
void sense(const float* rgb, int w, int h, const float gain[3], float blur_px, float noise, uint64_t seed, uint8_t* out);

}  // namespace p2s
