// Mistakes in kernels. `from` is there exactly once (a string, or an expression with the flag g), `test` is a program in
// crates/cuda/tests and the test in it that must fail. Names begin with the file's.

const product = { file: 'kernels/product.cuh', test: 'ops dense_layers' };
const local = { file: 'kernels/local.cuh', test: 'ops local_layers' };
const convolution = { file: 'kernels/product.cuh', test: 'ops convolutions' };
const update = {
  file: 'kernels/conv_weight_gradient.cu',
  test: 'learning every_layer_learns_by_its_own_rule',
};
const descent = { file: 'kernels/state.cuh', test: 'learning every_layer_learns_by_its_own_rule' };
const windows = 'ops pools_and_norms';
const pool = { file: 'kernels/pool.cu', test: windows };
const norm = { file: 'kernels/norm.cuh', test: windows };
const lrn = { file: 'kernels/lrn.cu', test: windows };
const lrnPool = { file: 'kernels/lrn_pool.cu', test: windows };
const mapNorm = { file: 'kernels/map_norm.cu', test: windows };
const dropout = { file: 'kernels/dropout.cu', test: 'ops elementwise_ops' };
const activation = { file: 'kernels/activation.cu', test: 'ops elementwise_ops' };
const softmax = { file: 'kernels/softmax.cu', test: 'ops elementwise_ops' };
const exchange = { file: 'kernels/exchange.cu', test: 'ops exchanges' };
const input = { file: 'kernels/load.cu', test: 'ops input_loss_and_update' };
const rule = { file: 'kernels/update.cu', test: 'ops input_loss_and_update' };
const splitSum = { file: 'kernels/split_sum.cu', test: 'ops dense_layers' };
const bias = { file: 'kernels/bias_gradient.cu', test: 'ops dense_layers' };

