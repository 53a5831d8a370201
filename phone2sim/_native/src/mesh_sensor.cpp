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

// Rows of a picture of w × h pixels (3), blurred; from the top to the bottom.
class Blur {
public:
    Blur(const float* rgb, int w, int h, float sigma) : rgb(rgb), w(w), h(h), r(sigma > 0.05f ? std::max(1, int(std::ceil(3 * sigma))) : 0) {
        if (r == 0) return;
        kernel.resize(2 * r + 1);
        float sum = 0;
        for (int i = -r; i <= r; ++i) sum += kernel[i + r] = std::exp(-0.5f * i * i / (sigma * sigma));
        for (float& v : kernel) v /= sum;
        padded.resize(size_t(w + 2 * r) * 3), rows.resize(size_t(2 * r + 1) * w * 3), out.resize(size_t(w) * 3);
    }
    const float* row(int y) {
        if (r == 0) return rgb + size_t(y) * w * 3;
        while (done <= std::min(h - 1, y + r)) across(done++);
        for (int i = -r; i <= r; ++i) {
            const float *from = kept(std::clamp(y + i, 0, h - 1)), wt = kernel[i + r];
            float* to = out.data();
            if (i == -r)
                for (int x = 0; x < 3 * w; ++x) to[x] = wt * from[x];
            else
                for (int x = 0; x < 3 * w; ++x) to[x] += wt * from[x];
        }
        return out.data();
    }

private:
    float* kept(int y) { return &rows[size_t(y % (2 * r + 1)) * w * 3]; }
    void across(int y) {
        const float* from = rgb + size_t(y) * w * 3;
        std::copy_n(from, 3 * w, &padded[3 * r]);
        for (int k = 0; k < r; ++k) std::copy_n(from, 3, &padded[3 * k]), std::copy_n(from + 3 * (w - 1), 3, &padded[3 * (w + r + k)]);
        float* to = kept(y);
        for (int i = 0; i <= 2 * r; ++i) {
            const float *a = &padded[3 * i], wt = kernel[i];
            if (i == 0)
                for (int x = 0; x < 3 * w; ++x) to[x] = wt * a[x];
            else
                for (int x = 0; x < 3 * w; ++x) to[x] += wt * a[x];
        }
    }

    const float* rgb;
    int w, h, r, done = 0;
    std::vector<float> kernel, padded, rows, out;
};

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
    std::vector<float> row(n), gains(n);
    Blur blurred(rgb, w, h, blur_px);
    for (size_t i = 0; i < n; ++i) gains[i] = gain[i % 3];
    for (size_t y = 0; y < size_t(h); ++y) {
        const float* from = blurred.row(int(y));
        for (size_t i = 0; i < n; ++i) row[i] = std::sqrt(std::min(std::max(from[i] * gains[i], 0.0f), 1.0f)) * kEncode + 0.5f;
        for (size_t i = 0; i < n; ++i) row[i] = table[int(row[i])] + 0.5f;
        to_bytes(row.data(), n, y * n, noise, seed, out + y * n);
    }
}

}  // namespace p2s
