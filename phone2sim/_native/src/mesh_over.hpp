// What a moving camera sees: meshes drawn over a background that receives their shadow and contact.
#pragma once
#include "mesh_pixel.hpp"

namespace p2s {

// A picture behind the meshes, asked for tile by tile.
struct Backdrop {
    virtual ~Backdrop() = default;
    // The w × h pixels from (x0, y0), linear: `rgb` (3) in rows of kTile. Any finite value where all of a pixel is `covered` (rows of kTile).
    virtual void tile(int x0, int y0, int w, int h, const float* covered, float* rgb) const = 0;
};

struct Still : Backdrop {  // one that is there already: `rgb` (3) of a picture `width` pixels wide
    const float* rgb;
    int width;
    Still(const float* rgb, int width) : rgb(rgb), width(width) {}
    void tile(int x0, int y0, int w, int h, const float* covered, float* out) const override;
};

struct Behind {
    const Backdrop& picture;
    const float* depth;     // camera z, inf where nothing is
    float strength, bias;   // the key's share of its light; points are this much nearer to the light [m]
};

struct Seen {  // width × height of the whole picture; all but `rgb` null where not asked for
    float* rgb;  // 3, linear
    float* depth;
    int32_t* part;  // -1 where the background shows, of which depth and normal (3) then are none
    float* normal;
};

// background × cast shadow × contact, under the meshes.
void draw_over(const World& world, const View& view, const Projection& projection, const uint8_t* visible, const double* T_world_part,
               const float* gain, const Light& light, const Shade& shade, const Behind& behind, int threads, Seen out);

}  // namespace p2s
