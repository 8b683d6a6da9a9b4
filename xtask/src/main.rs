//! Developer tasks: `cargo xtask`, one file and one `run` a task.

mod akri;
mod bench;
mod build;
mod cache;
mod ci;
mod cluster;
mod completions;
mod demo;
mod guests;
mod image;
mod lint;
mod prerequisites;
mod programs;
mod steps;
mod test;
mod toolchain;
mod vm;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Developer tasks of Coracle.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Run a pod: a real containerd, two wasm containers, and what they wrote
    ///
    /// Installs what is missing, builds the shim and the guests, starts a private containerd in
    /// namespaces of its own, creates a pod through CRI with runtime handler `coracle`, prints the
    /// logs of its containers, and removes everything.
    Demo(demo::Options),
    /// Run every test
    ///
    /// Installs what is missing, builds the shim and the guests, and runs the tests of all crates:
    /// the engine's own, and those against a real containerd.
    Test(test::Options),
    /// Build the shims and the compiler as they are shipped, and print the folder that holds them
    ///
    /// Static programs. What runs containers by hand finds them on a PATH that begins with this folder.
    Shims,
    /// Build the guest programs that the tests and the demo run
    Guests(guests::Options),
    /// Measure: time from start to exit, and memory of idle pods, beside runc
    Bench(bench::Options),
    /// A Kubernetes of one node with the runtime class `coracle`: up, down, status, kubectl, helm
    ///
    /// It runs in the background, in namespaces of its own, until `down`.
    Cluster(cluster::Options),
    /// Build the image of the chart's DaemonSet: static programs, the same digest from the same commit
    ///
    /// Writes an archive in the OCI image layout, which `ctr --namespace k8s.io images import` and other tools
    /// read, and prints where it is and the digest of the image.
    Image(image::Options),
    /// Run tests on an emulated machine with cgroup v2
    ///
    /// Most nodes of today have cgroup v2, many build machines do not. Boots Debian's kernel with the host's
    /// file system, runs tests of the harness there with what was just built, and says how they ended.
    Vm(vm::Options),
    /// Keep the emulated machine of a task, and end with it
    #[command(hide = true)]
    VmKeeper(vm::keeper::Options),
    /// Check formatting and lints
    Lint,
    /// What must pass before a change lands: `lint`, then `test`
    Ci,
    /// Print a completion script for a shell, to be sourced
    ///
    /// For example: source <(cargo xtask completions bash)
    Completions(completions::Options),
}

fn main() -> anyhow::Result<()> {
    let Some(task) = Arguments::parse().task else {
        return Ok(Arguments::command().print_help()?);
    };
    match task {
        Task::Demo(options) => demo::run(&options),
        Task::Test(options) => test::run(&options),
        Task::Shims => programs::run(),
        Task::Guests(options) => guests::run(&options),
        Task::Bench(options) => bench::run(&options),
        Task::Cluster(options) => cluster::run(&options),
        Task::Image(options) => image::run(&options),
        Task::Vm(options) => vm::run(&options),
        Task::VmKeeper(options) => vm::keeper::run(&options),
        Task::Lint => lint::run(),
        Task::Ci => ci::run(),
        Task::Completions(options) => {
            completions::run(&options, &mut Arguments::command());
            Ok(())
        }
    }
}
