//! Handing a program to the kernel. It stays for as long as its group is there.

#![allow(
    unsafe_code,
    reason = "no crate has the system call `bpf` without a C library and a compiler for it"
)]

use std::ffi::{CStr, c_long};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

use super::filter::Instruction;
use crate::CgroupError;

// From `linux/bpf.h`.
const PROGRAM_LOAD: c_long = 5;
const PROGRAM_ATTACH: c_long = 8;
const FOR_DEVICES: u32 = 15;
const AT_DEVICES: u32 = 6;
/// A group below may have a program too, and both have to allow.
const ALLOW_MULTIPLE: u32 = 2;

/// The kernel gives its functions to programs of this licence only; this one calls none.
const LICENSE: &CStr = c"Apache-2.0";

/// The first fields of `union bpf_attr` for `PROGRAM_LOAD`. What a shorter one leaves out is zero.
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel: u32,
    flags: u32,
}

/// The same for `PROGRAM_ATTACH`.
#[repr(C)]
struct Attach {
    target: u32,
    program: u32,
    place: u32,
    flags: u32,
}

/// Has the kernel ask this program about every device that a process of the group uses.
pub(super) fn attach(folder: &Path, program: &[Instruction]) -> Result<(), CgroupError> {
    let failed = |operation| CgroupError::folder(operation, folder);
    let target = File::open(folder).map_err(failed("open"))?;
    let program = load(program).map_err(failed("load the filter of devices for"))?;
    let attributes = Attach {
        target: number(target.as_raw_fd()),
        program: number(program.as_raw_fd()),
        place: AT_DEVICES,
        flags: ALLOW_MULTIPLE,
    };
    bpf(PROGRAM_ATTACH, &attributes)
        .map(drop)
        .map_err(failed("attach the filter of devices to"))
}

/// Before Linux 5.11 programs count as locked memory, of which services have little.
fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    match load_once(program) {
        Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => {
            setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)?;
            load_once(program)
        }
        loaded => loaded,
    }
}

fn load_once(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        kind: FOR_DEVICES,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr().expose_provenance() as u64,
        license: LICENSE.as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel: 0,
        flags: 0,
    };
    let descriptor = bpf(PROGRAM_LOAD, &attributes)?;
    // SAFETY:
    // - the kernel has just opened this descriptor for this process, and nobody else knows it
    // - it is open, as the call has not failed
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Calls the kernel with attributes that fit the command.
fn bpf<A>(command: c_long, attributes: &A) -> io::Result<RawFd> {
    // SAFETY:
    // - `attributes` is valid for its size, and laid out as the kernel's own, since all of its types are
    //   `repr(C)` without padding; the kernel only reads it
    // - addresses in it are of a slice and of a string that outlive the call, with the slice's own length
    // - both commands open nothing but what they return, and write to no memory of this process, as no
    //   log is asked for
    let answer = unsafe {
        nix::libc::syscall(
            nix::libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<A>(),
        )
    };
    Errno::result(answer)?;
    RawFd::try_from(answer).map_err(io::Error::other)
}

/// A descriptor as the kernel's attributes have it; one that is open is not negative.
fn number(descriptor: RawFd) -> u32 {
    descriptor.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{ALWAYS, Rule, filter};
    use super::*;

    /// A group of version 2, which hosts with version 1 have too, beside it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let hybrid = Path::new("/sys/fs/cgroup/unified");
            let root = if hybrid.is_dir() {
                hybrid
            } else {
                Path::new("/sys/fs/cgroup")
            };
            let folder = root.join(format!("coracle-test-filter-{}", std::process::id()));
            std::fs::create_dir(&folder).unwrap();
            Self(folder)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(std::fs::remove_dir(&self.0));
        }
    }

    #[test]
    fn the_kernel_takes_what_rules_are_made_into() {
        let json = r#"[
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 200, "access": "rw"},
            {"allow": false, "type": "b", "major": 8, "access": "w"},
            {"allow": true, "major": 8, "minor": 1, "access": "m"}
        ]"#;
        let listed: Vec<oci_spec::runtime::LinuxDeviceCgroup> = serde_json::from_str(json).unwrap();
        let listed: Vec<Rule> = listed
            .iter()
            .map(|rule| Rule::parse(rule).unwrap())
            .collect();
        let scratch = Scratch::new();
        let all = [
            &[][..],
            &ALWAYS,
            &listed,
            &[&listed[..], &ALWAYS].concat(),
            &listed[..1],
        ];
        for rules in all {
            attach(&scratch.0, &filter::program(rules)).unwrap();
        }
    }

    #[test]
    fn a_program_that_the_kernel_refuses_is_an_error() {
        let scratch = Scratch(PathBuf::from("/proc/self"));
        let error = attach(&scratch.0, &filter::program(&[])).unwrap_err();
        assert!(error.to_string().starts_with("cannot attach"), "{error}");
        let error = attach(&scratch.0, &[0]).unwrap_err();
        assert!(error.to_string().starts_with("cannot load"), "{error}");
    }
}
