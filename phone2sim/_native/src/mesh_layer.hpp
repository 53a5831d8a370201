// One camera's still picture, kept lit and encoded; a frame redraws only the tiles that moving parts cover, shade or touch.
#pragma once
#include "mesh_pixel.hpp"

namespace p2s {

struct Sensor {
    float gain[3];
    float blur_px, noise;  // noise on the 0–1 scale
};

struct Moving {  // the parts that move, posed, and the light they stand in
    const World& world;
    const double* T_world_part;
    const float* gain;
    Light light;
    const ShadowMap *still, *shadow;  // cast by what stands still, and by the moving parts; null for none
    const ContactMap* contact;
};

struct Truth {  // width × height of the whole picture; null where not asked for
    float* depth;
    int32_t* part;
    float* normal;
};

class Layer {
public:
    // rest + key is the lit picture (3, linear), `key` the light that a moving part can block; `depth` is camera z, inf
    // where nothing is. `u`, `v`, `dir` are the shadow map's axes; `step` is that of `Shade`.
    Layer(const View& view, const float* rest, const float* key, const float* depth, Vec3 u, Vec3 v, Vec3 dir, float step, const Sensor& sensor);

    // Draws into `linear` (3 floats a pixel), or when that is null through the sensor into `out` (3 bytes a pixel).
    // `truth` holds the still values on entry; `names[i]` replaces part i of `moving`.
    void draw(const Moving& moving, uint64_t seed, int threads, uint8_t* out, float* linear, Truth truth, const int32_t* names);

private:
    struct Tile {
        LightBox light;
        float a0, a1, b0, b1, z0, z1;  // world box
        bool any;                  // has a pixel of finite depth
    };
    void start(const Moving& moving, int threads);
    void light_pixels(int tile, const Moving& moving, const Pixel* front, float* lit) const;
    void light_tile(int tile, const Moving& moving, const PixelShader& shader, Truth truth, const int32_t* names);
    void encode_tile(int tile, float* scratch);

    View view_;
    Sensor sensor_;
    float step_;
    int tiles_x_, tiles_y_, radius_;
    std::vector<float> kernel_;
    std::vector<float> rest_, key_, near_, point_, still_, still_srgb_;  // near: 1/depth
    std::vector<float> linear_, srgb_;                                   // the frame's; equal to the still ones in between
    std::vector<Tile> tiles_;
    std::vector<ShadowMap::Over> over_;  // of each tile: the moving parts' shadow
    std::vector<uint8_t> dirty_, encode_, covered_, touched_;
    Visibility seen_;
    int box_[4];  // samples that the moving parts' faces can cover: x0, x1, y0, y1
};

}  // namespace p2s
