/** How much memory this process has had. */
import { readFileSync } from 'node:fs';

/**
 * The most bytes of memory that this process has held at a time. On Linux a process inherits the peak that `getrusage` tells from the
 * one that started it, which may be larger; `VmHWM` is its own.
 */
export function peakMemory(): number {
  const status = process.platform === 'linux' ? readFileSync('/proc/self/status', 'utf8') : '';
  const kilobytes = /VmHWM:\s+(\d+)/.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
  return 1024 * Number(kilobytes);
}
