//! The rules of the house that no compiler checks: who may name libtorch, which way imports run, which versions fit.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Result, machine, setup, step};

/// The floors of ARCHITECTURE.md: a module imports from lower floors only, so that there are no circles. Seeds and
/// progress stand on their first floor too, and below it here, since their neighbours may import them.
const FLOORS: &[(&str, u8)] = &[
    ("seed", 0),
    ("progress", 0),
    ("words", 0),
    ("ct", 1),
    ("stats", 1),
    ("tables", 2),
    ("readers", 3),
    ("transforms", 3),
    ("encoder", 1),
    ("method", 2),
    ("baseline", 3),
    ("features", 3),
    ("journal", 3),
    ("hub", 3),
    ("cohort", 4),
    ("card", 4),
    ("convert", 5),
    ("heads", 5),
    ("index", 5),
    ("scans", 6),
    ("torch", 5),
    ("eval", 5),
    ("explain", 5),
    ("audit", 6),
    ("report", 6),
    ("recipe", 6),
    ("claims", 7),
    ("study", 7),
    ("preview", 7),
    ("pretrain", 8),
    ("volumes", 8),
    ("error", 9),
    ("cli", 9),
    ("lib", 10),
    ("main", 10),
];

/// Who may import from `torch`, besides itself: all others start from a feature table.
const KNOW_TORCH: &[&str] = &["study", "pretrain", "volumes", "cli", "error"];

/// Checks all rules and lists every breach.
pub fn all() -> Result<()> {
    eprintln!("[rules] imports, libtorch, versions");
    let root = step::root();
    let mut breaches = Vec::new();
    for path in sources(&root.join("src"))? {
        let text = fs::read_to_string(&path).map_err(|error| machine::io("read", &path, &error))?;
        let shown = path.strip_prefix(&root).unwrap_or(&path);
        breaches.extend(
            breaches_of(module(shown), &text)
                .into_iter()
                .map(|breach| format!("{}: {breach}", shown.display())),
        );
    }
    let lock = root.join("Cargo.lock");
    let text = fs::read_to_string(&lock).map_err(|error| machine::io("read", &lock, &error))?;
    breaches.extend(version_breaches(&text));
    if breaches.is_empty() {
        Ok(())
    } else {
        Err(format!("rules of the house are broken\n  {}", breaches.join("\n  ")))
    }
}

/// Every Rust file under the folder, sorted.
fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in folder
            .read_dir()
            .map_err(|error| machine::io("list", &folder, &error))?
        {
            let path = entry.map_err(|error| machine::io("list", &folder, &error))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// `src/heads/knn.rs` and `src/heads.rs` are of the module `heads`.
fn module(path: &Path) -> &str {
    let first = path
        .components()
        .nth(1)
        .map_or(Path::new(""), |part| Path::new(part.as_os_str()));
    first.file_stem().and_then(|stem| stem.to_str()).unwrap_or("")
}

fn breaches_of(module: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let code = code(text);
    if module != "torch" {
        for name in ["tch::", "torch_sys::"] {
            breaches.extend(
                words(&code, name)
                    .first()
                    .map(|_| format!("names `{name}`, which only src/torch may")),
            );
        }
    }
    let floor = |name: &str| {
        FLOORS
            .iter()
            .find(|(module, _)| *module == name)
            .map(|(_, floor)| *floor)
    };
    for import in imports(&code).into_iter().filter(|import| *import != module) {
        if import == "torch" && !KNOW_TORCH.contains(&module) {
            breaches
                .push("imports `crate::torch`: start from a feature table, or add the module to KNOW_TORCH".to_owned());
        } else if let (Some(own), Some(other)) = (floor(module), floor(import))
            && other >= own
        {
            breaches.push(format!(
                "imports `crate::{import}` of floor {other} from floor {own}: imports run down only"
            ));
        }
    }
    breaches.dedup();
    breaches
}

/// The text without comments and without the unit tests at its end, which may use what they like.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// What follows each occurrence of the word, which may be part of a path but not of a longer name (`batch::`).
fn words<'a>(code: &'a str, word: &str) -> Vec<&'a str> {
    let starts = code.match_indices(word).filter(|(at, _)| {
        let before = code[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    });
    starts.map(|(at, _)| &code[at + word.len()..]).collect()
}

