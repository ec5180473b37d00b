// lrn_pool.cu - local response normalisation across maps, then max pooling, without storing the normalised maps.
//
// Formula   b = lrn(x) (lrn.cu);  y[oy, ox] = the first largest b, in row order, of the window from (oy, ox) * stride,
//           clipped at the right and bottom border. A NaN counts only where the window begins with it.
//           choice[oy, ox] = wy * pool_size + wx of that b, which training keeps for the gradient.
//           gradient: db[iy, ix] = sum of dy over the windows whose choice is (iy, ix), then as in lrn.cu; where x is the
//           output of an activation, times its derivative.
// Layout    x, dx [images][input][input][maps]; y, dy, choice [images][output][output][maps], choices 16 bits each.
//           b is compared in f32, so the choice is the same whatever the elements are stored as.
// Tiling    size 5, beta 3/4, maps % 8 == 0: a thread takes 8 maps (norm.cuh). lrn_pool: of an output
//           position, normalising every value of its window (L1 serves the overlap). lrn_pool_gradient: a block
//           takes a row of an image, a thread 8 maps of a position; h of the 2 maps beyond comes from the neighbouring
//           lanes, 30 lanes of a warp store. Else a warp takes a position and a thread a map.
// Cost      for windows of 3x3 with stride 2, per input value: forward 1 + 1/4 elements of traffic (with choices 1/2 byte
//           more), about 30 FLOP, as b is made 9/4 times, and 27/8 conversions; gradient 2 + 1/4 elements + 1/2 byte
//           (9/4 values of dy and of choice from L1), about 35 FLOP, 15/4 + 1 conversions.
// Grid      lrn_pool: x = min(ceil(images * output^2 * maps / 8 / 256), 4096) blocks of 256
//           lrn_pool_gradient: x = images * input blocks of 128. No dynamic shared memory.
//           Any smaller number of blocks gives the same result.
#include "norm.cuh"

namespace lrn_pool_detail {
struct Pool {
  int images, input, output, maps, size, stride;
};

// y and choice, of which either may be null.
template <class E>
__device__ __forceinline__ void forward(const E* x, E* y, unsigned short* choice, const Pool p, const Norm n) {
  const int positions = p.images * p.output * p.output;
  if (normalise::narrow(n, p.maps)) {
    const int vectors = p.maps / 8;
    for (vec::Walk at(vectors); at.inside(positions); at.next()) {
      const vec::Place o(at.row, p.output);
      const int top = o.y * p.stride, left = o.x * p.stride;
      const int rows = min(p.size, p.input - top), columns = min(p.size, p.input - left);
      float best[8];
      unsigned index[8];
#pragma unroll
      for (int i = 0; i < 8; i++) best[i] = 0.f, index[i] = 0;
      for (int wy = 0; wy < rows; wy++) {
        const E* a = vec::at(x, p.input, p.maps, o.image, top + wy, left);
        for (int wx = 0; wx < columns; wx++, a += p.maps) {
          const unsigned here = wy * p.size + wx;
          float v[12], b[8];
          normalise::load_halo(a, at.vector, vectors, v);
          normalise::forward(n, v, b);
#pragma unroll
          for (int i = 0; i < 8; i++)
            if (here == 0 || b[i] > best[i]) {
              best[i] = b[i];
              index[i] = here;
            }
        }
      }
      const long long out = (long long)at.row * p.maps + at.vector * 8;
      if (choice)
        *reinterpret_cast<uint4*>(choice + out) = make_uint4(index[0] | index[1] << 16, index[2] | index[3] << 16,
                                                             index[4] | index[5] << 16, index[6] | index[7] << 16);
      if (y) vec::store<8>(y + out, best);
    }
    return;
  }
  const int warps = gridDim.x * (blockDim.x / 32), lane = threadIdx.x % 32;
  for (long long position = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; position < positions;
       position += warps) {
    const vec::Place o((int)position, p.output);
    const int top = o.y * p.stride, left = o.x * p.stride;
    const int rows = min(p.size, p.input - top), columns = min(p.size, p.input - left);
    for (int map = lane; map < p.maps; map += 32) {
      float best = 0.f;
      unsigned index = 0;
      for (int wy = 0; wy < rows; wy++)
        for (int wx = 0; wx < columns; wx++) {
          const unsigned here = wy * p.size + wx;
          const E* a = vec::at(x, p.input, p.maps, o.image, top + wy, left + wx);
          const float b = element::load(a + map) * normalise::power(normalise::sum(n, a, map, p.maps), n.beta);
          if (here == 0 || b > best) best = b, index = here;
        }
      if (choice) choice[position * p.maps + map] = (unsigned short)index;
      if (y) element::store(y + position * p.maps + map, best);
    }
  }
}

// Calls visit(element 0 of the maps at the output position, index of (y, x) in its window) for the windows that hold
// the input position, the last first.
template <class Visit>
__device__ __forceinline__ void windows(const Pool& p, int image, int y, int x, Visit visit) {
  const int last_y = min(y / p.stride, p.output - 1), last_x = min(x / p.stride, p.output - 1);
#pragma unroll 1  // most positions are in one or two windows
  for (int oy = last_y; oy >= 0 && y - oy * p.stride < p.size; oy--)
#pragma unroll 1
    for (int ox = last_x; ox >= 0 && x - ox * p.stride < p.size; ox--)
      visit((((long long)image * p.output + oy) * p.output + ox) * p.maps,
            (unsigned)((y - oy * p.stride) * p.size + x - ox * p.stride));
}

template <class E>
__device__ __forceinline__ void gradient(const E* x, const E* dy, const unsigned short* choice, E* dx, const Pool p,
                                         const Norm n, int activation) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const int lines = p.images * p.input;
  if (normalise::narrow(n, p.maps)) {
    const int vectors = p.maps / 8, end = p.input * vectors;
    for (int line = blockIdx.x; line < lines; line += gridDim.x) {
      const int image = line / p.input, iy = line - image * p.input;
      // Lane 0 of the first warp would begin before the line: all count from one position earlier.
      vec::Walk at(vectors, warp * normalise::USEFUL + lane + vectors - 1, warps * normalise::USEFUL);
      for (int base = warp * normalise::USEFUL; base < end; base += warps * normalise::USEFUL, at.next()) {
        const int ix = at.row - 1, map = at.vector * 8;
        const bool inside = ix >= 0 && ix < p.input;
        const long long here = ((long long)line * p.input + ix) * p.maps;
        float v[12], db[8], da[8];
#pragma unroll
        for (int i = 0; i < 12; i++) v[i] = 0.f;
#pragma unroll
        for (int i = 0; i < 8; i++) db[i] = 0.f;
        if (inside) {
          normalise::load_halo(x + here, at.vector, vectors, v);
          windows(p, image, iy, ix, [&](long long out, unsigned index) {
            const uint4 c = *reinterpret_cast<const uint4*>(choice + out + map);
            float d[8];
            vec::load<8>(dy + out + map, d);
            if ((c.x & 0xffff) == index) db[0] += d[0];
            if (c.x >> 16 == index) db[1] += d[1];
            if ((c.y & 0xffff) == index) db[2] += d[2];
            if (c.y >> 16 == index) db[3] += d[3];
            if ((c.z & 0xffff) == index) db[4] += d[4];
            if (c.z >> 16 == index) db[5] += d[5];
            if ((c.w & 0xffff) == index) db[6] += d[6];
            if (c.w >> 16 == index) db[7] += d[7];
          });
        }
        normalise::gradient(n, v, db, at.vector == 0, at.vector == vectors - 1, da);
#pragma unroll
        for (int i = 0; i < 8; i++) da[i] = element::activate_gradient(v[i + 2], da[i], activation);
        if (inside && lane > 0 && lane < 31) vec::store<8>(dx + here + map, da);
      }
    }
    return;
  }
  for (int line = blockIdx.x; line < lines; line += gridDim.x) {
    const int image = line / p.input, iy = line - image * p.input;
    for (int ix = warp; ix < p.input; ix += warps) {
      const long long here = ((long long)line * p.input + ix) * p.maps;
      for (int map = lane; map < p.maps; map += 32) {
        const float da = normalise::gradient(n, x + here, map, p.maps, [&](int m) {
          float sum = 0.f;
          windows(p, image, iy, ix, [&](long long out, unsigned index) {
            if (choice[out + m] == index) sum += element::load(dy + out + m);
          });
          return sum;
        });
        element::store(dx + here + map,
                       element::activate_gradient(element::load(x + here + map), da, activation));
      }
    }
  }
}
}  // namespace lrn_pool_detail

