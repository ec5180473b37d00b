/** Why the addon does not load, and the commands that help. */
import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { IlsvrcError } from '@ilsvrc/diagnostics';

/** Platforms that have a prebuilt package. */
const prebuilt = ['linux-x64-gnu', 'linux-arm64-gnu', 'darwin-x64', 'darwin-arm64', 'win32-x64-msvc'];

/** Where the addon may be. */
export interface Surroundings {
  /** As in the names of packages: `linux-x64-gnu`. */
  platform: string;
  version: string;
  /** Whether this is a clone, where the addon is built and not installed. */
  isClone: boolean;
  /** Platforms whose packages are installed. */
  installed: string[];
}

/** What to tell who has no addon that loads; causes and remedies depend on what is there. */
export function loadError(cause: unknown, found = look()): IlsvrcError {
  const { platform, version, isClone, installed } = found;
  const error = (code: 'E0413' | 'E0414', message: string, causes: string[], commands: string[]) =>
    new IlsvrcError(code, message, {
      info: causes.join('\n        '),
      hint: commands.join('\n        '),
      cause,
    });
  if (isClone) {
    return error(
      'E0413',
      `the native engine has not been built for ${platform}`,
      [reason(cause)],
      ['`npm run build` (needs cargo, cmake, nasm and a C compiler)'],
    );
  }
  const reinstall = 'anew, for this machine: `rm -rf node_modules package-lock.json && npm install`';
  if (!prebuilt.includes(platform)) {
    const musl = platform.endsWith('-musl')
      ? ['on Alpine take an image with glibc: `docker run -it node:24-slim`']
      : [];
    return error(
      'E0413',
      `there is no prebuilt native engine for ${platform}`,
      [`there is one for ${prebuilt.join(', ')}`],
      [...musl, 'build it in a clone of the repository: `npm run build`'],
    );
  }
  const name = `@ilsvrc/engine-${platform}`;
  if (!installed.includes(platform)) {
    const others = installed.map((other) => `@ilsvrc/engine-${other}`).join(', ');
    return error(
      'E0413',
      `${name} is not installed`,
      [
        ...(others === '' ? [] : [`node_modules is of another machine: it has ${others}`]),
        'optional packages were left out (--omit=optional, --no-optional, `omit` in .npmrc),',
        'or package-lock.json was made on another platform, or the registry lacks the package',
      ],
      [`\`npm install --include=optional ${name}@${version}\``, reinstall],
    );
  }
  return error(
    'E0414',
    `${name} is installed and does not load`,
    [reason(cause), 'the file may be damaged or of another processor, or the system library is too old'],
    [reinstall, 'look at the system: `ldd --version` (Linux), `node -p process.arch`'],
  );
}

/** The message of the first of nested errors that is not that a file is missing: the loader tries several places. */
function reason(error: unknown): string {
  const messages: string[] = [];
  for (let inner = error; inner instanceof Error; inner = inner.cause) messages.push(inner.message);
  const told = messages.slice(1).find((message) => !message.startsWith('Cannot find module'));
  return (told ?? messages.at(-1) ?? String(error)).split('\n')[0] ?? '';
}

function look(): Surroundings {
  const require = createRequire(import.meta.url);
  const { version } = require('../package.json') as { version: string };
  const scope = new URL('../../', import.meta.url);
  return {
    platform: thisPlatform(),
    version,
    isClone: existsSync(new URL('../src/native.ts', import.meta.url)),
    installed: existsSync(scope)
      ? readdirSync(scope).flatMap((name) => /^engine-(.+)$/.exec(name)?.[1] ?? [])
      : [],
  };
}

/** This machine, as the names of packages say it. */
function thisPlatform(): string {
  const { platform, arch } = process;
  const machine = `${platform}-${arch}`;
  if (platform === 'win32') return `${machine}-msvc`;
  if (platform !== 'linux') return machine;
  // Else the report looks names up; the types do not know it yet.
  Object.assign(process.report, { excludeNetwork: true });
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
  return `${machine}-${header.glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`;
}
