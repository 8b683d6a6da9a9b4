//! The cache's promises, on real files.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{convert::Infallible, thread};

use tempfile::TempDir;

use super::*;

const PLENTY: u64 = 1 << 30;

fn cache(root: &TempDir, limit: u64) -> Cache {
    Cache::open(&root.path().join("cache"), "engine-1", limit).unwrap()
}

fn writes(code: &[u8]) -> impl FnOnce(&File) -> Result<(), Infallible> {
    move |mut file| {
        file.write_all(code).unwrap();
        Ok(())
    }
}

fn never(_: &File) -> Result<(), Infallible> {
    panic!("this is in the cache")
}

/// The code of an entry, without its seal.
fn code(entry: &Entry) -> Vec<u8> {
    let mut bytes = Vec::new();
    entry.file().read_to_end(&mut bytes).unwrap();
    bytes.truncate(bytes.len() - 80);
    bytes
}

#[test]
fn what_was_compiled_once_is_found_again() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let digest = Digest::of(b"wasm");
    assert_eq!(
        code(&cache.fetch(&digest, writes(b"code")).unwrap()),
        b"code"
    );
    assert_eq!(code(&cache.fetch(&digest, never).unwrap()), b"code");
    let name = format!("engine-1/{digest}.cwasm");
    assert_eq!(cache.path(&digest), cache.root.join(name));
}

#[test]
fn engines_do_not_see_each_others_code() {
    let root = tempfile::tempdir().unwrap();
    let first = cache(&root, PLENTY);
    let second = Cache::open(&root.path().join("cache"), "engine-2", PLENTY).unwrap();
    let digest = Digest::of(b"wasm");
    first.fetch(&digest, writes(b"one")).unwrap();
    assert!(second.find(&digest).unwrap().is_none());
    assert_eq!(
        code(&second.fetch(&digest, writes(b"two")).unwrap()),
        b"two"
    );
}

#[test]
fn a_failed_compilation_leaves_nothing_and_can_be_repeated() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let digest = Digest::of(b"wasm");
    let failed = cache.fetch(&digest, |mut file| {
        file.write_all(b"half").unwrap();
        Err("out of memory")
    });
    assert!(matches!(failed, Err(FetchError::Compile("out of memory"))));
    let left: Vec<_> = fs::read_dir(&cache.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, [format!("{digest}.lock")]);
    assert_eq!(
        code(&cache.fetch(&digest, writes(b"code")).unwrap()),
        b"code"
    );
}

#[test]
fn a_damaged_cut_or_foreign_entry_is_removed_and_rebuilt() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let (digest, other) = (Digest::of(b"wasm"), Digest::of(b"other"));
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes[0] ^= 1,
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(10),
        |bytes| bytes.extend(b"more"),
        Vec::clear,
    ];
    for damage in damages {
        let entry = cache.fetch(&digest, writes(b"some compiled code")).unwrap();
        let mut bytes = fs::read(entry.path()).unwrap();
        damage(&mut bytes);
        fs::write(entry.path(), bytes).unwrap();
        assert!(cache.find(&digest).unwrap().is_none());
        assert!(!entry.path().exists());
    }
    let entry = cache.fetch(&other, writes(b"another's code")).unwrap();
    fs::copy(entry.path(), cache.path(&digest)).unwrap();
    assert!(cache.find(&digest).unwrap().is_none());
}

#[test]
fn one_of_many_compiles_and_all_get_the_same() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let digest = Digest::of(b"wasm");
    let compilations = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let entry = cache.fetch(&digest, |file| {
                    compilations.fetch_add(1, Ordering::SeqCst);
                    // Long enough that the others come while this one compiles.
                    thread::sleep(Duration::from_millis(50));
                    writes(b"code")(file)
                });
                assert_eq!(code(&entry.unwrap()), b"code");
            });
        }
    });
    assert_eq!(compilations.load(Ordering::SeqCst), 1);
}

#[test]
fn eviction_takes_what_was_unused_for_longest_and_nothing_that_is_held() {
    let root = tempfile::tempdir().unwrap();
    let size = 1000 + 80;
    let cache = cache(&root, 2 * size);
    let digests = [b"a", b"b", b"c", b"d"].map(|wasm| Digest::of(wasm));
    let add = |digest| cache.fetch(digest, writes(&[0; 1000])).unwrap();
    let there = || digests.each_ref().map(|digest| cache.path(digest).exists());
    let age = |digest, seconds| {
        let file = File::options()
            .write(true)
            .open(cache.path(digest))
            .unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
            .unwrap();
    };
    let held = add(&digests[0]);
    age(&digests[0], 300);
    drop(add(&digests[1]));
    age(&digests[1], 200);
    drop(add(&digests[2]));
    assert_eq!(
        there(),
        [true, false, true, false],
        "the oldest is held, so the next one went"
    );
    drop(held);
    age(&digests[0], 300);
    drop(add(&digests[3]));
    assert_eq!(there(), [false, false, true, true]);
}

#[test]
fn a_folder_that_others_can_write_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("cache");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Cache::open(&folder, "engine-1", PLENTY).unwrap_err();
    assert!(
        matches!(refused, CacheError::Untrusted { mode: 0o777, .. }),
        "{refused}"
    );
}

#[test]
fn a_name_that_leads_out_of_the_cache_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for name in ["", "..", "a/b", ".hidden", &"x".repeat(65)] {
        let refused = Cache::open(root.path(), name, PLENTY).unwrap_err();
        assert!(
            matches!(refused, CacheError::Name { .. }),
            "{name:?}: {refused}"
        );
    }
}
