//! Our sources as text: their files, and the paths that a piece of Rust names.

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository.
#[derive(Debug, Clone)]
pub(crate) struct SourceFile {
    /// From the root of the repository, `src/domain/event.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// All files under a folder of the repository, in order.
    pub(crate) fn all_under(folder: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        let mut folders = vec![root.join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
                let path: PathBuf = entry.expect("an entry of a folder").path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let path = path.strip_prefix(root).expect("it lies in the repository").display().to_string();
                files.push(Self { path, text });
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// What stands before the tests, which end a file here and may use what they like.
    pub(crate) fn without_tests(&self) -> &str {
        self.text.split_once("\n#[cfg(test)]\nmod tests {").map_or(&self.text, |(code, _)| code)
    }
}

/// A word, or one sign; comments and the contents of literals are left out.
pub(crate) fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i = after_block_comment(&chars, i);
        } else if c == '"' {
            i = after_string(&chars, i);
        } else if let Some(end) = after_raw_string(&chars, i) {
            i = end;
        } else if c == '\'' {
            // A character, or a lifetime, whose quote has no partner.
            if at(i + 1) == '\\' {
                i += 3;
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
            } else {
                i += if at(i + 2) == '\'' { 3 } else { 1 };
            }
        } else if is_word(c) {
            let start = i;
            while is_word(at(i)) {
                i += 1;
            }
            tokens.push(chars[start..i].iter().collect());
        } else if c == ':' && at(i + 1) == ':' {
            tokens.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            i += 1;
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn after_block_comment(chars: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut i = start;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                i += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    break;
                }
            }
            _ => i += 1,
        }
    }
    i
}

fn after_string(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// `r"…"`, `r#"…"#`, `br##"…"##`; none where none begins.
fn after_raw_string(chars: &[char], start: usize) -> Option<usize> {
    let mut i = start;
    if chars.get(i) == Some(&'b') {
        i += 1;
    }
    if chars.get(i) != Some(&'r') {
        return None;
    }
    i += 1;
    let hashes = chars[i..].iter().take_while(|c| **c == '#').count();
    i += hashes;
    if chars.get(i) != Some(&'"') {
        return None;
    }
    i += 1;
    while i < chars.len() {
        let closed = chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
        if closed {
            return Some(i + 1 + hashes);
        }
        i += 1;
    }
    Some(i)
}

/// Every path that the source names, in parts, groups spread out: `use a::{b, c::d}` gives `a::b` and
/// `a::c::d`. A single word counts only where an import has it.
pub(crate) fn paths(source: &str) -> Vec<Vec<String>> {
    let tokens = tokens(source);
    let token = |i: usize| tokens.get(i).map_or("", String::as_str);
    let mut found = Vec::new();
    // For every open brace, what stands before it if it is a group of an import.
    let mut open: Vec<Option<Vec<String>>> = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let previous = if i == 0 { "" } else { token(i - 1) };
        match token(i) {
            "{" => open.push((previous == "use").then(Vec::new)),
            "}" => {
                open.pop();
            }
            word if word.chars().all(is_word) && !is_keyword(word) && begins_a_path(&tokens, i) => {
                let group = open.last().cloned().flatten();
                if previous == "as" && group.is_some() {
                    // Only another name for what stands before it.
                    i += 1;
                    continue;
                }
                let imported = group.is_some() || matches!(previous, "use" | "crate" | "::");
                let mut path = group.unwrap_or_default();
                path.push(word.to_owned());
                while token(i + 1) == "::" && token(i + 2).chars().all(is_word) && i + 2 < tokens.len() {
                    path.push(token(i + 2).to_owned());
                    i += 2;
                }
                if token(i + 1) == "::" && token(i + 2) == "{" {
                    open.push(Some(path));
                    i += 3;
                    continue;
                }
                if path.len() > 1 || imported {
                    found.push(path);
                }
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Not where `::` joins it to a word or a type before it; at the head of `::redis::Client` it does.
fn begins_a_path(tokens: &[String], i: usize) -> bool {
    let before = |n: usize| i.checked_sub(n).map_or("", |at| tokens[at].as_str());
    let joined = before(2) == ">" || (before(2).chars().all(is_word) && !is_keyword(before(2)));
    before(1) != "::" || !joined
}

/// Words that can stand before a path's first part and would be taken for it.
fn is_keyword(word: &str) -> bool {
    matches!(word, "use" | "pub" | "extern" | "as" | "mut" | "ref" | "dyn" | "impl" | "in" | "where" | "return")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &[&str]) {
        let found: Vec<_> = paths(source).iter().map(|path| path.join("::")).collect();
        assert_eq!(found, expected, "{source}");
    }

    #[test]
    fn imports_are_spread_out() {
        check("use redis;", &["redis"]);
        check("pub(crate) use redis::Client as C;", &["redis::Client"]);
        check("use a::{self, b, c::{d, e as f}, g::*};", &["a::self", "a::b", "a::c::d", "a::c::e", "a::g"]);
        check("use {redis, tokio::sync};", &["redis", "tokio::sync"]);
        check("use ::redis::Client;", &["redis::Client"]);
        check("extern crate redis;", &["redis"]);
    }

    #[test]
    fn paths_in_code_are_found() {
        check(
            "fn f(x: &redis::Client) -> crate::a::B { tokio::spawn(y) }",
            &["redis::Client", "crate::a::B", "tokio::spawn"],
        );
        check("let x = Vec::<redis::Value>::new();", &["redis::Value"]);
        check("#[derive(serde::Serialize)] struct A { b: u8 }", &["serde::Serialize"]);
        check("<T as super::Ledger>::apply(x)", &["super::Ledger"]);
        check("tracing::info!(a, \"b::c\");", &["tracing::info"]);
    }

    #[test]
    fn comments_and_literals_name_nothing() {
        check("// use redis;\n/* use a::b; /* c::d */ e::f */ g::h();", &["g::h"]);
        check(r##"f("a::b \" c::d", r#"e::f " g::h"#, 'x', '"', '\'', b'"', i::j::<'a>)"##, &["i::j"]);
    }
}
