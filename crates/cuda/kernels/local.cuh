// local.cuh - the products of locally connected layers: one for each position, over the images of the batch.
//
// Rows     of all positions, one after the other, each in whole tiles of 128: block x works on position x / tiles, and row
//          0 of that position is row `first` of product.cuh's count. No product is split: results depend on no GPU's size.
// Weights  [position][tap][in_maps][out_maps], biases [position][out_maps], positions of the output in row order.
// Variants 128 x 64 tiles; aligned ones where maps fit 16-byte chunks, else any.
#pragma once
#include "product.cuh"

namespace local {
using namespace product;
constexpr int ALL = 0x7fffffff;  // steps of a part: no parts

// Sizes in elements.
__device__ __forceinline__ long long positions(const Geometry& g) { return (long long)g.output * g.output; }
__device__ __forceinline__ long long weights(const Geometry& g) { return positions(g) * geometry::weights(g); }
__device__ __forceinline__ long long biases(const Geometry& g) { return positions(g) * g.out_maps; }

// The position of a block, each of which has `rows` rows.
struct Share {
  int position, first;
  __device__ __forceinline__ explicit Share(int rows) {
    const int tiles = (rows + BM - 1) / BM;
    position = (int)blockIdx.x / tiles;
    first = position * tiles * BM;
  }
};

// ---- operands ------------------------------------------------------------------------------------------------------

// The windows of one output position: row = image, k = (ky, kx, c).
template <class Element>
struct WindowsAt : Windows<Element> {
  int first, y, x;

  __device__ __forceinline__ WindowsAt(const Element* from, const Geometry& g, const Share& share, int depth)
      : Windows<Element>{from, g, 0, depth}, first(share.first) {
    x = share.position;
    y = split(x, g.by_output) * g.stride - g.pad;
    x = x * g.stride - g.pad;
  }
  __device__ __forceinline__ Position place(int row) const {
    const Geometry& g = this->g;
    const int image = row - first;
    if (image >= g.images) return Position{0, OUTSIDE, OUTSIDE};
    return Position{(((long long)image * g.input + y) * g.input + x) * g.in_maps, y, x};
  }
};

// The same windows the other way round: row = (ky, kx, c), k = image.
template <class Element>
struct WindowsAcrossAt {
  typedef Element E;
  typedef long long Place;  // of the element in an image; negative outside
  static constexpr bool K_MAJOR = false;
  const E* base;
  const Geometry& g;
  int rows, first, y, x;

  __device__ __forceinline__ WindowsAcrossAt(const E* from, const Geometry& geometry, const Share& share, int count)
      : base(from), g(geometry), rows(count), first(share.first) {
    x = share.position;
    y = split(x, g.by_output) * g.stride - g.pad;
    x = x * g.stride - g.pad;
  }
  __device__ __forceinline__ long long place(int row) const {
    int c = row - first;
    if (c >= rows) return -1;
    const int iy = y + split(c, g.by_row), ix = x + split(c, g.by_in_maps);
    const bool inside = (unsigned)iy < (unsigned)g.input && (unsigned)ix < (unsigned)g.input;
    return inside ? ((long long)iy * g.input + ix) * g.in_maps + c : -1;
  }
  __device__ __forceinline__ const E* at(long long place, int k) const {
    return place >= 0 && k < g.images ? base + ((long long)k * g.input * g.input * g.in_maps + place) : nullptr;
  }
};

// The maps of one position, image by image: k = image, col = map.
template <class Element>
struct MapsAt {
  typedef Element E;
  typedef int Place;
  static constexpr bool K_MAJOR = false;
  const E* base;  // map 0 of the position in image 0
  int images, cols;
  long long pitch;

  __device__ __forceinline__ int place(int col) const { return col; }
  __device__ __forceinline__ const E* at(int col, int k) const {
    return k < images && col < cols ? base + (k * pitch + col) : nullptr;
  }
};

// dy where one input position took part: row = image, k = (ky, kx, o).
template <class Element>
struct TakersAt : Takers<Element> {
  int first, y, x;  // the input position, padding added

  __device__ __forceinline__ TakersAt(const Element* dy, const Geometry& g, const Share& share, int depth)
      : Takers<Element>(dy, g, 0, depth), first(share.first) {
    x = share.position;
    y = split(x, g.by_input) + g.pad;
    x += g.pad;
  }
  __device__ __forceinline__ Position place(int row) const {
    const Geometry& g = this->g;
    const int image = row - first;
    if (image >= g.images) return Position{0, OUTSIDE, OUTSIDE};
    return Position{(long long)image * g.output * g.output * g.out_maps, y, x};
  }
};

// The weights between that input position and its takers, with the sum over outputs: col = c, k = (ky, kx, o).
template <class Element>
struct WeightsAcrossAt {
  typedef Element E;
  typedef int Place;
  static constexpr bool K_MAJOR = true;
  const E* base;
  const TakersAt<E>& takers;

  __device__ __forceinline__ int place(int col) const { return col; }
  __device__ __forceinline__ const E* at(int col, int k) const {
    const Geometry& g = takers.g;
    int o = k;
    const int tap = split(o, g.by_out_maps), ky = quotient(tap, g.by_taps_x), kx = tap - ky * g.taps_x;
    const unsigned y = takers.y - ky, x = takers.x - kx, oy = takers.by_stride(y), ox = takers.by_stride(x);
    const bool inside = k < takers.depth && col < g.in_maps && oy < (unsigned)g.output && ox < (unsigned)g.output &&
                        oy * g.stride == y && ox * g.stride == x;
    const long long kernel = (long long)(oy * g.output + ox) * g.taps * g.taps_x + tap;
    return inside ? base + ((kernel * g.in_maps + col) * g.out_maps + o) : nullptr;
  }
};

// ---- epilogue ------------------------------------------------------------------------------------------------------

// Rows of one position, `pitch` elements apart, with its biases (null: none) and an activation.
template <class E>
struct StoreAt {
  int rows, cols, first;
  E* y;  // of the position's row 0
  long long pitch;
  const float* bias;
  int activation;
  float4 b;

  __device__ __forceinline__ StoreAt(const Share& share, int rows_, int cols_, E* y_, long long pitch_,
                                     const float* bias_ = nullptr, int activation_ = 0)
      : rows(share.first + rows_), cols(cols_), first(share.first), y(y_), pitch(pitch_), bias(bias_),
        activation(activation_) {}
  __device__ __forceinline__ void begin(int n) {
    b = make_float4(0.f, 0.f, 0.f, 0.f);
    if (!bias) return;
    b.x = bias[n];
    if (n + 1 < cols) b.y = bias[n + 1];
    if (n + 2 < cols) b.z = bias[n + 2];
    if (n + 3 < cols) b.w = bias[n + 3];
  }
  __device__ __forceinline__ void row(int m, int n, float4 v) const {
    using element::activate;
    v = make_float4(activate(v.x + b.x, activation), activate(v.y + b.y, activation), activate(v.z + b.z, activation),
                    activate(v.w + b.w, activation));
    store_row(y + (m - first) * pitch, 0, n, cols, v);
  }
};
}  // namespace local
