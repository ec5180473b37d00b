/** Which values of a net are compared. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Net } from '@ilsvrc/engine';

/** The layer whose values are compared: the last one before the classes, `fc7` in `alexnet`. @throws IlsvrcError E0411 */
export function featureLayer({ name, layers }: Net): string {
  const last = layers.flatMap((layer) => ('name' in layer ? [layer.name] : [])).at(-2);
  if (last !== undefined) return last;
  throw new IlsvrcError('E0411', `${name} has no layer before its classes`, {
    info: 'neighbours are found by the values of that layer',
  });
}
