// Packed meshes and the visibility buffer shared by the colour, shadow and contact passes.
#pragma once
#include "mesh_texture.hpp"

namespace p2s {

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
