//! The table entry of each kernel, from its text: name, threads, parameters, and what each pointer may touch.
//!
//! ```text
//! // extents: x = rows * maps; y = rows
//! extern "C" __global__ void __launch_bounds__(256) name(const float* x, float* y, int rows, int maps) {
//! ```

use std::fmt::Write;
use std::path::Path;

const START: &str = "extern \"C\" __global__ void";

/// A kernel as its source declares it.
#[derive(Debug, PartialEq)]
struct Kernel<'a> {
    name: &'a str,
    /// The first argument of `__launch_bounds__`.
    threads: &'a str,
    parameters: &'a str,
    /// (parameter, number of elements), both C++.
    extents: Vec<(&'a str, &'a str)>,
}

/// The C++ source that compiles a `.cu` file and enters its kernels into the driver's table.
pub(crate) fn table(path: &Path) -> Result<String, String> {
    let source = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let kernels = parse(&source).map_err(|e| format!("{}: {e}", path.display()))?;
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let mut text = format!("#include \"registry.h\"\n#include \"{file}\"\n");
    for kernel in kernels {
        let Kernel { name, threads, parameters, extents } = kernel;
        let names = parameter_names(parameters);
        let mut list = String::new();
        for (pointer, count) in extents {
            let index = names.iter().position(|n| *n == pointer);
            let index = index.ok_or_else(|| format!("{}: {name} has no {pointer}", path.display()))?;
            let _ = write!(
                list,
                "{{{index}, (long long)({count}), sizeof(*{pointer}), alignof(decltype(*{pointer}))}}, "
            );
        }
        let quoted: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
        let _ = writeln!(text, "static Extents extents_{name}({parameters}) {{ return {{{list}}}; }}");
        let _ = writeln!(
            text,
            "static RegisterKernel register_{name}(\"{name}\", {name}, {threads}, {{{}}}, extents_{name});",
            quoted.join(", ")
        );
    }
    Ok(text)
}

fn parse(source: &str) -> Result<Vec<Kernel<'_>>, String> {
    let mut kernels = Vec::new();
    for (at, _) in source.match_indices(START) {
        let line = source[..at].rfind('\n').map_or(0, |i| i + 1);
        if source[line..at].contains("//") {
            continue;
        }
        let mut rest = source[at + START.len()..].trim_start();
        let mut threads = "1024";
        if let Some(bounds) = rest.strip_prefix("__launch_bounds__") {
            let (inside, after) = parenthesis(bounds.trim_start())?;
            threads = split(inside, ',')[0].trim();
            rest = after.trim_start();
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').ok_or("a kernel without a name")?;
        let name = &rest[..end];
        let (parameters, after) =
            parenthesis(rest[end..].trim_start()).map_err(|e| format!("{name}: {e}"))?;
        if after.trim_start().starts_with(';') {
            continue;
        }
        let extents = extents_above(&source[..line]).map_err(|e| format!("{name}: {e}"))?;
        kernels.push(Kernel { name, threads, parameters, extents });
    }
    Ok(kernels)
}

/// The `// extents:` line among the comment lines that end `above`.
fn extents_above(above: &str) -> Result<Vec<(&str, &str)>, String> {
    let comments = above.lines().rev().take_while(|line| line.trim_start().starts_with("//"));
    let line = comments.map(|line| line.trim_start().trim_start_matches('/').trim_start());
    let Some(list) = line.filter_map(|line| line.strip_prefix("extents:")).next() else {
        return Ok(Vec::new());
    };
    let parts = split(list, ';');
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (pointer, count) =
                part.split_once('=').ok_or_else(|| format!("no = in the extent `{part}`"))?;
            Ok((pointer.trim(), count.trim()))
        })
        .collect()
}

/// The text inside the parenthesis that opens `text`, and what follows it.
fn parenthesis(text: &str) -> Result<(&str, &str), String> {
    let mut depth = 0;
    for (i, c) in text.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if depth == 0 {
            return if i == 0 { Err("no parenthesis".into()) } else { Ok((&text[1..i], &text[i + 1..])) };
        }
    }
    Err("a parenthesis is not closed".into())
}

/// Splits at a separator outside parentheses.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (i, c) in text.char_indices() {
        depth += i32::from(c == '(') - i32::from(c == ')');
        if c == separator && depth == 0 {
            parts.push(&text[start..i]);
            start = i + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn parameter_names(parameters: &str) -> Vec<&str> {
    let parts = split(parameters, ',');
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts
        .map(|part| &part[part.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1)..])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_read() {
        let source = r#"
// what it does
// extents: x = max(rows, 1) * maps; y = rows
// more
extern "C" __global__ void __launch_bounds__(detail::THREADS, 2)
kernel(const float* x,
       tile::bf16* __restrict__ y, int rows, int maps) {
}
"#;
        let kernels = parse(source).unwrap();
        assert_eq!(kernels.len(), 1);
        assert_eq!((kernels[0].name, kernels[0].threads), ("kernel", "detail::THREADS"));
        assert_eq!(parameter_names(kernels[0].parameters), ["x", "y", "rows", "maps"]);
        assert_eq!(kernels[0].extents, [("x", "max(rows, 1) * maps"), ("y", "rows")]);
    }

    #[test]
    fn extents_belong_to_the_kernel_below() {
        let source = r#"// extents: x = 1
extern "C" __global__ void a(float* x) {}

extern "C" __global__ void b(float* x) {}
"#;
        let kernels = parse(source).unwrap();
        assert_eq!(kernels[0].extents, [("x", "1")]);
        assert_eq!((kernels[1].extents.len(), kernels[1].threads), (0, "1024"));
    }

    #[test]
    fn mistakes_are_told() {
        assert!(parse("// extents: x\nextern \"C\" __global__ void a(float* x) {}").is_err());
        assert!(parse("extern \"C\" __global__ void a(float* x").is_err());
    }
}