/// The modules that `crate::name` and `crate::{name, other::{..}}` name.
fn imports(code: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for rest in words(code, "crate::") {
        let Some(group) = rest.strip_prefix('{') else {
            modules.extend(name(rest));
            continue;
        };
        let (mut depth, mut start) = (1, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                modules.extend(name(group[start..at].trim_start()));
                start = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    modules
}

/// The lower-case name that the text begins with: a type is re-exported from who knows where and tells no floor.
fn name(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    Some(&text[..end]).filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// Two versions of ndarray are two `Array` types that don't fit; torch-sys fits one libtorch only.
fn version_breaches(lock: &str) -> Vec<String> {
    let of = |name: &str| -> Vec<&str> {
        let head = format!("name = \"{name}\"");
        let lines = lock.lines().zip(lock.lines().skip(1)).filter(|(line, _)| *line == head);
        lines
            .filter_map(|(_, version)| version.strip_prefix("version = "))
            .map(|v| v.trim_matches('"'))
            .collect()
    };
    let mut breaches = Vec::new();
    if of("ndarray").len() > 1 {
        breaches.push(format!(
            "Cargo.lock: more than one ndarray, `cargo tree -i ndarray@VERSION`: {:?}",
            of("ndarray")
        ));
    }
    if of("torch-sys") != [setup::TORCH_SYS] {
        let (found, expected) = (of("torch-sys"), setup::TORCH_SYS);
        let pins = format!("the pins of xtask/src/setup.rs are for {expected}");
        breaches.push(format!(
            "Cargo.lock: torch-sys is {found:?}, {pins} and libtorch {}",
            setup::TORCH
        ));
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_no_tch() {
        assert_eq!(
            breaches_of("heads", "use crate::batch::Batch; // or tch::Tensor"),
            [""; 0]
        );
        assert_eq!(breaches_of("heads", "fn f(t: tch::Tensor) {}").len(), 1);
        assert_eq!(breaches_of("torch", "fn f(t: tch::Tensor) {}"), [""; 0]);
    }

    #[test]
    fn imports_of_groups_run_down_only() {
        let text = "use crate::{\n    ct::{Hu, Pixels},\n    seed, Error,\n    report::Format,\n};\nfn f() { crate::eval::auc() }";
        assert_eq!(imports(text), ["ct", "seed", "report", "eval"]);
        let breaches = breaches_of("heads", text);
        assert_eq!(breaches.len(), 2, "{breaches:?}");
        assert!(breaches[0].contains("crate::report"), "{breaches:?}");
    }

    #[test]
    fn only_some_know_torch_and_tests_may_import_anything() {
        assert_eq!(breaches_of("report", "use crate::torch::Card;").len(), 1);
        assert_eq!(breaches_of("study", "use crate::torch::Card;"), [""; 0]);
        assert_eq!(
            breaches_of("ct", "fn f() {}\n#[cfg(test)]\nmod tests { use crate::study; }"),
            [""; 0]
        );
    }

    #[test]
    fn two_ndarrays_and_another_torch_sys_are_breaches() {
        let package = |name, version| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n");
        let good = package("ndarray", "0.16.1") + &package("torch-sys", setup::TORCH_SYS);
        assert_eq!(version_breaches(&good), [""; 0]);
        let bad = package("ndarray", "0.16.1") + &package("ndarray", "0.17.2") + &package("torch-sys", "0.27.0");
        assert_eq!(version_breaches(&bad).len(), 2);
    }

    #[test]
    fn the_module_is_the_first_part_below_src() {
        assert_eq!(module(Path::new("src/heads/knn.rs")), "heads");
        assert_eq!(module(Path::new("src/error.rs")), "error");
    }
}
