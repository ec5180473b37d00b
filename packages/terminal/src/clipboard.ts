/** `--copy`. */
import { IlsvrcError } from '@ilsvrc/diagnostics';

/** Puts text on the clipboard; E0601 where there is none (no display server, no clipboard program). */
export async function copy(text: string): Promise<void> {
  try {
    const { default: clipboard } = await import('clipboardy');
    await clipboard.write(text);
  } catch (cause) {
    throw new IlsvrcError('E0601', 'nothing was copied: there is no clipboard here', {
      info: cause instanceof Error ? cause.message.split('\n')[0] : String(cause),
      hint: 'on Linux install xclip or wl-clipboard and run under a display server',
      cause,
    });
  }
}