// extents: x = (long long)images * input * input * maps; y = (long long)images * output * output * maps; choice = (long long)images * output * output * maps
extern "C" __global__ void __launch_bounds__(256, 3) lrn_pool_bf16(
    const tile::bf16* x, tile::bf16* y, unsigned short* choice, int images, int input, int output, int maps, int pool_size,
    int pool_stride, int size, float k, float alpha, float beta) {
  lrn_pool_detail::forward(x, y, choice, {images, input, output, maps, pool_size, pool_stride},
                           {size, k, alpha, beta});
}
// extents: x = (long long)images * input * input * maps; y = (long long)images * output * output * maps; choice = (long long)images * output * output * maps
extern "C" __global__ void __launch_bounds__(256, 3) lrn_pool_f32(
    const float* x, float* y, unsigned short* choice, int images, int input, int output, int maps, int pool_size,
    int pool_stride, int size, float k, float alpha, float beta) {
  lrn_pool_detail::forward(x, y, choice, {images, input, output, maps, pool_size, pool_stride},
                           {size, k, alpha, beta});
}
// extents: x = (long long)images * input * input * maps; dy = (long long)images * output * output * maps; choice = (long long)images * output * output * maps; dx = (long long)images * input * input * maps
extern "C" __global__ void __launch_bounds__(128, 8) lrn_pool_gradient_bf16(
    const tile::bf16* x, const tile::bf16* dy, const unsigned short* choice, tile::bf16* dx, int images, int input, int output, int maps,
    int pool_size, int pool_stride, int size, float k, float alpha, float beta, int activation) {
  lrn_pool_detail::gradient(x, dy, choice, dx, {images, input, output, maps, pool_size, pool_stride},
                            {size, k, alpha, beta}, activation);
}
// extents: x = (long long)images * input * input * maps; dy = (long long)images * output * output * maps; choice = (long long)images * output * output * maps; dx = (long long)images * input * input * maps
extern "C" __global__ void __launch_bounds__(128, 8) lrn_pool_gradient_f32(
    const float* x, const float* dy, const unsigned short* choice, float* dx, int images, int input, int output, int maps,
    int pool_size, int pool_stride, int size, float k, float alpha, float beta, int activation) {
  lrn_pool_detail::gradient(x, dy, choice, dx, {images, input, output, maps, pool_size, pool_stride},
                            {size, k, alpha, beta}, activation);
}
