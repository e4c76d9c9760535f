#!/usr/bin/env bash
# Writes requirements/*.txt anew from pyproject.toml: exact versions with hashes and no addresses. Needs uv.
set -euo pipefail
cd "$(dirname "$0")/.."
export UV_PYTHON_DOWNLOADS=never
uv lock --quiet "$@"
options=(--quiet --frozen --no-header --no-annotate --no-emit-workspace --no-default-groups)
for group in gateway dispatcher scheduler monitor migrations standalone dev; do
    uv export "${options[@]}" --group "$group" -o "requirements/$group.txt"
done
