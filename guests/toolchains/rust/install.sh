#!/usr/bin/env bash
# Assembles a rustc with a std for wasm, for machines where `rustup target add` is not possible.
#   usage: install.sh DEST    with CLANG = the folder of the clang toolchain (its wasi-libc is used)
# The compiler is Debian's "rustc-web", unpacked and not installed; std is built here from the source
# package of the same version, because a std only fits the compiler it was built by.
# Debian removes superseded versions from its mirrors, so no version is pinned: what apt offers is taken.
set -euo pipefail

DEST=$1
TARGETS="wasm32-wasip1 wasm32-unknown-unknown"
INSTEAD="or give your own toolchain the targets: rustup target add $TARGETS"
# The linker of the targets and their std must agree on the C library: pinned by content.
LIBC_SHA256=aab1f54debc36478e2f7b062e0352d56c7a6520b4f6a4ace4c8df9c047973270

die() { echo "$*" >&2; exit 1; }

for tool in apt-get apt-cache dpkg cargo cc; do
  command -v "$tool" >/dev/null || die "no \`$tool\` on PATH; this needs Debian (or one like it) with cargo and gcc, $INSTEAD"
done
candidate() { apt-cache policy rustc-web | sed -n 's/.*Candidate: //p' | grep -v '(none)' || true; }
version=$(candidate)
if [ -z "$version" ] && [ "$(id -u)" = 0 ]; then
  apt-get update -qq >&2
  version=$(candidate)
fi
[ -n "$version" ] || die "apt does not know rustc-web: run \`apt-get update\` as root, $INSTEAD"

std=$(apt-cache show "libstd-rust-web-dev=$version" | sed -n 's/^Depends: \(libstd-rust-web-[0-9.]*\).*/\1/p')
llvm=$(apt-cache show "$std=$version" | grep -o 'libllvm[0-9]*' | head -n 1)
lld=lld-${llvm#libllvm}

work=$DEST/work
mkdir -p "$work/debs" "$work/unpacked" "$work/library" "$DEST/bin" "$DEST/lib/rustlib"
cd "$work/debs"
packages=("rustc-web=$version" "$std=$version" "libstd-rust-web-dev=$version" "rust-web-src=$version" "$llvm" "$lld")
# As root, apt complains that its own unprivileged user cannot write here; that is no failure.
apt-get download -qq "${packages[@]}" 2>apt.err ||
  { cat apt.err >&2; die "apt could not download ${packages[*]}: run \`apt-get update\` as root, $INSTEAD"; }
for deb in *.deb; do
  case $deb in
    rust-web-src_*) dpkg --fsys-tarfile "$deb" | tar x -C "$work/library" --strip-components=5 --wildcards './usr/src/rustc-*/library/*' ;;
    *) dpkg -x "$deb" "$work/unpacked" ;;
  esac
done

multiarch=$(uname -m)-linux-gnu
host=$(uname -m)-unknown-linux-gnu
cp -aL "$work/unpacked/usr/lib/$multiarch"/librustc_driver-*.so "$work/unpacked/usr/lib/$multiarch"/libLLVM.so."${llvm#libllvm}".* "$DEST/lib/"
cp -a "$work/unpacked/usr/lib/rustlib/$host" "$DEST/lib/rustlib/"
mkdir -p "$DEST/lib/rustlib/$host/bin"
cp -L "$work/unpacked/usr/bin/$lld" "$DEST/lib/rustlib/$host/bin/rust-lld"
cp "$work/unpacked/usr/bin/rustc" "$DEST/bin/rustc.bin"
# The wrapper finds its libraries beside itself, so that the finished folder can be renamed.
cat > "$DEST/bin/rustc" <<'WRAPPER'
#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH="$here/../lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/rustc.bin" "$@"
WRAPPER
chmod +x "$DEST/bin/rustc"

libc=$DEST/lib/rustlib/wasm32-wasip1/lib/self-contained
mkdir -p "$libc"
tar xf "$CLANG/node_modules/@yowasp/clang/gen/llvm-resources.tar" -C "$work" lib/wasm32-wasip1
cp "$work"/lib/wasm32-wasip1/{libc.a,crt1-command.o,crt1-reactor.o} "$libc/"
echo "$LIBC_SHA256  $libc/libc.a" | sha256sum --check --quiet >&2 || die "the C library of the clang toolchain is not the pinned one"

# No path of this machine may get into the guests: equal sources give equal files everywhere.
commit=$("$DEST/bin/rustc" -vV | sed -n 's/^commit-hash: //p')
remap="--remap-path-prefix=$work/library=/rustc/$commit/library --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
# RUSTC_BOOTSTRAP lets a released compiler build std; -Zforce-unstable-if-unmarked marks the crates as std's own.
# Only std itself is built: no crates for tests or macros, and no backtraces, which wasm guests cannot take.
RUSTC_BOOTSTRAP=1 RUSTC="$DEST/bin/rustc" CARGO_TARGET_DIR="$work/target" CARGO_PROFILE_RELEASE_DEBUG=0 \
RUSTFLAGS="-Cembed-bitcode=yes -Lnative=$libc $remap -Zforce-unstable-if-unmarked" \
  cargo build --quiet --release --locked --manifest-path "$work/library/std/Cargo.toml" \
    $(printf -- '--target %s ' $TARGETS) --features 'panic-unwind compiler-builtins-mem'
for target in $TARGETS; do
  mkdir -p "$DEST/lib/rustlib/$target/lib"
  cp "$work/target/$target/release/deps/"*.rlib "$DEST/lib/rustlib/$target/lib/"
done
rm -r "$work"
