/** `ilsvrc doctor`: what works on this machine, and why not. */
import { IlsvrcError } from '@ilsvrc/diagnostics';
import type { Devices, DiskSpeed } from '@ilsvrc/engine';
import { examples } from '../examples.ts';
import { broken, deviceFindings, type Finding, fine } from '../findings.ts';
import { decoder, disk, machine, memory, node, processor, program } from '../machine-findings.ts';
import { Output } from '../output.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base, { interrupts: { signal } }) =>
  base
    .addHelpText(
      'after',
      examples([
        ['ilsvrc doctor', 'seconds: it writes a file here, reads it back and removes it'],
        ['ilsvrc doctor --copy', 'for an issue report'],
      ]),
    )
    .action(async (options) => {
      const output = new Output(options);
      const { engine, devices } = await look();
      const findings = [program(), machine(), node(), engine, await pictures()];
      let speed: DiskSpeed | null = null;
      if (devices !== null) {
        const measured = await disk(signal);
        speed = measured.speed;
        findings.push(processor(devices), memory(devices), decoder(devices), measured.finding);
        findings.push(...deviceFindings(devices));
      }
      if (output.isJson) output.document({ version: 1, findings, devices, disk: speed });
      else for (const finding of findings) show(finding, output);
      await output.finish();
      const failed = findings.find(({ state }) => state === 'FAIL');
      if (failed)
        throw new IlsvrcError('E0401', `${failed.name} does not work here`, {
          info: failed.value,
          hint: 'npm ci && npm run build',
        });
    });

export default verb;

function show({ state, name, value, notes }: Finding, output: Output): void {
  output.data(`${state.padEnd(6)}${name.padEnd(10)}${value}`);
  for (const note of notes) output.data(`${' '.repeat(16)}${note}`);
}

/** Loaded here and not above: that it cannot be loaded is what a doctor should be able to say. */
async function look(): Promise<{ engine: Finding; devices: Devices | null }> {
  try {
    const devices = (await import('@ilsvrc/engine')).devices();
    const { instruction_set, threads } = devices.cpu;
    return { engine: fine('engine', `${instruction_set}, ${threads} threads`), devices };
  } catch (error) {
    return { engine: broken('engine', `the native addon does not work: ${String(error)}`), devices: null };
  }
}

async function pictures(): Promise<Finding> {
  try {
    return fine('pictures', await (await import('@ilsvrc/report')).pictureLibrary());
  } catch (error) {
    const hint = error instanceof IlsvrcError ? [error.info, error.hint] : [];
    const notes = hint.filter((note) => note !== undefined);
    return { name: 'pictures', state: 'no', value: `sharp cannot be loaded: ${String(error)}`, notes };
  }
}