export const kernelMutants = [
  // Barriers and waits of the product.
  {
    ...product,
    name: 'product: no barrier before a stage of the ring is used',
    quick: true,
    from: 'tile::cp_async_wait<STAGES - 2>(); __syncthreads();',
    to: 'tile::cp_async_wait<STAGES - 2>();',
  },
  {
    ...product,
    name: 'product: waits for one copy too few',
    from: 'cp_async_wait<STAGES - 2>',
    to: 'cp_async_wait<STAGES - 1>',
  },
  {
    ...product,
    name: 'product: copies go on behind the last step',
    from: 'if (step < last) { E* s',
    to: '{\n        E* s',
  },
  {
    ...product,
    name: 'product: no barrier between two stages of single elements',
    from: '(step - first + 1) % 2 * STAGE; __syncthreads();',
    to: '(step - first + 1) % 2 * STAGE;',
  },
  {
    ...convolution,
    name: 'product: no barrier after the table of places',
    from: 't[threadIdx.x] = o.place(row0 + (int)threadIdx.x); __syncthreads();',
    to: 't[threadIdx.x] = o.place(row0 + (int)threadIdx.x);',
  },
  {
    ...product,
    name: 'product: sums overwrite tiles in use',
    from: 'float* sums = reinterpret_cast<float*>(smem); __syncthreads();',
    to: 'float* sums = reinterpret_cast<float*>(smem);',
  },
  {
    ...product,
    name: 'product: sums are read before they are there',
    from: '  __syncthreads(); const int c = (int)threadIdx.x * 4 % BN',
    to: '  const int c = (int)threadIdx.x * 4 % BN',
  },
  // Zero-fill and bounds of the product.
  { ...product, name: 'product: chunks outside are not zero', from: 'p ? 16 : 0', to: '16' },
  { ...product, name: 'product: elements outside are not zero', from: 'p ? *p : E(0)', to: 'p ? *p : E(1)' },
  {
    ...product,
    name: 'product: rows have no last one',
    from: 'k < depth && col < cols ?',
    to: 'col < cols ?',
  },
  {
    ...product,
    name: 'product: rows have no last column',
    quick: true,
    from: 'k < depth && col < cols ?',
    to: 'k < depth ?',
  },
  {
    ...convolution,
    name: 'product: windows hang over the right border',
    from: /(?<=\(unsigned\)\(p\.y \+ ky\) < \(unsigned\)g\.input) && \(unsigned\)\(p\.x \+ kx\) < \(unsigned\)g\.input/g,
    to: '',
  },
  {
    ...convolution,
    name: 'product: windows hang over the lower border',
    from: '(unsigned)(p.y + ky) < (unsigned)g.input && ',
    to: '',
  },
  {
    ...convolution,
    name: 'product: windows of the gradient hang over the right border',
    from: ' && (unsigned)(p.x + x) < (unsigned)g.input',
    to: '',
  },
  {
    ...convolution,
    name: 'product: windows of the gradient hang over the lower border',
    from: '(unsigned)(p.y + y) < (unsigned)g.input && ',
    to: '',
  },
  {
    ...convolution,
    name: 'product: a position takes part between two steps of the window',
    from: 'oy * g.stride == y && ',
    to: '',
  },
  {
    ...convolution,
    name: 'product: a position takes part in windows beyond the last',
    from: 'oy < (unsigned)g.output && ox < (unsigned)g.output',
    to: 'oy < (unsigned)g.output && ox <= (unsigned)g.output',
  },
  { ...product, name: 'product: weights have no last input map', from: ' && col < g.in_maps ?', to: ' ?' },
  {
    ...product,
    name: 'product: columns beyond the last are stored',
    from: 'if (n >= epilogue.cols) return;',
    to: '',
  },
  {
    ...product,
    name: 'product: rows beyond the last are stored',
    from: 'if (m0 + r >= epilogue.rows) break;',
    to: '',
  },
  {
    ...product,
    name: 'product: the last column of a row of odd length spills',
    from: 'if (n + 3 < cols) element::store(p + 3, v.w);',
    to: 'element::store(p + 3, v.w);',
  },
  {
    ...product,
    name: 'product: the second last column has no bias',
    from: 'if (n + 1 < cols) b.y',
    to: 'if (n + 2 < cols) b.y',
  },
  {
    ...product,
    name: 'product: all parts of a sum in one place',
    from: 'partial + (long long)blockIdx.z * rows * cols',
    to: 'partial + (long long)(blockIdx.z / 2) * rows * cols',
  },
  {
    name: 'conv_forward: parts of a sum have the bias',
    file: 'kernels/conv_forward.cu',
    test: 'ops dense_layers',
    from: 'if (partial) bias = nullptr, activation = 0;',
    to: '',
  },
  // Locally connected layers: whose position, which image, which weights.
  {
    ...local,
    name: 'local: rows behind the last image read on',
    quick: true,
    from: 'if (image >= g.images) return Position{0, OUTSIDE, OUTSIDE}; return Position{(((long long)image * g.input',
    to: 'return Position{(((long long)image * g.input',
  },
  {
    ...local,
    name: 'local: rows behind the last weight read on',
    from: 'if (c >= rows) return -1;',
    to: '',
  },
  {
    ...local,
    name: 'local: images behind the last are summed too',
    from: 'return place >= 0 && k < g.images ?',
    to: 'return place >= 0 ?',
  },
  {
    ...local,
    name: 'local: taps in the padding have inputs',
    from: 'return inside ? ((long long)iy * g.input',
    to: 'return true ? ((long long)iy * g.input',
  },
  {
    ...local,
    name: 'local: rows of one position run into the next',
    from: 'rows(share.first + rows_)',
    to: 'rows((1 << 30) + rows_)',
  },
  {
    ...local,
    name: 'local: a position has its neighbour row tile',
    from: 'first = position * tiles * BM;',
    to: 'first = position * BM;',
  },
  {
    ...local,
    name: 'local: weights of outputs beyond the border',
    from: 'ox < (unsigned)g.output && oy * g.stride == y',
    to: 'oy * g.stride == y',
  },
  {
    ...local,
    name: 'local: all positions share one set of weights in the input gradient',
    from: '(long long)(oy * g.output + ox) * g.taps * g.taps_x + tap',
    to: '(long long)tap',
  },
  {
    name: 'local_forward: all positions share one set of biases',
    file: 'kernels/local_forward.cu',
    test: 'ops local_layers',
    from: 'bias + column',
    to: 'bias',
  },
  // Swizzles.
  {
    ...product,
    name: 'product: the swizzle of k-major tiles leaves the row',
    from: '(chunk ^ ((row >> 1) & 3))',
    to: '(chunk ^ ((row >> 1) & 7))',
  },
  {
    ...product,
    name: 'product: the swizzle of n-major tiles maps two chunks to one',
    from: 'k & 7 : (k & 3) * 2)',
    to: 'k & 7 & ~chunk : (k & 3) * 2)',
  },
  {
    ...product,
    name: 'product: floats of A are read unswizzled',
    from: '(k * BM + (i ^ k) * 8)',
    to: '(k * BM + i * 8)',
  },
  {
    ...product,
    name: 'product: floats of B are read unswizzled',
    from: '(k * BN + (j / 2 ^ k) * 8)',
    to: '(k * BN + j / 2 * 8)',
  },
  {
    ...product,
    name: 'product: sums are read unswizzled',
    from: 'element::load4(sums + r * BN + (c ^ (r & 3) * 8))',
    to: 'element::load4(sums + r * BN + c)',
  },
  {
    ...product,
    name: 'product: the sum of a block is that of the next one',
    from: 'const int first = min((int)blockIdx.z * steps_per_split, steps)',
    to: 'const int first = min((int)(blockIdx.z + 1) * steps_per_split, steps)',
  },
  // Dense layers' weights, which learn in the product's epilogue, and every other parameter.
  {
    ...update,
    name: 'weight update: goes on after divergence',
    test: 'engine weights_do_not_change_when_the_loss_is_no_number',
    from: 'if (*diverged) return;',
    to: '(void)diverged;',
  },
  { ...update, name: 'weight update: the velocity is not kept', from: 'element::store4(v + at, b);', to: '' },
  {
    ...update,
    name: 'weight update: the working copy is not refreshed',
    test: 'learning weights_given_anew_classify_as_those_that_learned',
    from: 'if (copy) element::store4(copy + at, a);',
    to: '',
  },
  {
    ...update,
    name: 'weight update: rows of odd length lose their last column',
    from: 'if (n + 1 < cols) one(at + 1, d.y);',
    to: '',
  },
  {
    ...descent,
    name: 'weight update: a layer has no rate of its own',
    from: 'rate(state->rate * rate_factor)',
    to: 'rate(state->rate + 0.f * rate_factor)',
  },
  {
    ...descent,
    name: 'weight update: a layer has no decay of its own',
    from: 'own_decay >= 0.f ? own_decay : state->decay',
    to: 'own_decay >= 0.f ? state->decay : state->decay',
  },
  { ...descent, name: 'weight update: decay makes weights grow', from: '- shrink * w', to: '+ shrink * w' },
  { ...rule, name: 'update: up the slope', from: '- rate * g; }', to: '+ rate * g;\n  }' },
  {
    ...rule,
    name: 'update: decay makes weights grow',
    from: '- shrink * w - rate * g; }',
    to: '+ shrink * w - rate * g;\n  }',
  },
  { ...rule, name: 'update: biases decay', from: 'own_decay >= 0.f', to: 'own_decay > 0.f' },
  {
    ...rule,
    name: 'update: a parameter has no rate of its own',
    from: 'const float rate = state->rate * rate_factor',
    to: 'const float rate = state->rate + 0.f * rate_factor',
  },
  {
    ...rule,
    name: 'update: the last elements do not learn',
    from: 'for (long long i = whole + thread; i < count; i += threads) {',
    to: 'for (long long i = whole + thread; i < count - 1; i += threads) {',
  },
  {
    ...rule,
    name: 'update: goes on after divergence',
    test: 'engine weights_do_not_change_when_the_loss_is_no_number',
    from: 'if (*diverged) return;',
    to: '(void)diverged;',
  },
  {
    ...rule,
    name: 'update: the working copy is not refreshed',
    test: 'engine a_small_net_trains_as_on_the_cpu',
    from: 'if (copy) element::store(copy + place, weight);',
    to: '',
  },
  {
    ...rule,
    name: 'update: weights of the image layer are not spread',
    test: 'ops convolutions',
    from: '(long long)(ky * taps_x + tap - ky * taps)',
    to: '(long long)(ky * taps + tap - ky * taps)',
  },
  { ...splitSum, name: 'split_sum: the last part is left out', from: 'z < splits;', to: 'z < splits - 1;' },
  {
    ...splitSum,
    name: 'split_sum: the bias runs away from its column',
    from: 'if (col >= cols) col -= cols;',
    to: 'if (col >= cols) col = 0;',
  },
  {
    ...bias,
    name: 'bias_gradient: no barrier before the sums are added',
    from: '  __syncthreads(); ',
    to: '',
  },
  {
    ...bias,
    name: 'bias_gradient: rows beyond the last are added',
    test: 'ops convolutions',
    from: 'rows - begin < rows_per_block ? rows - begin : rows_per_block',
    to: 'rows_per_block',
  },
  {
    ...bias,
    name: 'bias_gradient: the columns after the last are added',
    from: 'if (c + 3 < cols) v.w',
    to: 'v.w',
  },

  // Pools.
  {
    ...pool,
    name: 'pool: windows hang over the lower border',
    from: /(?<=\n {4})const int rows = min\(p\.size, p\.input - top\)/g,
    to: 'const int rows = p.size',
  },
  {
    ...pool,
    name: 'pool: windows hang over the right border',
    from: /(?<=\n {4}const int rows = min\(p\.size, p\.input - top\), )columns = min\(p\.size, p\.input - left\)/g,
    to: 'columns = p.size',
  },
  {
    ...pool,
    name: 'pool: no maximum is below zero',
    from: 'wy + wx == 0 || v[i] > result[i]',
    to: 'v[i] > result[i]',
  },
  {
    ...pool,
    name: 'pool: the mean counts what is outside',
    from: /rows \* columns(?=\);\n#pragma unroll\n {6}for)/g,
    to: 'p.size * p.size',
  },
  {
    ...pool,
    name: 'pool gradient: the last of equal maxima gets it',
    from: 'v[i] > best[i]',
    to: 'v[i] >= best[i]',
  },
  {
    ...pool,
    name: 'pool gradient: windows reach one too far',
    from: 'o.x - ox * p.stride < p.size',
    to: 'o.x - ox * p.stride <= p.size',
  },
  {
    ...pool,
    name: 'pool gradient: windows beyond the last',
    from: 'min(o.x / p.stride, p.output - 1)',
    to: '(o.x / p.stride)',
  },
  {
    ...pool,
    name: 'pool gradient: windows hang over the lower border',
    from: /(?<=\n {8})const int rows = min\(p\.size, p\.input - top\)/g,
    to: 'const int rows = p.size',
  },
  // Normalisation across maps.
  {
    ...norm,
    name: 'lrn: no maps before the vector',
    from: 'if (vector > 0) vec::load_pair',
    to: 'if (vector > 1) vec::load_pair',
  },
  {
    ...norm,
    name: 'lrn: maps before the first',
    from: 'if (vector > 0) vec::load_pair',
    to: 'vec::load_pair',
  },
  {
    ...norm,
    name: 'lrn: maps after the last',
    from: 'if (vector < vectors - 1) vec::load_pair',
    to: 'if (vector < vectors) vec::load_pair',
  },
  {
    ...norm,
    name: 'lrn gradient: a lane before the first map',
    from: 'if (first) h[0] = h[1] = 0.f;',
    to: '(void)first;',
  },
  {
    ...norm,
    name: 'lrn gradient: a lane after the last map',
    from: 'if (last) h[10] = h[11] = 0.f;',
    to: '(void)last;',
  },
  {
    ...norm,
    name: 'lrn: windows of any size go beyond the last map',
    from: /(?<=const E\* row, int map, int maps\) \{\n {2}const int reach = n\.size \/ 2, end = )min\(maps, map \+ reach \+ 1\)/g,
    to: 'map + reach + 1',
  },
  {
    ...norm,
    name: 'lrn gradient: windows of any size lose their last map',
    from: /(?<=Gradient db\) \{\n {2}const int reach = n\.size \/ 2, end = )min\(maps, map \+ reach \+ 1\)/g,
    to: 'min(maps, map + reach)',
  },
  {
    ...lrn,
    name: 'lrn gradient: a lane that serves its neighbour stores',
    from: 'lane > 0 && lane < 31',
    to: 'lane < 31',
  },
  {
    ...lrn,
    name: 'lrn gradient: rows beyond the last',
    from: 'row >= 0 && row < rows',
    to: 'row >= 0 && row <= rows',
  },
  { ...lrn, name: 'lrn gradient: rows before the first', from: 'row >= 0 && row < rows', to: 'row < rows' },
  // And then a pool.
  {
    ...lrnPool,
    name: 'lrn_pool: windows hang over the lower border',
    from: /(?<=\n {6})const int rows = min\(p\.size, p\.input - top\)/g,
    to: 'const int rows = p.size',
  },
  {
    ...lrnPool,
    name: 'lrn_pool: the last of equal maxima gets it',
    from: 'here == 0 || b[i] > best[i]',
    to: 'here == 0 || b[i] >= best[i]',
  },
  {
    ...lrnPool,
    name: 'lrn_pool: the last of equal maxima of single maps gets it',
    from: 'here == 0 || b > best',
    to: 'here == 0 || b >= best',
  },
  { ...lrnPool, name: 'lrn_pool: no maximum is below zero', from: 'here == 0 || b > best', to: 'b > best' },
  {
    ...lrnPool,
    name: 'lrn_pool gradient: windows reach one too far',
    from: 'x - ox * p.stride < p.size',
    to: 'x - ox * p.stride <= p.size',
  },
  {
    ...lrnPool,
    name: 'lrn_pool gradient: windows beyond the last',
    from: 'min(y / p.stride, p.output - 1)',
    to: '(y / p.stride)',
  },
  {
    ...lrnPool,
    name: 'lrn_pool gradient: a lane that serves its neighbour stores',
    from: 'lane > 0 && lane < 31',
    to: 'lane > 0',
  },
  {
    ...mapNorm,
    name: 'map_norm: positions right of the last',
    from: 'min(side, at.x + reach + 1)',
    to: 'min(side, at.x + reach)',
  },
  {
    ...mapNorm,
    name: 'map_norm: positions below the last',
    from: 'min(side, at.y + reach + 1)',
    to: '(at.y + reach + 1)',
  },
  {
    ...mapNorm,
    name: 'map_norm: positions left of the first',
    from: 'max(0, at.x - reach)',
    to: '(at.x - reach)',
  },
  // Elementwise.
  {
    ...dropout,
    name: 'dropout: the same numbers twice',
    from: '(unsigned)(i / 4) + 1)',
    to: '(unsigned)(i / 4))',
  },
  {
    ...dropout,
    name: 'dropout: the rest takes its numbers in another order',
    from: 'i % 4 < 2 ? low : high',
    to: 'i % 4 < 2 ? high : low',
  },
  {
    ...dropout,
    name: 'dropout: towers share their numbers',
    test: 'engine a_small_net_trains_as_on_the_cpu',
    from: 'const State now = *state;',
    to: 'const State now = *state;\n  index &= ~1u;',
  },
  {
    name: 'dropout: all steps share their numbers',
    file: 'kernels/state.cuh',
    test: 'engine a_small_net_trains_as_on_the_cpu',
    from: ' | state->step',
    to: ' | 0 * state->step',
  },
  {
    ...activation,
    name: 'activation gradient: the slope at zero is one',
    from: 'y > 0.f ? gradient',
    to: 'y >= 0.f ? gradient',
  },
  {
    ...activation,
    name: 'activation: the last element stays',
    from: 'i < count; i += threads) element::store(y + i',
    to: 'i < count - 1; i += threads)\n    element::store(y + i',
  },
  // The loss.
  {
    ...softmax,
    name: 'softmax: no barrier before the warps’ values are read',
    from: 'slot[threadIdx.x / 32] = v; __syncthreads();',
    to: 'slot[threadIdx.x / 32] = v;',
  },
  {
    ...softmax,
    name: 'softmax: no barrier before the slots are used again',
    from: 'identity); __syncthreads();',
    to: 'identity);',
  },
  {
    ...softmax,
    name: 'softmax: no barrier before the label’s probability is read',
    test: 'engine a_small_net_trains_as_on_the_cpu',
    from: '__syncthreads();  // the label',
    to: '// the label',
  },
  {
    ...softmax,
    name: 'softmax: the gradient of the class before',
    test: 'ops input_loss_and_update',
    from: 'j == (int)label ?',
    to: 'j == (int)label - 1 ?',
  },
  {
    ...softmax,
    name: 'softmax: a second place is a hit',
    test: 'engine a_small_net_trains_as_on_the_cpu',
    from: 'larger == 0.f ?',
    to: 'larger <= 1.f ?',
  },
  {
    ...softmax,
    name: 'judge: nobody is told',
    test: 'engine weights_do_not_change_when_the_loss_is_no_number',
    from: '*diverged = 1; }',
    to: '*diverged = 0;\n}',
  },
  // Exchanges and the input.
  {
    ...exchange,
    name: 'exchange: both halves from one tower',
    from: '(second ? b : a)',
    to: '(second && b == nullptr ? b : a)',
  },
  {
    ...exchange,
    name: 'exchange: the second half begins where the first does',
    quick: true,
    from: 'second ? at.vector - maps : at.vector',
    to: 'at.vector',
  },
  {
    ...exchange,
    name: 'exchange: vectors of maps overlap',
    from: 'reinterpret_cast<uint4*>(out), rows, maps / V',
    to: 'reinterpret_cast<uint4*>(out), rows,\n           maps / V / 2',
  },
  {
    ...exchange,
    name: 'exchange: the share begins with the first map',
    from: 'a_pitch + a_first + at.vector',
    to: 'a_pitch + 0 * a_first + at.vector',
  },
  {
    ...exchange,
    name: 'exchange: the other share begins with the first map',
    from: 'b_pitch + b_first + at.vector',
    to: 'b_pitch + 0 * b_first + at.vector',
  },
  { ...exchange, name: 'exchange: one share of two', from: 'v[i] += w[i];', to: 'v[i] = w[i];' },
  {
    ...input,
    name: 'load: mirrored images move by a pixel',
    from: 'mirror ? crop - 1 - x',
    to: 'mirror ? crop - x',
  },
  { ...input, name: 'load: nothing is mirrored', from: 'mirror ? crop - 1 - x : x', to: 'mirror ? x : x' },
  {
    ...input,
    name: 'load: the mean of the corner',
    from: '+ view->mean_x) * 3',
    to: '+ 0 * view->mean_x) * 3',
  },
  { ...input, name: 'load: a view is of its own image', from: 'view->image * side', to: 'image * side' },
  {
    ...input,
    name: 'load: crops begin at the left',
    from: '+ view->crop_x) * 3',
    to: '+ 0 * view->crop_x) * 3',
  },
  {
    ...input,
    name: 'load: positions of the padded image lie too near',
    test: 'engine one_tower_nets_train_as_on_the_cpu',
    from: 'crop + x) * pitch;',
    to: 'crop + x) * (pitch < 4 ? pitch : 4);',
  },
];
