#include "mesh_resolve.hpp"

namespace p2s {

void resolve(const World& world, const View& view, const Visibility& seen, const double* T_world_part, const float* gain,
             const Light& light, const Shade& shade, int threads, Picture out) {
    const PixelShader shader(world, view, seen, T_world_part, gain, light, shade);
    const int rows = (view.height + kTile - 1) / kTile;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (int row = 0; row < rows; ++row)
        for (int x0 = 0; x0 < view.width; x0 += kTile) {
            const int y0 = row * kTile, w = std::min(kTile, view.width - x0), h = std::min(kTile, view.height - y0);
            Pixel tile[kTile * kTile];
            const bool any = shader.tile(x0, y0, w, h, tile);
            for (int y = 0; y < h; ++y) {
                const size_t row = size_t(y0 + y) * view.width + x0;
                if (!any) {
                    std::fill_n(out.coverage + row, w, 0.0f), std::fill_n(out.depth + row, w, std::numeric_limits<float>::infinity());
                    std::fill_n(out.part + row, w, -1), std::fill_n(out.rgb + 3 * row, 3 * w, 0.0f), std::fill_n(out.normal + 3 * row, 3 * w, 0.0f);
                    continue;
                }
                for (int x = 0; x < w; ++x) {
                    const size_t at = row + x;
                    const Pixel& p = tile[y * kTile + x];
                    out.coverage[at] = p.coverage, out.depth[at] = p.depth, out.part[at] = p.part;
                    out.rgb[3 * at] = p.rgb.x, out.rgb[3 * at + 1] = p.rgb.y, out.rgb[3 * at + 2] = p.rgb.z;
                    out.normal[3 * at] = p.normal.x, out.normal[3 * at + 1] = p.normal.y, out.normal[3 * at + 2] = p.normal.z;
                }
            }
        }
}

}  // namespace p2s
