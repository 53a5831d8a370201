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

// Shades what a visibility buffer shows. Light reaches a point past both shadow maps, where there are two.
class PixelShader {
public:
    PixelShader(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
                const Light& light, const ShadowMap* shadow, const ShadowMap* second, const ContactMap* contact);
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
    const ShadowMap *shadow, *second;
    const ContactMap* contact;
    double fx, fy, cx, cy, skew;  // of sample coordinates relative to the target's centre
};

void resolve(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
             const Light& light, const ShadowMap* shadow, const ContactMap* contact, int threads, Picture out);

// out = background × cast shadow × contact, under the foreground. `depth` is the background's camera z, inf where none.
void composite(const View& view, const float* background, const float* depth, const float* fg_rgb, const float* coverage,
               const ShadowMap* shadow, const ContactMap* contact, float strength, float bias, int threads, float* out);

// 0–255 sRGB of a linear value, by the square root of the value (8192 steps): the table, and its size.
constexpr int kEncode = 8192;
const float* encode_table();

// splitmix64 (Steele et al. 2014).
uint64_t mix(uint64_t z);

// Linear picture → 8-bit sRGB: blur, gain, encoding, then additive noise of deviation `noise` (0–1 scale).
void sense(const float* rgb, int w, int h, const float gain[3], float blur_px, float noise, uint64_t seed, uint8_t* out);

}  // namespace p2s
