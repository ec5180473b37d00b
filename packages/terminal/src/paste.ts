/** The image in the clipboard. clipboardy knows text only, so the system's own programs are asked. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { IlsvrcError } from '@ilsvrc/diagnostics';

const exec = promisify(execFile);

/** A photo of 100 megapixels as PNG is smaller. */
const maxBuffer = 256 * 2 ** 20;

/** A program that writes a PNG to stdout. */
type Program = [command: string, ...args: string[]];

/** The image in the clipboard as a PNG; E0708 where there is none, or nothing that could hand it over. */
export async function pasteImage(): Promise<Uint8Array> {
  const programs = programsHere();
  const reasons: string[] = [];
  for (const [command, ...args] of programs) {
    try {
      const { stdout } = await exec(command, args, { encoding: 'buffer', maxBuffer, timeout: 10_000 });
      const png = process.platform === 'darwin' && command === 'osascript' ? fromAppleScript(stdout) : stdout;
      if (png.length > 0) return png;
      reasons.push(`${command}: no image`);
    } catch (error) {
      const { code, message } = error as { code?: string | number; message: string };
      reasons.push(`${command}: ${code === 'ENOENT' ? 'not installed' : message.split('\n').at(-1)}`);
    }
  }
  throw new IlsvrcError('E0708', 'there is no image in the clipboard that can be read', {
    info: programs.length === 0 ? 'this session has no display server' : reasons.join('; '),
    hint: 'copy a picture first; on Linux this needs wl-clipboard (Wayland) or xclip (X11). Or give a file.',
  });
}

function programsHere(): Program[] {
  if (process.platform === 'darwin') {
    return [
      ['pngpaste', '-'],
      ['osascript', '-e', 'the clipboard as «class PNGf»'],
    ];
  }
  if (process.platform === 'win32') {
    const script =
      'Add-Type -AssemblyName System.Windows.Forms, System.Drawing; ' +
      '$i = [Windows.Forms.Clipboard]::GetImage(); if ($i) { ' +
      '$m = New-Object IO.MemoryStream; $i.Save($m, [Drawing.Imaging.ImageFormat]::Png); ' +
      '$o = [Console]::OpenStandardOutput(); $m.WriteTo($o); $o.Close() }';
    return [['powershell', '-NoProfile', '-STA', '-Command', script]];
  }
  const { WAYLAND_DISPLAY, DISPLAY } = process.env;
  const programs: Program[] = [];
  if (WAYLAND_DISPLAY) programs.push(['wl-paste', '--no-newline', '--type', 'image/png']);
  if (DISPLAY) programs.push(['xclip', '-selection', 'clipboard', '-target', 'image/png', '-out']);
  return programs;
}

/** `«data PNGf89504E47…»` as bytes. */
function fromAppleScript(text: Buffer): Buffer {
  return Buffer.from(/PNGf([0-9A-F]*)/.exec(text.toString('latin1'))?.[1] ?? '', 'hex');
}
