// geometry.cuh - shapes of a convolution, and division by numbers that the host knows.
#pragma once

// n / divisor == (high 32 bits of n * multiplier + n) >> shift for 0 <= n < 2^31. On the host (round-up method):
// shift = ceil(log2(divisor)), multiplier = floor(2^32 * (2^shift - divisor) / divisor) + 1.
struct Divisor {
  unsigned divisor, multiplier, shift;
};

__device__ __forceinline__ int quotient(int n, const Divisor& d) {
  const unsigned high = (unsigned)((unsigned long long)(unsigned)n * d.multiplier >> 32);
  return (int)((high + (unsigned)n) >> d.shift);
}
// n becomes the remainder, the quotient is returned.
__device__ __forceinline__ int split(int& n, const Divisor& d) {
  const int q = quotient(n, d);
  n -= q * (int)d.divisor;
  return q;
}

struct Geometry {             // repr(C); a dense layer is a window of 1x1 over maps of 1x1, its inputs are the maps
  int images, input, output;  // images of the pass, sides of the square maps
  int stride, pad, taps;      // kernel rows
  int taps_x;                 // kernel columns, padded ones included (their weights are zero)
  int in_maps, out_maps;      // pitch of an input position (padding included), of an output position
  Divisor by_output_positions, by_output, by_input_positions, by_input;  // output * output, output, input * input, input
  Divisor by_in_maps, by_out_maps, by_row, by_taps_x;                    // by_row: taps_x * in_maps
};

// Sizes in elements.
namespace geometry {
__device__ __forceinline__ long long inputs(const Geometry& g) {
  return (long long)g.images * g.input * g.input * g.in_maps;
}
__device__ __forceinline__ long long outputs(const Geometry& g) {
  return (long long)g.images * g.output * g.output * g.out_maps;
}
__device__ __forceinline__ long long weights(const Geometry& g) {
  return (long long)g.taps * g.taps_x * g.in_maps * g.out_maps;
}
// Parts into which a sum over `terms` is split, in steps of `step` terms.
__device__ __forceinline__ long long parts(long long terms, int step, int steps_per_split) {
  return ((terms + step - 1) / step + steps_per_split - 1) / steps_per_split;
}
}  // namespace geometry
