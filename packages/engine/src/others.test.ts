import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { describe, expect, it, vi } from 'vitest';
import { watchOthers } from './others.ts';

const busy = vi.hoisted(() => ({ user: 0 }));
vi.mock('node:os', async (original) => ({
  ...(await original<typeof import('node:os')>()),
  cpus: () => [{ times: { user: busy.user, nice: 0, sys: 0, irq: 0, idle: 0 } }],
}));

describe('watchOthers', () => {
  it('counts what the machine did and we did not', () => {
    const clock = vi.spyOn(performance, 'now').mockReturnValueOnce(0).mockReturnValueOnce(100_000);
    const others = watchOthers();
    busy.user += 150_000;
    expect(cpus()).toHaveLength(1);
    // Some hundredths are this test's own.
    expect(others()).toBeCloseTo(1.5, 1);
    clock.mockRestore();
  });

  it.runIf(process.platform === 'linux')('takes children that have ended for ourselves', () => {
    const clock = vi.spyOn(performance, 'now').mockReturnValueOnce(0).mockReturnValueOnce(1000);
    const others = watchOthers();
    const spin = 'const s = process.cpuUsage(); while (process.cpuUsage(s).user < 3e5);';
    spawnSync(process.execPath, ['-e', spin]);
    // The machine has counted 1.3 s, of which the child had 0.3 s at least and its start took some more.
    busy.user += 1300;
    expect(others()).toBeLessThan(1.02);
    clock.mockRestore();
  });
});
