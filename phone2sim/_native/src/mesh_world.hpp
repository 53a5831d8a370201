// Packed meshes, textures and the visibility buffer shared by the colour, shadow and contact passes.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace p2s {

struct Vec3 {
    float x, y, z;
};
inline Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Vec3 operator*(Vec3 a, float s) { return {a.x * s, a.y * s, a.z * s}; }
inline float dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

struct TextureLevel {
    int w, h;
    std::vector<uint16_t> rgba;  // linear, 65535 = 1; one texel more than the picture has, for loads of two
};

struct Texture {
    std::vector<TextureLevel> levels;  // 0 is full size, each next one half of it
    explicit Texture(const uint8_t* srgb, int w, int h);
    // What a pixel covers: `taps` samples, (du, dv) from the first end of its longer side to the other, and how far from level `fine` to `coarse`.
    struct Footprint {
        int taps, fine, coarse;
        float du, dv, between;
    };
    // Of a pixel whose steps to the right and down change (u, v) by (dux, dvx) and (duy, dvy): up to eight samples along its longer side.
    Footprint footprint(float dux, float dvx, float duy, float dvy) const;
    // At (u, v), bottom-left origin, clamped.
    Vec3 sample(float u, float v, const Footprint& f) const;
};

struct Part {
    int f0, f1, v0, v1;
    Vec3 rgb;
    float gloss;
    int texture;  // -1: none
    bool double_sided;
};

struct World {
    std::vector<float> position, normal, uv;  // 3v, 3v, 2v
    std::vector<int32_t> face, face_part;     // 3f (global vertex indices), f
    std::vector<Vec3> face_normal;            // f, part frame
    std::vector<Part> parts;
    std::vector<Texture> textures;
};

// A face ready to rasterise: inside where all e_i(X, Y) = e[i]·(X, Y, 1) >= 0; d(X, Y) grows towards the viewer.
// X, Y are sample centres relative to the centre of the target.
struct FaceSetup {
    float e[3][3];
    float d[3];
    int x0, x1, y0, y1;  // inclusive sample bounds
    int face;            // -1: not drawn
    bool back;
};

struct Visibility {
    int w, h;
    std::vector<float> key;   // 1/z (perspective) or -depth (orthographic), larger is nearer
    std::vector<int32_t> id;  // index into setups, -1: none
    std::vector<FaceSetup> setups;
};

struct Projection {
    bool perspective;
    float near_m;
    // rows map a homogeneous part-frame point to target coordinates: per part 3×4, row major.
    std::vector<double> matrices;
};

struct Bands {  // of so many rows, and the setups that reach into each
    int rows;
    std::vector<std::vector<int>> faces;
};
Bands in_bands(const Visibility& seen, int rows);

// The two steps of `rasterize`: `out.setups` from the poses (needs w, h), then key and id from the setups, of all bands or of one.
void set_up_faces(const World& world, const Projection& projection, const uint8_t* visible, Visibility& out, int threads);
void fill(const Projection& projection, Visibility& out, int threads);
void fill(const Projection& projection, const Bands& bands, int band, Visibility& out);

// Fills `out` (w, h and initial key/id set by the caller).
void rasterize(const World& world, const Projection& projection, const uint8_t* visible, Visibility& out, int threads);

}  // namespace p2s
