#!/usr/bin/env node
// Plain JavaScript: it must parse on the Node that the user happens to have. An old one starts the Node that came along.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';

// From here on Node takes TypeScript, which `ilsvrc.config.ts` is.
const need = '22.18';
const [major, minor] = process.versions.node.split('.').map(Number);
if (major > 22 || (major === 22 && minor >= 18)) {
  const { main } = await import('../dist/main.js');
  process.exitCode = await main(process.argv.slice(2));
} else {
  let node;
  try {
    node = createRequire(import.meta.url).resolve(`node-${process.platform}-${process.arch}/bin/node`);
  } catch {
    // It was left out when the packages were installed.
  }
  if (!node || process.env.ILSVRC_STARTED_AGAIN) {
    console.error(
      `ilsvrc: needs Node ${need} or newer, this is ${process.version}. In the repository: npm ci, then ./ilsvrc`,
    );
    process.exit(1);
  }
  const child = spawn(node, process.argv.slice(1), {
    stdio: 'inherit',
    // It knows who started this one, in whose place it works.
    env: { ...process.env, ILSVRC_STARTED_AGAIN: String(process.ppid) },
  });
  // Ctrl-C reaches the child by itself; other signals are passed on. A child that is stopped hears them when it goes on.
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(name, () => {
      if (name === 'SIGINT') return;
      child.kill(name);
      child.kill('SIGCONT');
    });
  }
  child.on('exit', (code, signal) => {
    if (!signal) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
