// load.cu - images as the loader delivers them to the net's input: crop, mirror, minus the mean, plus colour noise.
//
// Formula   out[n][y][x][c] = pixels[i][cy + y][cx + x'][c] - mean[my + y][mx + x'][c] + colour[c],
//           i = image of view n, x' = crop - 1 - x where mirrored, else x; channels from 3 on are zero
// Layout    pixels u8 [photos][side][side][3], mean f32 [mean_side][mean_side][3], out [images][crop][crop][pitch].
// Tiling    a block a row of an image, a thread a position; stores of four channels where the pitch allows it.
// Cost      per position 3 bytes of pixels, 12 of the mean (from L2) and `pitch` elements; 6 FLOP, 3 conversions.
// Extent    of `photos` only: several views may be of one photo.
// Grid      x = images * crop blocks of 256, no dynamic shared memory. Any smaller number does.
#include "element.cuh"
#include "view.cuh"

namespace load_detail {
template <class E>
__device__ __forceinline__ void load(const unsigned char* pixels, const View* views, const float* mean, E* out,
                                     int images, int side, int mean_side, int crop, int pitch) {
  for (int line = blockIdx.x; line < images * crop; line += gridDim.x) {
    const int image = line / crop, y = line - image * crop;
    const View* view = views + image;
    const bool mirror = view->mirror != 0;
    const float red = view->colour[0], green = view->colour[1], blue = view->colour[2];
    const unsigned char* photo = pixels + (((long long)view->image * side + view->crop_y + y) * side + view->crop_x) * 3;
    const float* average = mean + ((long long)(view->mean_y + y) * mean_side + view->mean_x) * 3;
    for (int x = threadIdx.x; x < crop; x += blockDim.x) {
      const int from = 3 * (mirror ? crop - 1 - x : x);
      const float r = (float)photo[from] - average[from] + red;
      const float g = (float)photo[from + 1] - average[from + 1] + green;
      const float b = (float)photo[from + 2] - average[from + 2] + blue;
      E* to = out + ((long long)line * crop + x) * pitch;
      if (pitch % 4 == 0) {
        element::store4(to, make_float4(r, g, b, 0.f));
        for (int c = 4; c < pitch; c += 4) element::store4(to + c, make_float4(0.f, 0.f, 0.f, 0.f));
      } else {
        element::store(to, r);
        element::store(to + 1, g);
        element::store(to + 2, b);
        for (int c = 3; c < pitch; c++) element::store(to + c, 0.f);
      }
    }
  }
}
}  // namespace load_detail

// extents: pixels = (long long)photos * side * side * 3; views = images; mean = (long long)mean_side * mean_side * 3; out = (long long)images * crop * crop * pitch
extern "C" __global__ void __launch_bounds__(256) load_bf16(
    const unsigned char* pixels, const View* views, const float* mean, tile::bf16* out, int photos, int images, int side,
    int mean_side, int crop, int pitch) {
  load_detail::load(pixels, views, mean, out, images, side, mean_side, crop, pitch);
}
// extents: pixels = (long long)photos * side * side * 3; views = images; mean = (long long)mean_side * mean_side * 3; out = (long long)images * crop * crop * pitch
extern "C" __global__ void __launch_bounds__(256) load_f32(
    const unsigned char* pixels, const View* views, const float* mean, float* out, int photos, int images, int side,
    int mean_side, int crop, int pitch) {
  load_detail::load(pixels, views, mean, out, images, side, mean_side, crop, pitch);
}
