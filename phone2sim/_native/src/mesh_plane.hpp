// A picture painted onto a rectangle of a horizontal plane, seen by any camera.
#pragma once
#include "mesh_over.hpp"

namespace p2s {

struct PlanePicture {
    PlanePicture(const uint8_t* srgb, const uint8_t* on, int w, int h, double x0, double y1, double texel, double height);

    Texture texture;
    std::vector<uint8_t> on;     // one per texel, rows from the top (largest y): painted there
    std::vector<uint8_t> block;  // of kBlock × kBlock texels: none painted, all, or some
    int w, h, blocks;            // and blocks a row
    double x0, y1, texel, height;  // left and top edge, size of a texel, the plane's z [m]

    // Camera z [m] of the pixels that see the picture, inf where none does.
    void depth(const View& view, int threads, float* out) const;

private:
    static constexpr int kBlock = 16;
    enum : uint8_t { none, all, some };
};

struct Ray {
    float x, y, per_z;  // of unit camera z: its world x and y in texels, right and down, and 1 over its world z
};

// Where a camera's rays meet the plane.
class PlaneRays {
public:
    struct Eight {  // of pixels beside each other: what a `Ray` is, camera z where they meet the plane, and where that is [texels]
        float x[kTile], y[kTile], per_z[kTile], z[kTile], px[kTile], py[kTile];
    };
    struct Row {  // of pixel (0, y), and what a pixel to the right adds
        float from[3], step[3];
    };
    PlaneRays(const PlanePicture& plane, const View& view);
    Row row(double y) const;
    Ray at(const Row& row, float x) const { return {row.from[0] + x * row.step[0], row.from[1] + x * row.step[1], 1.0f / (row.from[2] + x * row.step[2])}; }
    Eight eight(const Row& row, int x0) const;
    float above;  // [m]: from the eye to the plane

private:
    double T[12], fx, skew, cx, fy, cy, across;
    float left, top;  // [texels] from the picture's corner to the eye
};

// Splats over the plane, whose depth hid the farther ones: colour (3 planes, sRGB, premultiplied) and share of light `left` of each pixel.
// Where there is no plane, `fill` (sRGB) shows through the rest. `gain` is of linear colour.
struct Before {
    const float *colour, *left;
    float fill[3], gain[3];
};

// The plane's picture times `gain` under the splats of `before`, as `view` sees it. `depth` is what `PlanePicture::depth` gave.
class Painted : public Backdrop {
public:
    Painted(const PlanePicture& plane, const View& view, const float* depth, const float gain[3], const Before& before);
    void tile(int x0, int y0, int w, int h, const float* covered, float* rgb) const override;

private:
    Texture::Footprint footprint(const Ray& d, float z) const;

    const PlanePicture& plane;
    PlaneRays rays;
    size_t n;  // pixels of the whole picture, `width` a row
    const float* depth;
    Before before;
    int width;
    float gain[3], right[3], down[3];  // a pixel to the right turns the ray by `right`, one down by `down`: in texels, and its world z
};

}  // namespace p2s
