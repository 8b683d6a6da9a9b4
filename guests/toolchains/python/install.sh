#!/usr/bin/env bash
# Installs componentize-py, which puts a Python interpreter and a program into one component.
#   usage: install.sh DEST
set -euo pipefail
python3 -m pip --version >/dev/null 2>&1 || { echo "no pip for \`python3\`; install python3-pip (Debian) or Python 3.10 or newer with pip" >&2; exit 1; }
# A plain folder and not a virtual environment, whose absolute paths would not survive a rename.
python3 -m pip install --quiet --disable-pip-version-check --no-compile --target "$1" componentize-py==0.25.1 >&2
