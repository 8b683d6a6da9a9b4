//! The cache's promises, on real files.

use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};
use std::{convert::Infallible, thread};

use tempfile::TempDir;

use super::*;

const PLENTY: u64 = 1 << 30;

fn cache(root: &TempDir, limit: u64) -> Cache {
    engine(root, "engine-1", limit)
}

fn engine(root: &TempDir, compatibility: &str, limit: u64) -> Cache {
    let (root, marks) = (root.path().join("cache"), root.path().join("marks"));
    Cache::open(&root, &marks, compatibility, limit).unwrap()
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
    let length = usize::try_from(entry.file().metadata().unwrap().len()).unwrap();
    let mut bytes = vec![0; length - 80];
    entry.file().read_exact_at(&mut bytes, 0).unwrap();
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
fn those_who_wait_for_a_failure_share_it_and_those_who_come_later_do_not() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let digest = Digest::of(b"wasm");
    let (compilations, fetches) = (AtomicU32::new(0), 4);
    let start = std::sync::Barrier::new(fetches);
    let fails = |_: &File| {
        compilations.fetch_add(1, Ordering::SeqCst);
        // Long enough that the others wait, and that the clock of files ticks.
        thread::sleep(Duration::from_millis(200));
        Err("it is too large")
    };
    let reasons: Vec<_> = thread::scope(|scope| {
        let fetch = || {
            start.wait();
            cache.fetch(&digest, fails).unwrap_err()
        };
        let all: Vec<_> = (0..fetches).map(|_| scope.spawn(fetch)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(compilations.load(Ordering::SeqCst), 1);
    let shared = |error: &FetchError<_>| matches!(error, FetchError::Shared { reason } if reason == "it is too large");
    assert_eq!(
        reasons.iter().filter(|error| shared(error)).count(),
        fetches - 1
    );
    assert_eq!(
        code(&cache.fetch(&digest, writes(b"code")).unwrap()),
        b"code"
    );
}

#[test]
fn engines_do_not_see_each_others_code() {
    let root = tempfile::tempdir().unwrap();
    let first = cache(&root, PLENTY);
    let second = engine(&root, "engine-2", PLENTY);
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
    assert_eq!(fs::read_dir(&cache.folder).unwrap().count(), 0);
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

/// Sets both times that say when an entry was last used.
fn used_before(cache: &Cache, digest: &Digest, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    let file = File::options()
        .write(true)
        .open(cache.path(digest))
        .unwrap();
    file.set_modified(then).unwrap();
    let since = then.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let then = nix::sys::time::TimeSpec::from_duration(since);
    nix::sys::stat::utimensat(
        nix::fcntl::AT_FDCWD,
        &cache
            .root
            .parent()
            .unwrap()
            .join("marks/entries")
            .join(cache.mark(digest)),
        &then,
        &then,
        nix::sys::stat::UtimensatFlags::NoFollowSymlink,
    )
    .unwrap();
}

#[test]
fn eviction_takes_what_was_unused_for_longest_and_nothing_that_is_held() {
    let root = tempfile::tempdir().unwrap();
    let size = 1000 + 80;
    let cache = cache(&root, 2 * size);
    let digests = [b"a", b"b", b"c", b"d"].map(|wasm| Digest::of(wasm));
    let add = |digest| cache.fetch(digest, writes(&[0; 1000])).unwrap();
    let there = || digests.each_ref().map(|digest| cache.path(digest).exists());
    let age = |digest, seconds| used_before(&cache, digest, seconds);
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
    let refused = Cache::open(&folder, &root.path().join("marks"), "engine-1", PLENTY).unwrap_err();
    assert!(
        matches!(refused, CacheError::Untrusted { mode: 0o777, .. }),
        "{refused}"
    );
}

#[test]
fn a_name_that_leads_out_of_the_cache_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for name in ["", "..", "a/b", ".hidden", &"x".repeat(65)] {
        let refused = Cache::open(root.path(), root.path(), name, PLENTY).unwrap_err();
        assert!(
            matches!(refused, CacheError::Name { .. }),
            "{name:?}: {refused}"
        );
    }
}

#[test]
fn a_look_up_leaves_the_entry_as_it_is_and_moves_it_to_the_end_of_the_queue() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, 2 * 1080);
    let digests = [b"a", b"b", b"c"].map(|wasm| Digest::of(wasm));
    for digest in &digests[..2] {
        cache.fetch(digest, writes(&[0; 1000])).unwrap();
    }
    used_before(&cache, &digests[0], 300);
    used_before(&cache, &digests[1], 200);
    // Setting its time changed the entry, so the first look-up reads it; the second only compares.
    for _ in 0..2 {
        let before = Identity::of(&File::open(cache.path(&digests[0])).unwrap()).unwrap();
        let entry = cache.find(&digests[0]).unwrap().unwrap();
        assert_eq!(Identity::of(entry.file()).unwrap(), before);
    }
    cache.fetch(&digests[2], writes(&[0; 1000])).unwrap();
    let there = digests.map(|digest| cache.path(&digest).exists());
    assert_eq!(there, [true, false, true]);
}

/// An entry is not read again while it is as it was: the damage is done below the file system's notice,
/// and then made to show by a change of its times.
#[test]
fn an_entry_is_read_once_and_again_when_anything_about_it_changed() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let digest = Digest::of(b"wasm");
    let entry = cache.fetch(&digest, writes(b"some compiled code")).unwrap();
    let damage = File::options().write(true).open(entry.path()).unwrap();
    damage.write_all_at(b"S", 0).unwrap();
    let identity = Identity::of(&damage).unwrap().to_string();
    cache.marks.write(&cache.mark(&digest), &identity);
    assert_eq!(
        code(&cache.find(&digest).unwrap().unwrap()),
        b"Some compiled code",
        "the mark vouches for it"
    );
    damage.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(cache.find(&digest).unwrap().is_none());
    assert!(!entry.path().exists());
    assert_eq!(cache.marks.read(&cache.mark(&digest)).unwrap(), None);
}

