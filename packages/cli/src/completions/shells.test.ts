/** The scripts in real shells: what a person types, the tab key, and the words that the shell then has. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const program = join(import.meta.dirname, '../../bin/ilsvrc.mjs');
// A blank in it, as in homes of people.
const place = mkdtempSync(join(tmpdir(), 'ilsvrc shells-'));

beforeAll(() => {
  mkdirSync(join(place, 'runs/first'), { recursive: true });
  mkdirSync(join(place, 'my photos'));
  for (const file of ['runs/first/config.json', 'cat.jpg']) writeFileSync(join(place, file), '');
});
afterAll(() => rmSync(place, { recursive: true }));

/** What is typed, and the words after the tab key. */
const lines: [typed: string, words: string[]][] = [
  ['ilsvrc tr', ['train']],
  ['ilsvrc runs comp', ['runs', 'compare']],
  ['ilsvrc runs compare fi', ['runs', 'compare', 'first']],
  ['ilsvrc train --sche', ['train', '--schedule']],
  ['ilsvrc train --net alexnet-s', ['train', '--net', 'alexnet-source']],
  ['ilsvrc train --net=alexnet-s', ['train', '--net=alexnet-source']],
  ['ilsvrc train --shuffle win', ['train', '--shuffle', 'window:8']],
  ['ilsvrc predict model ca', ['predict', 'model', 'cat.jpg']],
  ['ilsvrc prep my', ['prep', 'my photos']],
];

const has = (command: string) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

/**
 * How a shell starts without anybody's settings, and how it is told of the program. The keys are Emacs' also
 * where EDITOR is vi, as npm sets it; and the prompt has no letters: zsh's own has the host's name, which may
 * have those that the test waits for.
 */
const typed: Record<string, { start: string; setup: string[] }> = {
  bash: {
    start: 'bash --norc --noprofile -i',
    setup: ['set -o emacs', "PS1='> '", `source <('${program}' completions bash)`],
  },
  zsh: {
    start: 'zsh -f -i',
    setup: [
      'bindkey -e',
      "PS1='> '",
      'autoload -Uz compinit',
      'compinit -u -D',
      `source <('${program}' completions zsh)`,
    ],
  },
};

describe.each(Object.entries(typed))('%s', (name, { start, setup }) => {
  const missing = [name, 'script'].filter((command) => !has(command));

  test.skipIf(missing.length > 0)(
    `completes what is typed${missing.length > 0 ? `: no ${missing}` : ''}`,
    async () => {
      const shell = spawn('script', ['-qec', start, '/dev/null'], {
        cwd: place,
        env: { ...process.env, TERM: 'dumb' },
      });
      let printed = '';
      shell.stdout.on('data', (data) => (printed += data));
      const until = (text: string, from = 0) =>
        new Promise<void>((resolve, reject) => {
          const look = () => {
            if (!printed.slice(from).includes(text)) return;
            clearTimeout(timer);
            shell.stdout.off('data', look);
            resolve();
          };
          const late = () => reject(new Error(`no ${text} in ${JSON.stringify(printed.slice(from))}`));
          const timer = setTimeout(late, 60_000);
          shell.stdout.on('data', look);
          look();
        });
      // Quotes keep the shell's echo of what is typed from being taken for what it prints.
      shell.stdin.write(`${setup.join('\n')}\necho "rea""dy"\n`);
      await until('ready');
      for (const [line, words] of lines) {
        const from = printed.length;
        shell.stdin.write(`${line}\t`);
        // The end of the last word is not in what was typed: when it shows, the tab key has done its work.
        await until(words.at(-1)?.slice(-2) ?? '', from);
        // To the beginning of the line, a command there that shows its words, and to the end.
        shell.stdin.write(`\u0001printf '[%s]' \u0005; echo "en""d"\n`);
        await until('end', from);
        const shown = /\[ilsvrc\](.*)end/.exec(printed.slice(from))?.[1];
        // bash puts the slash behind a folder at once.
        expect(shown?.replaceAll('/]', ']'), line).toBe(words.map((word) => `[${word}]`).join(''));
      }
      shell.stdin.write('exit\n');
      await new Promise((resolve) => shell.on('close', resolve));
    },
  );
});

test.skipIf(!has('fish'))(`fish completes${has('fish') ? '' : ': no fish'}`, () => {
  for (const [line, words] of lines) {
    const script = `source ('${program}' completions fish | psub); complete -C '${line}'`;
    const { stdout } = spawnSync('fish', ['--no-config', '-c', script], { cwd: place, encoding: 'utf8' });
    expect(
      stdout
        .trimEnd()
        .split('\n')
        .map((found) => found.split('\t')[0]?.replace(/\/$/, '')),
      line,
    ).toEqual([words.at(-1)]);
  }
});

test('bash may read the script twice', () => {
  const script = `source <('${program}' completions bash); source <('${program}' completions bash); complete -p ilsvrc`;
  const { stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toBe('complete -o bashdefault -o default -F _ilsvrc ilsvrc\n');
});

test('PowerShell gets a script that calls the program', () => {
  const { stdout } = spawnSync(process.execPath, [program, 'completions', 'powershell'], {
    encoding: 'utf8',
  });
  expect(stdout).toContain("Register-ArgumentCompleter -CommandName 'ilsvrc'");
  expect(stdout).toMatch(/\$RequestComp = "& .*ilsvrc.* complete '--' \$QuotedArgs"/);
});
