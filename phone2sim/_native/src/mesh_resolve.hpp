// From visibility to pictures: shading once per face and pixel, compositing over a background, the sensor.
#pragma once
#include "mesh_shade.hpp"

namespace p2s {

struct View {
    double K[9];
    double T_world_camera[12];  // 3×4 row major
    int width, height, supersample;
};

// Of sample coordinates relative to the target's centre, supersampled; poses are 4×4 row major.
Projection perspective(const World& world, const View& view, const double* T_world_part, float near_m);

struct Picture {  // width × height, all row major
    float* rgb;   // 3, linear, premultiplied by coverage
    float* coverage;
    float* depth;
    int32_t* part;
    float* normal;  // 3, world
};

struct Pixel {
    Vec3 rgb;  // linear, premultiplied by coverage
    float coverage, depth;
    int32_t part;  // -1: none covers most of the pixel
    Vec3 normal;
};

// What stands in the light: shadow and contact maps of what stands still and of what moves, null for none.
struct Shade {
    const ShadowMap* shadow[2];
    const ContactMap* contact[2];
};

// Shades what a visibility buffer shows.
class PixelShader {
public:
    PixelShader(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
                const Light& light, const Shade& shade);
    Pixel at(int x, int y) const;

private:
    Vec3 shade(const FaceSetup& s, float X, float Y, float& z, Vec3& n_world) const;
    Vec3 texture_at(const FaceSetup& s, const Part& part, float W, const int32_t* t, float u, float v) const;
    bool continues(int a, float key_a, int b, float key_b) const;

    const World& world;
    const View& view;
    const Visibility& seen;
    const double* T_world_part;
    const float* gain;
    const Light& light;
    const Shade maps;
    double fx, fy, cx, cy, skew;  // of sample coordinates relative to the target's centre
};

void resolve(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
             const Light& light, const Shade& shade, int threads, Picture out);

// out = background × cast shadow × contact, under the foreground. `depth` is the background's camera z, inf where none.
// Pixels between others whose light differs by less than `step` take their mean; with 0 none does.
void composite(const View& view, const float* background, const float* depth, const float* fg_rgb, const float* coverage,
               const Shade& shade, float strength, float bias, float step, int threads, float* out);

// 0–255 sRGB of a linear value, by the square root of the value (8192 steps): the table, and its size.
constexpr int kEncode = 8192;
const float* encode_table();

// n values of 0–255 to bytes, from place `first` of a picture, with noise of deviation `noise` (0–1 scale) drawn from `seed` and the place.
void to_bytes(const float* from, size_t n, size_t first, float noise, uint64_t seed, uint8_t* out);

// Linear picture → 8-bit sRGB: blur, gain, encoding, then additive noise of deviation `noise` (0–1 scale).
void sense(const float* rgb, int w, int h, const float gain[3], float blur_px, float noise, uint64_t seed, uint8_t* out);

}  // namespace p2s
