/** A picture of a net's first layer. */
import type { Net, Session } from '@ilsvrc/engine';
import { hasPictures, writeFilters } from '@ilsvrc/report';

/** Draws the first layer to a file, where it sees colours. */
export async function drawFilters(session: Session, net: Net, path: string): Promise<void> {
  const first = net.layers.find((layer) => layer.type === 'conv' || layer.type === 'dense');
  if (first?.type !== 'conv' || !hasPictures) return;
  const towers = Array.from({ length: net.towers }, (_, tower) => `tower${tower}.${first.name}.weight`);
  const kernels = await Promise.all(towers.map((name) => session.parameter(name)));
  await writeFilters(kernels, path);
}
