// state.cuh - the scalars of a training step, read by kernels from device memory, and the random numbers drawn from them.
//
// A captured graph of kernels is replayed every step, so what changes from step to step cannot be a kernel argument.
// philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) gives the bits of crates/random.
#pragma once

struct State {  // repr(C) on the host; one in device memory, written before a step
  unsigned long long seed, step;
  float rate, momentum, decay;
  unsigned first;  // where the batch begins in that of the step (`Mode::Train` of crates/network)
};

// Four 32-bit numbers from the 128-bit counter under a 64-bit key: a bijection of the counters.
__device__ __forceinline__ uint4 philox4x32(uint2 key, uint4 counter) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const unsigned long long a = 0xD2511F53ull * counter.x, b = 0xCD9E8D57ull * counter.z;
    counter = make_uint4((unsigned)(b >> 32) ^ counter.y ^ key.x, (unsigned)b,
                         (unsigned)(a >> 32) ^ counter.w ^ key.y, (unsigned)a);
    key = make_uint2(key.x + 0x9E3779B9u, key.y + 0xBB67AE85u);
  }
  return counter;
}

// Elements 4 * block .. 4 * block + 4 of the stream (seed, purpose, step, index): `Stream::block` of crates/random.
__device__ __forceinline__ uint4 random_block(const State* state, unsigned purpose, unsigned index, unsigned block) {
  const unsigned long long seed = state->seed, time = (unsigned long long)purpose << 56 | state->step;
  return philox4x32(make_uint2((unsigned)seed, (unsigned)(seed >> 32)),
                    make_uint4(block, index, (unsigned)time, (unsigned)(time >> 32)));
}

// The top 24 bits as a number in [0, 1).
__device__ __forceinline__ float unit(unsigned bits) { return (float)(bits >> 8) * (1.f / 16777216.f); }

// Momentum SGD with the step's scalars: `v <- momentum v - decay rate w - rate gradient`, `w <- w + v`.
struct Descent {
  float rate, momentum, shrink;
  // rate_factor: the parameter's own multiple of the rate; own_decay: its decay, the step's where negative.
  __device__ __forceinline__ Descent(const State* state, float rate_factor, float own_decay)
      : rate(state->rate * rate_factor), momentum(state->momentum),
        shrink((own_decay >= 0.f ? own_decay : state->decay) * rate) {}
  __device__ __forceinline__ void step(float& w, float& v, float gradient) const {
    v = momentum * v - shrink * w - rate * gradient;
    w += v;
  }
};