#[test]
fn a_removed_entry_stays_readable_for_whoever_has_it_open() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let digest = Digest::of(b"wasm");
    let entry = cache.fetch(&digest, writes(b"code")).unwrap();
    cache.remove(&digest).unwrap();
    assert!(cache.find(&digest).unwrap().is_none());
    assert_eq!(code(&entry), b"code");
    assert_eq!(
        code(&cache.fetch(&digest, writes(b"anew")).unwrap()),
        b"anew"
    );
    assert_eq!(code(&entry), b"code");
}

#[test]
fn the_next_compilation_sweeps_away_what_a_killed_one_left() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let old = SystemTime::now() - Duration::from_secs(61);
    let leave = |name: &str| {
        let path = cache.folder.join(name);
        let file = File::create(&path).unwrap();
        file.set_modified(old).unwrap();
        (path, file)
    };
    let (partial, _) = leave(".partial-killed");
    let (lock, _) = leave("0000.lock");
    let (writing, locked) = leave(".partial-at-work");
    locked.lock().unwrap();
    let (fresh, just_made) = leave(".partial-fresh");
    just_made.set_modified(SystemTime::now()).unwrap();
    cache.fetch(&Digest::of(b"wasm"), writes(b"code")).unwrap();
    let there = [partial, lock, writing, fresh].map(|path| path.exists());
    assert_eq!(there, [false, false, true, true]);
}

#[test]
fn digests_of_layers_are_kept_and_those_of_other_files_are_not() {
    let root = tempfile::tempdir().unwrap();
    let digests = Digests::open(&root.path().join("marks")).unwrap();
    let path = root.path().join("app.wasm");
    fs::write(&path, b"wasm").unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let layer = Origin::Layer { device: 1 };
    let marked = || fs::read_dir(digests.path()).unwrap().count();
    assert_eq!(digests.of(&file, layer).unwrap(), Digest::of(b"wasm"));
    assert_eq!(marked(), 0, "it changed a moment ago");
    settle(&file);
    assert_eq!(
        digests.of(&file, Origin::Elsewhere).unwrap(),
        Digest::of(b"wasm")
    );
    assert_eq!(marked(), 0, "it is of no layer");
    assert_eq!(digests.of(&file, layer).unwrap(), Digest::of(b"wasm"));
    assert_eq!(marked(), 1);
    let name = format!("1-{}", Identity::of(&file).unwrap().inode());
    let known = digests.marks.read(&name).unwrap().unwrap();
    let lie = known.replace(
        &Digest::of(b"wasm").to_string(),
        &Digest::of(b"lie").to_string(),
    );
    digests.marks.write(&name, &lie);
    assert_eq!(
        digests.of(&file, layer).unwrap(),
        Digest::of(b"lie"),
        "it is not read again"
    );
    file.write_all_at(b"WASM", 0).unwrap();
    assert_eq!(digests.of(&file, layer).unwrap(), Digest::of(b"WASM"));
}

/// Waits until another change of the file would show in its times.
fn settle(file: &File) {
    let end = Instant::now() + Duration::from_secs(10);
    while !Identity::of(file).unwrap().is_settled() {
        assert!(Instant::now() < end, "the clock stands still");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_look_up_of_a_large_module_costs() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let digests = Digests::open(&root.path().join("marks")).unwrap();
    for (size, name) in [(10 << 10, "10 KiB"), (30 << 20, "30 MiB")] {
        let mut wasm = tempfile::tempfile().unwrap();
        wasm.write_all(&vec![7; size]).unwrap();
        let layer = Origin::Layer { device: 1 };
        let start = Instant::now();
        let digest = digests.of(&wasm, layer).unwrap();
        cache.fetch(&digest, writes(&vec![9; size])).unwrap();
        println!("{name}: first {:?}", start.elapsed());
        settle(&wasm);
        digests.of(&wasm, layer).unwrap();
        let start = Instant::now();
        for _ in 0..100 {
            let digest = digests.of(&wasm, layer).unwrap();
            cache.fetch(&digest, never).unwrap();
        }
        println!("{name}: each later one {:?}", start.elapsed() / 100);
    }
}

#[test]
fn marks_that_cannot_be_made_cost_no_start() {
    let root = tempfile::tempdir().unwrap();
    let cache = cache(&root, PLENTY);
    let digest = Digest::of(b"wasm");
    // A folder in the place of a mark, as it can neither be read, replaced nor touched.
    let mark = root.path().join("marks/entries").join(cache.mark(&digest));
    fs::create_dir(&mark).unwrap();
    for _ in 0..2 {
        let entry = cache.fetch(&digest, writes(b"code")).unwrap();
        assert_eq!(code(&entry), b"code");
    }
}
