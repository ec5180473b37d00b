/** Errors that several ranks have, and in which order their processes end. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { IlsvrcError } from '@ilsvrc/diagnostics';

/** What happened to all ranks alike: rank 0 tells it, the others end with the same status. */
export class ToldByRank0 extends IlsvrcError {}

/** A rank on another host is lost, perhaps because the link to it is down. */
export class HostLost extends IlsvrcError {}

/** How long a launcher is given to end a process that has nothing more to do, in milliseconds. */
const patience = 10_000;

/** Lets the launcher end this process: upon the first that ends by itself it ends all, and stops listening to them. */
export async function letLauncherEnd(): Promise<void> {
  await Promise.race([once(process, 'SIGTERM'), setTimeout(patience)]);
}

/** Who started this process, or the old Node that started this one in turn: when that ends, another one adopts it. */
const launcher = Number(process.env.ILSVRC_STARTED_AGAIN ?? process.ppid);

/**
 * Lets the other ranks that torchrun has started here go on, one of which may be stopped. torchrun asks all to end when one has failed,
 * and waits half a minute for one that does not hear it; awake, it hears.
 */
export function wakeOthers(): void {
  // Without it no torchrun started this process: the variables of rank and size were set by hand.
  if (process.env.TORCHELASTIC_RUN_ID === undefined) return;
  const tasks = `/proc/${launcher}/task`;
  try {
    for (const task of readdirSync(tasks)) {
      const children = readFileSync(join(tasks, task, 'children'), 'utf8')
        .split(' ')
        .filter(Boolean);
      for (const child of children) process.kill(Number(child), 'SIGCONT');
    }
  } catch {
    // What cannot be woken torchrun kills.
  }
}
