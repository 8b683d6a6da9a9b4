#!/usr/bin/env bash
# Installs clang, lld and a wasi-libc, themselves compiled to wasm and run by node: one package,
# the same on every distribution.
#   usage: install.sh DEST
set -euo pipefail
command -v npm >/dev/null || { echo "no \`npm\` on PATH; install Node.js 20 or newer" >&2; exit 1; }
cp "$(dirname "$0")"/{package.json,package-lock.json,compile.mjs} "$1/"
cd "$1"
npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >&2
