/** Errors that several ranks have, and in which order their processes end. */
import { once } from 'node:events';
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
