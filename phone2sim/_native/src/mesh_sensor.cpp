#include "mesh_sensor.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace p2s {

const float* encode_table() {
    static const std::array<float, kEncode + 2> table = [] {
        std::array<float, kEncode + 2> t{};
        for (int i = 0; i < kEncode + 2; ++i) {  // indexed by the square root of the linear value
            const double r = std::min(1.0, double(i) / kEncode), l = r * r;
            t[i] = float(255.0 * (l <= 0.0031308 ? 12.92 * l : 1.055 * std::pow(l, 1 / 2.4) - 0.055));
        }
        return t;
    }();
    return table.data();
}

namespace {

// splitmix64 (Steele et al. 2014).
uint64_t mix(uint64_t z) {
    z += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void blur(std::vector<float>& a, int w, int h, float sigma) {
    const int r = std::max(1, int(std::ceil(3 * sigma)));
    std::vector<float> k(r + 1), b(a.size());
    float sum = 0;
    for (int i = 0; i <= r; ++i) k[i] = std::exp(-0.5f * i * i / (sigma * sigma)), sum += i ? 2 * k[i] : k[i];
    for (float& v : k) v /= sum;
    for (int pass = 0; pass < 2; ++pass) {
        std::fill(b.begin(), b.end(), 0.0f);
        for (int y = 0; y < h; ++y)
            for (int i = -r; i <= r; ++i) {
                const float wt = k[std::abs(i)];
                float* to = b.data() + size_t(y) * w * 3;
                if (pass == 0) {
                    const float* from = a.data() + size_t(y) * w * 3;
                    for (int x = 0; x < w; ++x) {
                        const int j = std::clamp(x + i, 0, w - 1);
                        for (int c = 0; c < 3; ++c) to[3 * x + c] += wt * from[3 * j + c];
                    }
                } else {
                    const float* from = a.data() + size_t(std::clamp(y + i, 0, h - 1)) * w * 3;
                    for (int x = 0; x < 3 * w; ++x) to[x] += wt * from[x];
                }
            }
        a.swap(b);
    }
}

}  // namespace

void to_bytes(const float* from, size_t n, size_t first, float noise, uint64_t seed, uint8_t* out) {
    if (!(noise > 0)) {
        for (size_t i = 0; i < n; ++i) out[i] = uint8_t(int(std::min(std::max(from[i], 0.0f), 255.0f)));
        return;
    }
    // The sum of four bytes of a hash (lowbias32, Wellons 2018), centred and scaled to unit deviation: close to normal.
    const uint64_t start = mix(seed);
    const uint32_t base = uint32_t(start) + uint32_t(first), second = uint32_t(start >> 32);
    const float deviation = 255.0f * noise / 147.8f;
    for (size_t i = 0; i < n; ++i) {
        uint32_t k = base + uint32_t(i);
        k ^= k >> 16, k *= 0x7feb352du, k ^= (k >> 15) ^ second, k *= 0x846ca68bu, k ^= k >> 16;
        const int sum = int(k & 255) + int((k >> 8) & 255) + int((k >> 16) & 255) + int(k >> 24) - 510;
        out[i] = uint8_t(int(std::min(std::max(from[i] + deviation * float(sum), 0.0f), 255.0f)));
    }
}

void sense(const float* rgb, int w, int h, const float gain[3], float blur_px, float noise, uint64_t seed, uint8_t* out) {
    const float* table = encode_table();
    const size_t n = size_t(w) * 3;
    std::vector<float> blurred, row(n), gains(n);
    if (blur_px > 0.05f) {
        blurred.assign(rgb, rgb + n * h);
        blur(blurred, w, h, blur_px);
        rgb = blurred.data();
    }
    for (size_t i = 0; i < n; ++i) gains[i] = gain[i % 3];
    for (size_t y = 0; y < size_t(h); ++y) {
        const float* from = rgb + y * n;
        for (size_t i = 0; i < n; ++i) row[i] = std::sqrt(std::min(std::max(from[i] * gains[i], 0.0f), 1.0f)) * kEncode + 0.5f;
        for (size_t i = 0; i < n; ++i) row[i] = table[int(row[i])] + 0.5f;
        to_bytes(row.data(), n, y * n, noise, seed, out + y * n);
    }
}

}  // namespace p2s
