/** How busy other programs keep the machine: what a clock's peak does not show, and a figure suffers from. */
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** Ticks a second of the processor times in `/proc`: the same on all Linux systems, whatever the kernel's own. */
const TICKS = 100;

/** Seconds of processor time that all programs have had, on all cores of the machine. */
function everybody(): number {
  const times = cpus().map(({ times: { user, nice, sys, irq } }) => user + nice + sys + irq);
  return times.reduce((sum, milliseconds) => sum + milliseconds, 0) / 1000;
}

/** Seconds that this process has had; on Linux those of its children that have ended, too. */
function ourselves(): number {
  if (process.platform === 'linux') {
    // proc(5): utime, stime, cutime and cstime are fields 14 to 17; a name in brackets, which may hold blanks, is the second.
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS;
  }
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Starts to watch; the answer is the number of cores that others kept busy since then, in the mean. */
export function watchOthers(): () => number {
  const start = performance.now();
  const before = everybody() - ourselves();
  return () => {
    const seconds = (performance.now() - start) / 1000;
    // Counters tick, so an idle machine may come out a little below nothing.
    return Math.max(0, (everybody() - ourselves() - before) / seconds);
  };
}
