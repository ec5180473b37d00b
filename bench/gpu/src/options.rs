//! `--name value` and `--name` behind a subcommand.

use std::collections::HashMap;

/// The flags of a call.
pub(crate) struct Options {
    flags: HashMap<String, String>,
}

impl Options {
    /// Flags that are not among `known` are refused.
    pub(crate) fn parse(arguments: &[String], known: &[&str]) -> Result<Self, String> {
        let mut flags = HashMap::new();
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            let name = argument.strip_prefix("--").filter(|name| known.contains(name));
            let name =
                name.ok_or_else(|| format!("unknown argument {argument}; known: --{}", known.join(", --")))?;
            let value = rest.next_if(|next| !next.starts_with("--")).cloned().unwrap_or_default();
            flags.insert(name.to_string(), value);
        }
        Ok(Self { flags })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.flags.contains_key(name)
    }

    pub(crate) fn number(&self, name: &str, default: usize) -> Result<usize, String> {
        let parse = |text: &String| text.parse().map_err(|_| format!("--{name} {text} is not a number"));
        self.flags.get(name).map_or(Ok(default), parse)
    }

    /// The words of `--name a,b`; those of `default` where it is absent.
    pub(crate) fn words(&self, name: &str, default: &str) -> Vec<String> {
        let text = self.flags.get(name).map_or(default, String::as_str);
        text.split(',').filter(|word| !word.is_empty()).map(String::from).collect()
    }

    /// `--name bf16=790,tf32=400`: the number for each word.
    pub(crate) fn numbers_by_word(&self, name: &str) -> Result<HashMap<String, f64>, String> {
        let pair = |word: String| {
            let (key, value) = word.split_once('=').ok_or(format!("--{name} {word} is not word=number"))?;
            let value = value.parse().map_err(|_| format!("--{name} {word}: {value} is not a number"))?;
            Ok((key.to_string(), value))
        };
        self.words(name, "").into_iter().map(pair).collect()
    }
}
