#!/usr/bin/env bash
# Installs componentize-js, which puts a JavaScript engine and a script into one component.
#   usage: install.sh DEST
set -euo pipefail
command -v npm >/dev/null || { echo "no \`npm\` on PATH; install Node.js 20 or newer" >&2; exit 1; }
cp "$(dirname "$0")"/{package.json,componentize.mjs} "$1/"
cd "$1"
# Without a lock file: one made on this platform lacks the optional packages of others, and `npm ci` refuses it.
npm install --no-package-lock --no-audit --no-fund --ignore-scripts --loglevel=error >&2
