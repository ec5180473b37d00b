// simple.cu - kernels for the tests of the driver: right ones, and one for each way to leave an extent.
struct Shape { int rows, columns; };

// y = v.
// extents: y = count
extern "C" __global__ void __launch_bounds__(64) fill(float* y, int count, float v) {
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x) y[i] = v;
}

// extents: x = count; y = count
extern "C" __global__ void __launch_bounds__(64) add(const float* x, float* y, int count) {
  for (int i = threadIdx.x; i < count; i += blockDim.x) y[i] += x[i];
}

// Sums of rows; the struct goes by value.
// extents: x = shape.rows * shape.columns; y = shape.rows
extern "C" __global__ void __launch_bounds__(32) row_sums(const float* x, float* y, Shape shape) {
  if ((int)threadIdx.x >= shape.rows) return;
  float s = 0;
  for (int i = 0; i < shape.columns; i++) s += x[threadIdx.x * shape.columns + i];
  y[threadIdx.x] = s;
}

// Reads x[at] and writes it to y[to]; both may lie outside.
// extents: x = count; y = count
extern "C" __global__ void __launch_bounds__(1) move_one(const float* x, float* y, int count, long long at,
                                                             long long to) {
  y[to] = x[at];
}

// extents: x = 1
extern "C" __global__ void __launch_bounds__(1) write_const(const float* x) { *const_cast<float*>(x) = 1; }

// Has no extents: is taken to touch everything up to the end of the allocation.
extern "C" __global__ void __launch_bounds__(64) undeclared(float* y, int count) {
  if ((int)threadIdx.x < count) y[threadIdx.x] = 1;
}

// extents: y = gridDim.x
extern "C" __global__ void __launch_bounds__(32) number_blocks(float* y) {
  if (threadIdx.x == 0) y[blockIdx.x] = (float)blockIdx.x;
}

// extents: y = blockDim.x
extern "C" __global__ void __launch_bounds__(64) missing_barrier(float* y) {
  __shared__ float s[64];
  s[threadIdx.x] = (float)threadIdx.x;
  y[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}
