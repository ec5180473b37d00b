// Mistakes in what the host tells the GPUs; see kernels.mjs.

const orders = 'engine every_order_of_the_driver_gives_the_same_bits';
const training = 'engine a_small_net_trains_as_on_the_cpu';
const exchange = { file: 'src/exchange.rs', test: orders };
const order = { file: 'src/order.rs', test: orders };
const staging = { file: 'src/staging.rs', test: orders };
const step = { file: 'src/step.rs', test: orders };
const launch = { file: 'src/launch/mod.rs', test: orders };
const gradients = { file: 'src/launch/gradients.rs', test: training };
const tower = { file: 'src/tower/mod.rs', test: orders };
const parameters = { file: 'src/tower/parameters.rs', test: training };
const sums = { file: 'src/nccl/communicators.rs', test: 'replicas replicas_on_gpus' };
const state = { file: 'src/tower/state.rs', test: training };
const context = { file: 'src/driver/context.rs', test: orders };
const geometry = { file: 'src/geometry.rs', test: 'ops convolutions' };

export const hostMutants = [
  // Sums over ranks.
  {
    ...sums,
    name: 'sum: gradients are summed before they are there',
    quick: true,
    from: 'communicator.stream.wait(&ready)?;',
    to: '',
  },
  {
    ...sums,
    name: 'sum: weights learn before the sums are there',
    from: 'tower.order.add(at..at + bytes(elements) as u64, true, &done);',
    to: 'let _ = (at, elements);',
  },
  // Waits of the exchange.
  {
    ...exchange,
    name: 'gather: does not wait for what was produced',
    quick: true,
    from: 'produced.iter().try_for_each(|event| towers[t].exchange.wait(event))?;',
    to: '',
  },
  {
    ...exchange,
    name: 'scatter: does not wait for what was produced',
    from: 'produced.iter().try_for_each(|event| towers[u].exchange.wait(event))?;',
    to: '',
  },
  {
    ...exchange,
    name: 'send: packs before it is produced',
    from: 'tower.exchange.wait(&produced[t])?;',
    to: 'let _ = &produced[t];',
  },
  {
    ...exchange,
    name: 'send: is fetched before it is packed',
    from: 'self.fetch(towers, (t, outgoing), u, &packed)?',
    to: 'self.fetch(towers, (t, outgoing), u, &produced[t])?',
  },
  {
    ...exchange,
    name: 'transfer: the receiver does not wait',
    from: 'towers[t].exchange.wait(ready)?;',
    to: '',
  },
  {
    ...exchange,
    name: 'transfer: the sender does not wait',
    from: 'source.exchange.wait(ready)?;',
    to: '',
  },
  {
    ...exchange,
    name: 'transfer: the host’s memory is overwritten',
    from: 'delivered.iter().try_for_each(|delivered| source.exchange.wait(delivered))?;',
    to: '',
  },
  {
    ...exchange,
    name: 'transfer: the host’s memory is read too early',
    from: 'towers[t].exchange.wait(&arrived)?;',
    to: '',
  },
  // What is noted of an exchange for those who come later.
  {
    ...exchange,
    name: 'gather: nobody waits for the gathered maps',
    from: 'let range = tower.range(gathered, self.batch)?; tower.order.add(range, true, &done);',
    to: '',
  },
  {
    ...exchange,
    name: 'gather: maps are overwritten while they are read',
    test: 'ops exchanges',
    from: 'tower.order.add(range, false, &done); }',
    to: '_ = (tower, range);\n            }',
  },
  {
    ...exchange,
    name: 'scatter: nobody waits for the sum',
    from: 'let range = tower.range(*own, self.batch)?; tower.order.add(range, true, &done);',
    to: '',
  },
  {
    ...exchange,
    name: 'scatter: shares are overwritten while they are read',
    from: 'towers[t].order.add(range, false, &done);',
    to: '_ = (t, range);',
  },
  // Towers and GPUs.
  {
    ...exchange,
    name: 'gather: own maps in the other half',
    test: 'ops exchanges',
    quick: true,
    from: 'sources[u] = self.fetch(',
    to: 'sources[1 - u] = self.fetch(',
  },
  {
    ...exchange,
    name: 'scatter: the other tower’s share',
    test: 'ops exchanges',
    from: 'first: (u * self.maps) as i32',
    to: 'first: ((1 - u) * self.maps) as i32',
  },
  {
    ...exchange,
    name: 'scatter: the same share twice',
    test: 'ops exchanges',
    from: 'a.at, a.pitch, a.first, b.at, b.pitch, b.first, out',
    to: 'a.at, a.pitch, a.first, if b.at == 0 { 0 } else { a.at }, a.pitch, a.first, out',
  },
  {
    ...exchange,
    name: 'scatter: packs on the compute stream',
    from: 'tower.gpu, &tower.exchange, name, grid, THREADS, 0, a.at',
    to: 'tower.gpu, &tower.compute, name, grid, THREADS, 0, a.at',
  },
  {
    ...exchange,
    name: 'exchange: takes another GPU’s memory for its own',
    from: '!Arc::ptr_eq(&towers[t].gpu, &towers[u].gpu)',
    to: '{ let _ = (towers, t, u); false }',
  },
  {
    ...context,
    name: 'reach: peer access is not enabled',
    from: '        self.bind()?; // SAFETY: both contexts are alive.',
    to: '        if self.ordinal < 99 { return Ok(true); }\n        // SAFETY: both contexts are alive.',
  },
  {
    ...step,
    name: 'load: the batch comes by the first GPU’s stream',
    from: 'staging.bring(&gpu.copy, input)?;',
    to: 'staging.bring(&towers[0].gpu.copy, input)?;',
  },
  {
    ...step,
    name: 'step: towers run each other’s ops',
    from: 'for (tower, ops) in towers.iter_mut().zip(ops) {',
    to: 'for (tower, ops) in towers.iter_mut().rev().zip(ops) {',
  },
  {
    file: 'src/gpu.rs',
    name: 'gpu: a kernel starts while another GPU is the current one',
    test: orders,
    from: 'self.context.bind()?;',
    to: '',
  },
  {
    ...tower,
    name: 'tower: kernels go to the copy stream',
    from: 'launch(&self.gpu, &self.compute, name, grid)',
    to: 'launch(&self.gpu, &self.gpu.copy, name, grid)',
  },
  // Waits of compute streams.
  { ...order, name: 'order: nobody waits', from: 'stream.wait(&pending.done)?;', to: 'let _ = stream;' },
  {
    ...order,
    name: 'order: a write does not wait for reads',
    from: '(writes || pending.writes)',
    to: '(writes && pending.writes || pending.writes)',
  },
  {
    ...order,
    name: 'order: a read does not wait for writes',
    from: '(writes || pending.writes)',
    to: 'writes',
  },
  {
    ...order,
    name: 'order: only ranges that begin alike are the same',
    from: '&& pending.range.start < range.end && range.start < pending.range.end',
    to: '&& pending.range.start == range.start',
  },
  {
    ...order,
    name: 'order: an event is used again that others wait for',
    from: 'if Arc::strong_count(&pending.done) == 1 && ',
    to: 'if ',
  },
  {
    ...order,
    name: 'order: an event is used again on another GPU',
    from: ' && Arc::ptr_eq(pending.done.context(), stream.context())',
    to: '',
  },
  {
    ...launch,
    name: 'launch: ops do not wait for exchanges',
    from: 'tower.access(id, access.writes())?;',
    to: 'let _ = (id, access.writes());',
  },
  {
    ...launch,
    name: 'launch: ops take what they write for read',
    from: 'tower.access(id, access.writes())?;',
    to: 'tower.access(id, access.writes() && false)?;',
  },
  // The batch.
  {
    ...staging,
    name: 'staging: a batch overwrites one that is being read',
    from: 'copy.wait(&event)?;',
    to: 'drop(event);',
  },
  {
    ...staging,
    name: 'staging: towers read before the batch is there',
    from: 'stream.wait(&self.copied)?;',
    to: 'let _ = stream;',
  },
  {
    ...staging,
    name: 'staging: the host overwrites a batch under way',
    from: 'self.copied.synchronize()',
    to: 'Ok(())',
  },
  {
    ...staging,
    name: 'staging: the mean image changes while it is read',
    test: 'learning another_mean_image_waits_for_the_steps_under_way',
    from: 'copy.synchronize()?;',
    to: '',
  },
  {
    ...staging,
    name: 'staging: the mean image stays',
    test: 'learning another_mean_image_waits_for_the_steps_under_way',
    from: 'if self.mean_image != input.mean {',
    to: 'if self.mean_image.is_empty() {',
  },
  {
    ...staging,
    name: 'staging: labels of an earlier batch',
    test: training,
    from: 'for (bytes, label) in self.header[labels..]',
    to: 'for (bytes, label) in self.header[labels..][..if self.mean_image.is_empty() { 256 } else { 0 }]',
  },
  { ...step, name: 'load: the batch is never released', from: 'staging.release(&tower.loaded);', to: '' },
  {
    ...step,
    name: 'load: labels are copied behind the release',
    from: 'tower.compute.record(&tower.loaded)?; staging.release(&tower.loaded);',
    to: 'staging.release(&tower.loaded);',
  },
  // The step.
  {
    ...step,
    name: 'step: the state is not uploaded',
    test: training,
    quick: true,
    from: 'tower.compute.upload(tower.state.at, bytes)?;',
    to: 'let _ = (tower, bytes);',
  },
  {
    ...step,
    name: 'step: begins before the other towers have loaded',
    from: '    join(towers)?; let first',
    to: '    let first',
  },
  {
    ...step,
    name: 'step: the recorded step does not end with all towers',
    from: '    join(towers) }',
    to: '    Ok(())\n}',
  },
  {
    ...step,
    name: 'step: other towers go on before it is done',
    from: 'towers[1..].iter().try_for_each(|tower| tower.compute.wait(&done))',
    to: 'drop(done);\n    Ok(())',
  },
  {
    ...step,
    name: 'step: other towers begin before the first',
    from: 'towers[1..].iter().try_for_each(|tower| tower.compute.wait(&start))',
    to: 'drop(start);\n    Ok(())',
  },
  {
    ...step,
    name: 'step: any batch runs the first one’s graph',
    test: training,
    from: '.find(|(images, _)| *images == pass.batch).expect',
    to: '.find(|(images, _)| *images >= pass.batch).expect',
  },
  {
    ...step,
    name: 'step: the host reads the outcome too early',
    test: orders,
    from: 'slot.done.synchronize()?;',
    to: '',
  },
  {
    ...step,
    name: 'judge: only the first tower is told',
    test: 'engine weights_do_not_change_when_the_loss_is_no_number',
    from: 'transfer(towers, (0, diverged), (t, to), bytes, &judged, backend.peers)?;',
    to: 'let _ = (diverged, &judged, backend.peers, transfer);',
  },
  {
    ...step,
    name: 'judge: is told before it is known',
    from: 'first.compute.record(&judged)?;',
    to: '',
  },
  // Learning.
  {
    ...step,
    name: 'step: dense layers learn twice',
    test: training,
    from: 'Learn::AtOnce))?;',
    to: 'Learn::AtOnce).and_then(|()| run_with(tower, op, pass, Learn::AtOnce)))?;',
  },
  {
    ...step,
    name: 'step: nobody learns from kept gradients',
    test: training,
    from: 'update_all(tower, false)',
    to: '{ let _ = (tower, update_all); Ok(()) }',
  },
  {
    ...gradients,
    name: 'learning: dense layers’ working copy is not refreshed',
    quick: true,
    from: 'let copy = tower.copy(weights);',
    to: 'let copy = tower.copy(weights) * 0;',
  },
  {
    ...gradients,
    name: 'learning: convolutions’ working copy is not refreshed',
    from: 'let copy = tower.copy(id);',
    to: 'let copy = tower.copy(id) * 0;',
  },
  {
    ...parameters,
    name: 'parameters: the working copy of given weights is not made',
    from: 'if copy == 0 { return Ok(());',
    to: 'if copy != 1 {\n            return Ok(());',
  },
  {
    ...parameters,
    name: 'parameters: biases decay',
    from: '(learning.bias_rate, 0.0)',
    to: '(learning.bias_rate, -1.0)',
  },
  {
    ...parameters,
    name: 'parameters: given weights do not end a divergence',
    test: 'engine weights_do_not_change_when_the_loss_is_no_number',
    from: 'self.diverged.write(0, &[0; size_of::<u32>()])?;',
    to: '',
  },
  {
    ...state,
    name: 'state: all steps share their numbers',
    from: 'bytes[8..16].copy_from_slice(&self.step.to_ne_bytes());',
    to: '',
  },
  {
    ...launch,
    name: 'launch: towers share their numbers',
    test: training,
    from: 'layer * 2 + tower.number',
    to: 'layer * 2',
  },
  // The image layer.
  {
    ...geometry,
    name: 'padding: rows of the image’s weights lie too near',
    from: '(tap / self.taps * self.taps_x + tap % self.taps) * self.pitch',
    to: '(tap / self.taps * self.taps + tap % self.taps) * self.pitch',
  },
  {
    ...geometry,
    name: 'padding: pairs of positions straddle the window’s rows',
    from: 'window.size.next_multiple_of(2)',
    to: 'window.size',
  },
  {
    ...geometry,
    name: 'padding: pairs of positions straddle the image’s border',
    from: '[window.input, window.stride, window.pad].iter().all(|n| n % 2 == 0)',
    to: '[window.input, window.stride].iter().all(|n| n % 2 == 0)',
  },
];
