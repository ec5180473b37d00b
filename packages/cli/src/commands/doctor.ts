/** `ilsvrc doctor`: what works on this machine, and why not. */
import { availableParallelism, release, totalmem, type } from 'node:os';
import { IlsvrcError } from '@ilsvrc/diagnostics';
import { formatBytes } from '@ilsvrc/terminal';
import { Output } from '../output.ts';
import type { Verb } from '../verb.ts';

/** A line of the report. */
interface Finding {
  name: string;
  ok: boolean;
  value: string;
}

const verb: Verb = (base) =>
  base.action(async (options) => {
    const output = new Output(options);
    const findings = [machine(), node(), await engine(), await pictures()];
    if (output.isJson) output.document({ version: 1, findings });
    else
      for (const { name, ok, value } of findings)
        output.data(`${ok ? 'ok  ' : 'FAIL'}  ${name.padEnd(9)}${value}`);
    await output.finish();
    const broken = findings.find(({ ok }) => !ok);
    if (broken)
      throw new IlsvrcError('E0401', `${broken.name} does not work here`, {
        info: broken.value,
        hint: 'npm ci && npm run build',
      });
  });

export default verb;

function machine(): Finding {
  const value = `${type()} ${release()}, ${process.arch}, ${availableParallelism()} cores, ${formatBytes(totalmem())} of memory`;
  return { name: 'machine', ok: true, value };
}

function node(): Finding {
  return { name: 'node', ok: Number(process.versions.node.split('.')[0]) >= 22, value: process.version };
}

/** Loaded here and not above: that it cannot be loaded is what a doctor should be able to say. */
async function engine(): Promise<Finding> {
  try {
    const { instruction_set, threads } = (await import('@ilsvrc/engine')).cpu();
    return { name: 'engine', ok: true, value: `${instruction_set}, ${threads} threads` };
  } catch (error) {
    return { name: 'engine', ok: false, value: `the native addon cannot be loaded: ${String(error)}` };
  }
}

async function pictures(): Promise<Finding> {
  try {
    return { name: 'pictures', ok: true, value: await (await import('@ilsvrc/report')).pictureLibrary() };
  } catch (error) {
    return { name: 'pictures', ok: false, value: `sharp cannot be loaded: ${String(error)}` };
  }
}
