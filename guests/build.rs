//! Lists the guest programs, so that the catalogue cannot drift from the sources: a program is a guest by
//! being there. Writes the catalogue and the macro `for_each_guest!`, which tests are checked against.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// Where the programs of a language are, below `programs/`, and what tells one: the extension of a file, or
/// the file that a folder of its own holds.
const LANGUAGES: [(&str, &str, Program); 7] = [
    ("Rust", "rust/src/bin", Program::File("rs")),
    ("RustComponent", "components", Program::Folder("Cargo.toml")),
    ("Wat", "wat", Program::File("wat")),
    ("C", "c", Program::File("c")),
    ("Go", "go", Program::Folder("go.mod")),
    ("JavaScript", "js", Program::File("js")),
    ("Python", "python", Program::File("py")),
];

/// Each line names a program in Rust, and the guest that is the same program as a component.
const ADAPTED: &str = "rust/components.list";

enum Program {
    File(&'static str),
    Folder(&'static str),
}

struct Entry {
    name: String,
    language: &'static str,
    source: String,
}

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let programs = manifest.join("programs");
    let mut entries = adapted(&programs);
    for (language, folder, program) in &LANGUAGES {
        // A folder's own time changes when a program comes or goes, which is all that matters here.
        println!(
            "cargo::rerun-if-changed={}",
            programs.join(folder).display()
        );
        entries.extend(listed(&programs, language, folder, program));
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    fs::write(out.join("catalogue.rs"), generated(&entries)).expect("OUT_DIR is writable");
    println!("cargo::rustc-env=GUESTS_RUSTC={}", rustc_version());
    let host = env::var("HOST").expect("set by cargo");
    println!("cargo::rustc-env=GUESTS_HOST={host}");
}

fn adapted(programs: &Path) -> Vec<Entry> {
    let path = programs.join(ADAPTED);
    println!("cargo::rerun-if-changed={}", path.display());
    let list = fs::read_to_string(&path).expect("components.list is there");
    list.lines()
        .map(|line| {
            let (program, name) = line.split_once(' ').expect("two names a line");
            Entry {
                name: name.to_owned(),
                language: "RustAdapted",
                source: format!("rust/src/bin/{program}.rs"),
            }
        })
        .collect()
}

fn listed(programs: &Path, language: &'static str, folder: &str, program: &Program) -> Vec<Entry> {
    fs::read_dir(programs.join(folder))
        .expect("every language has a folder")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| match program {
            Program::File(extension) => path.extension().is_some_and(|found| found == *extension),
            Program::Folder(marker) => path.join(marker).is_file(),
        })
        .map(|path| {
            let text = |part: Option<&std::ffi::OsStr>| {
                part.and_then(|part| part.to_str())
                    .expect("names are UTF-8")
                    .to_owned()
            };
            Entry {
                name: text(path.file_stem()),
                language,
                source: format!("{folder}/{}", text(path.file_name())),
            }
        })
        .collect()
}

fn generated(entries: &[Entry]) -> String {
    let mut catalogue = String::from("static CATALOGUE: &[Guest] = &[\n");
    let mut calls = String::new();
    for Entry {
        name,
        language,
        source,
    } in entries
    {
        writeln!(
            catalogue,
            "    Guest {{ name: {name:?}, language: Language::{language}, source: {source:?} }},"
        )
        .expect("a string takes all");
        writeln!(calls, "        $each!({name});").expect("a string takes all");
    }
    format!(
        "{catalogue}];\n\n\
         /// Calls the given macro once for every guest, with the guest's name as an identifier.\n\
         #[macro_export]\n\
         macro_rules! for_each_guest {{\n    ($each:ident) => {{\n{calls}    }};\n}}\n"
    )
}

/// A guest compiled by the user's own toolchain is built anew when that toolchain changes.
fn rustc_version() -> String {
    let rustc = env::var_os("RUSTC").expect("set by cargo");
    let output = Command::new(rustc)
        .arg("--version")
        .output()
        .expect("rustc runs");
    String::from_utf8(output.stdout)
        .expect("a version is UTF-8")
        .trim()
        .to_owned()
}
