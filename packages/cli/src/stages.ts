/** What held an epoch back, in a line. */
import type { Place } from '@ilsvrc/engine';
import { formatCount } from '@ilsvrc/terminal';
import type { EpochEvent } from '@ilsvrc/trainer';

/** What `describeStages` tells of. */
type Stages = Pick<
  EpochEvent,
  'stages' | 'limiting_stage' | 'images_per_second' | 'ceiling_images_per_second'
>;

/** The limiting stage, what was reached of what it could do, and the share of the time that each stage was busy. */
export function describeStages(epoch: Stages, devices: readonly Place[] = []): string {
  const { stages, limiting_stage, images_per_second, ceiling_images_per_second } = epoch;
  const rate = `${formatCount(images_per_second)} of ${formatCount(ceiling_images_per_second)} images/s`;
  const busy = Object.entries(stages).map(([stage, share]) => `${stage} ${Math.round(100 * share)} %`);
  // Each was measured while the other took its part: the ceiling is not what the cores could do for one of them alone.
  const isShared = devices.some(({ name }) => name === 'cpu');
  const note = isShared ? '; decoding and training share the cores' : '';
  return `${limiting_stage}-bound: ${rate} (busy: ${busy.join(', ')}${note})`;
}
