/** `ilsvrc completions`: the script by which a shell completes verbs, flags and values. */
import { completionScript, shells } from '../completions/scripts.ts';
import { examples } from '../examples.ts';
import { Output } from '../output.ts';
import { oneOf } from '../parse.ts';
import type { Verb } from '../verb.ts';

const verb: Verb = (base) =>
  base
    .argument('<shell>', shells.join(', '), oneOf('ilsvrc completions', shells))
    .addHelpText(
      'after',
      examples([
        ['source <(ilsvrc completions bash)', 'this shell; in ~/.bashrc each one'],
        ['source <(ilsvrc completions zsh)', 'in ~/.zshrc, after compinit'],
        ['ilsvrc completions fish > ~/.config/fish/completions/ilsvrc.fish', 'each shell'],
        ['ilsvrc completions powershell | Out-String | Invoke-Expression', 'in $PROFILE'],
      ]),
    )
    .action(async (shell, options) => {
      const output = new Output(options);
      const script = completionScript(shell);
      if (output.isJson) output.document({ version: 1, shell, script });
      else output.raw(script);
      await output.finish();
    });

export default verb;
