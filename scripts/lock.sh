#!/bin/sh
# Rewrites the lock files from pyproject.toml (docs/decisions/0002-lock-file.md). Run after changing a dependency.
set -eu
cd "$(dirname "$0")/.."
UV=${UV:-.tools/bin/uv}
$UV pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@" \
    --extra espeak -o requirements/runtime.lock pyproject.toml
$UV pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@" \
    -c requirements/runtime.lock --extra espeak --group dev -o requirements/dev.lock pyproject.toml
$UV pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@" \
    -o requirements/build.lock requirements/build.in
$UV pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@" \
    -o requirements/tools.lock requirements/tools.in
