//! From an open file of wasm to an open file of compiled code.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use coracle_cache::{Cache, Digest, Digests, Entry, FetchError, Origin};
use rustix::fs::{MemfdFlags, memfd_create};

use crate::{CompileError, Compiler, Limit};

/// The cache, with what fills it.
#[derive(Clone, Debug)]
pub struct Store {
    cache: Cache,
    digests: Digests,
    compiler: Compiler,
}

impl Store {
    /// Joins the parts. `cache` and `compiler` are for the same compatibility.
    #[must_use]
    pub fn new(cache: Cache, digests: Digests, compiler: Compiler) -> Self {
        Self {
            cache,
            digests,
            compiler,
        }
    }

    /// The compiled form of this wasm, compiled where it is not there yet. Whoever wants the same at the
    /// same time waits for the one who compiles it.
    ///
    /// # Errors
    /// [`FetchError::Compile`] when the wasm is refused or too large, or the compiler fails, and
    /// [`FetchError::Shared`] when it did so for somebody else; otherwise when the file or the cache cannot
    /// be used.
    pub fn entry(&self, wasm: &File, origin: Origin) -> Result<Entry, FetchError<CompileError>> {
        self.accept(wasm).map_err(FetchError::Compile)?;
        let digest = self.digests.of(wasm, origin)?;
        match self.entry_of(&digest, wasm) {
            Err(FetchError::Compile(CompileError::OtherWasm { .. })) => {
                // It changed a moment ago, or in a way that its times do not show.
                let digest = self.digests.of(wasm, Origin::Elsewhere)?;
                self.entry_of(&digest, wasm)
            }
            fetched => fetched,
        }
    }

    /// The compiled form of wasm whose digest is known, as that of a blob in a content store: `wasm` is
    /// neither hashed nor read where the compiled form is there.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry), and [`CompileError::OtherWasm`] when what is to be compiled has another
    /// digest.
    pub fn entry_of(
        &self,
        digest: &Digest,
        wasm: &File,
    ) -> Result<Entry, FetchError<CompileError>> {
        self.cache.fetch(digest, |output| {
            self.accept(wasm)?;
            // Whoever can write the file could change it after it was hashed, and so put code of his own under
            // the digest of another's wasm. So what is hashed is what is compiled: a copy nobody else has.
            let copy = self.copy(wasm)?;
            let found = Digest::of_file(&copy).map_err(CompileError::to("read the wasm"))?;
            if found != *digest {
                return Err(CompileError::OtherWasm {
                    found,
                    expected: *digest,
                });
            }
            self.compiler.compile(&copy, output)
        })
    }

    /// The compiled form of this wasm, compiled anew: what was there did not fit the engine.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry).
    pub fn rebuilt(&self, wasm: &File, origin: Origin) -> Result<Entry, FetchError<CompileError>> {
        self.accept(wasm).map_err(FetchError::Compile)?;
        self.cache.remove(&self.digests.of(wasm, origin)?)?;
        self.entry(wasm, origin)
    }

    /// Refuses what has no end or is too large before a byte of it is read.
    fn accept(&self, wasm: &File) -> Result<(), CompileError> {
        let found = wasm
            .metadata()
            .map_err(CompileError::to("look at the wasm"))?;
        if !found.is_file() {
            let reason = "not wasm: it is no ordinary file".to_owned();
            return Err(CompileError::Refused { reason });
        }
        if found.len() > self.compiler.limits().input {
            return Err(self.compiler.too_large(Limit::Input));
        }
        Ok(())
    }

    /// A copy in memory, without a name. It ends with the process.
    fn copy(&self, wasm: &File) -> Result<File, CompileError> {
        let copy = || -> io::Result<(File, u64)> {
            let copy = File::from(memfd_create("wasm", MemfdFlags::CLOEXEC)?);
            let mut block = vec![0; BLOCK];
            let mut length = 0;
            while length <= self.compiler.limits().input {
                let read = match wasm.read_at(&mut block, length) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read?,
                };
                if read == 0 {
                    break;
                }
                copy.write_all_at(&block[..read], length)?;
                length += read as u64;
            }
            Ok((copy, length))
        };
        let (copy, length) = copy().map_err(CompileError::to("copy the wasm"))?;
        if length > self.compiler.limits().input {
            return Err(self.compiler.too_large(Limit::Input));
        }
        Ok(copy)
    }
}

/// How much is copied at a time.
const BLOCK: usize = 64 << 10;
