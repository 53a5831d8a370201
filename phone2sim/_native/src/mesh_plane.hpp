// A picture painted onto a rectangle of a horizontal plane, seen by any camera.
#pragma once
#include "mesh_resolve.hpp"

namespace p2s {

struct PlanePicture {
    Texture texture;
    std::vector<uint8_t> on;  // one per texel, rows from the top (largest y): painted there
    int w, h;
    double x0, y1, texel, height;  // left and top edge, size of a texel, the plane's z [m]

    // rgb (3, linear, times gain) and camera z [m] of the pixels that see the picture; where none does, 0 and inf.
    void look(const View& view, const float gain[3], int threads, float* rgb, float* depth) const;
};

// Puts splats over what `look` gave, whose depth hid the farther ones: colour (3 planes, sRGB, premultiplied), share of light `left` and
// median depth of each of n pixels. Where there is no plane, `fill` (sRGB) shows through the rest. rgb and depth are changed in place;
// on[i] = 1 where the plane is what is seen.
void put_before(size_t n, const float* colour, const float* left, const float* median, const float fill[3], const float gain[3],
                float* rgb, float* depth, uint8_t* on);

}  // namespace p2s
