//! What a pod costs: processes, descriptors, the size of programs. These are properties, not timings.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use coracle_integration::image::Form;
use coracle_integration::node::SHIM_DIR;
use coracle_integration::pod::PodContainer;
use coracle_integration::task::Runtime;
use coracle_integration::{Image, Node};

/// Largest shim, in bytes. It is mapped once for all pods of a node, but read from disk at each start.
const LARGEST_SHIM: u64 = 16 << 20;

fn image(name: &str) -> Result<Image> {
    let wasm = fs::read(coracle_guests::built(name)?)?;
    let reference = format!("coracle.test/host-{name}:file");
    Image::of_wasm(&reference, Form::File, &format!("{name}.wasm"), &wasm)
}

#[test]
fn the_shim_is_small_and_static() -> Result<()> {
    let folder = std::env::var(SHIM_DIR).with_context(|| format!("{SHIM_DIR} is not set"))?;
    let shim = fs::read(format!("{folder}/containerd-shim-coracle-v1"))?;
    let size = u64::try_from(shim.len())?;
    ensure!(size <= LARGEST_SHIM, "{size} bytes");
    let has = |text: &[u8]| shim.windows(text.len()).any(|part| part == text);
    ensure!(!is_interpreted(&shim), "it needs a dynamic linker");
    ensure!(!has(b"cranelift_codegen"), "it has the compiler in it");
    Ok(())
}

/// Whether an ELF file for 64 bits has a program header of type `PT_INTERP`.
fn is_interpreted(elf: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at + length).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (first, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|header| number(first + header * size, 4) == 3)
}

#[test]
fn a_dynamic_program_is_told_from_a_static_one() -> Result<()> {
    ensure!(is_interpreted(&fs::read("/proc/self/exe")?));
    Ok(())
}

#[tokio::test]
async fn a_pod_is_a_supervisor_a_sandbox_and_its_containers() -> Result<()> {
    let node = Node::start().await?;
    let sleeper = PodContainer::new("sleeper", &image("sleep")?);
    let pod = node.pod("lean").runtime("coracle").container(sleeper);
    let pod = pod.start().await?;
    pod.says("sleeper", "ready\n").await?;
    let processes = pod.processes()?;
    ensure!(processes.len() == 3, "{processes:#?}");
    pod.remove().await
}

#[tokio::test]
async fn a_guest_has_no_descriptor_that_is_not_its_own() -> Result<()> {
    let node = Node::shared().await?;
    let container = node
        .container("open")
        .image(&image("sleep")?)
        .runtime(Runtime::Coracle);
    let task = container.start().await?;
    task.says("ready\n").await?;
    let folder = format!("/proc/{}/fd", task.pid()?);
    let mut open = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        let number = entry.file_name().to_string_lossy().into_owned();
        open.push((number, fs::read_link(entry.path())?.display().to_string()));
    }
    let is_its_own = |(number, target): &(String, String)| {
        // Standard streams, its root, its compiled code, and what its own event loop waits with.
        ["0", "1", "2"].contains(&number.as_str())
            || target == "/"
            || target.ends_with(".cwasm")
            || ITS_OWN.contains(&target.as_str())
            || target.starts_with("socket:") && is_a_pair_of_its_own(target, &open_of(&folder))
    };
    let foreign: Vec<_> = open.iter().filter(|one| !is_its_own(one)).collect();
    ensure!(foreign.is_empty(), "{foreign:#?} of {open:#?}");
    Ok(())
}

/// What an event loop and random numbers need.
const ITS_OWN: [&str; 3] = [
    "anon_inode:[eventpoll]",
    "anon_inode:[eventfd]",
    "/dev/urandom",
];

/// Signals arrive through a pair of sockets, both ends of which the process has itself.
fn is_a_pair_of_its_own(_: &str, open: &[String]) -> bool {
    open.iter()
        .filter(|target| target.starts_with("socket:"))
        .count()
        <= 4
}

fn open_of(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.display().to_string()))
        .collect()
}
