// A picture painted onto a rectangle of a horizontal plane, seen by any camera.
#pragma once
#include "mesh_pixel.hpp"

namespace p2s {

// Splats over the plane, whose depth hid the farther ones: colour (3 planes, sRGB, premultiplied) and share of light `left` of each pixel.
// Where there is no plane, `fill` (sRGB) shows through the rest. `gain` is of linear colour.
struct Before {
    const float *colour, *left;
    const float *fill, *gain;
};

struct PlanePicture {
    Texture texture;
    std::vector<uint8_t> on;  // one per texel, rows from the top (largest y): painted there
    int w, h;
    double x0, y1, texel, height;  // left and top edge, size of a texel, the plane's z [m]

    // Camera z [m] of the pixels that see the picture, inf where none does.
    void depth(const View& view, int threads, float* out) const;
    // The picture and the splats of `before` where less than all of a pixel is `covered`: rgb (3, linear). `depth` is what `depth` gave.
    void paint(const View& view, const float* depth, const float* covered, const float gain[3], const Before& before, int threads,
               float* rgb) const;

private:
    template <class Start, class Seen>
    void rays(const View& view, int threads, const Start& start, const Seen& seen) const;
};

}  // namespace p2s
