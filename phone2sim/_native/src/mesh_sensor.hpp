// From linear colour to bytes: blur, gain, sRGB, noise.
#pragma once
#include <cstddef>
#include <cstdint>

namespace p2s {

// 0–255 sRGB of a linear value, by the square root of the value (8192 steps): the table, and its size.
constexpr int kEncode = 8192;
const float* encode_table();

// n values of 0–255 to bytes, from place `first` of a picture, with noise of deviation `noise` (0–1 scale) drawn from `seed` and the place.
void to_bytes(const float* from, size_t n, size_t first, float noise, uint64_t seed, uint8_t* out);

// Linear picture → 8-bit sRGB: blur, gain, encoding, then additive noise of deviation `noise` (0–1 scale).
void sense(const float* rgb, int w, int h, const float gain[3], float blur_px, float noise, uint64_t seed, uint8_t* out);

}  // namespace p2s
