#!/bin/sh
# Makes .tools (uv) and .venv (tongdai with everything it needs, at the versions and hashes of requirements/*.lock).
# Needs Python 3.11 or later and nothing else; PYTHON=… chooses one. Safe to run again: it changes what differs.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "$*" >&2; }
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if new_enough "$candidate"; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    say "tongdai needs Python 3.11 or later (looked for: ${PYTHON:-python3, python3.11 and later})."
    say "Install one, or name it: make PYTHON=/path/to/python3.12 …"
    exit 1
}

# Debian and its kin ship Python without ensurepip, some without pip: three ways, the cleanest first.
install_uv() {
    rm -rf .tools
    if "$python" -c 'import ensurepip, venv' 2>/dev/null && "$python" -m venv .tools; then
        .tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.lock
    elif "$python" -m pip --version >/dev/null 2>&1; then
        rm -rf .tools
        "$python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.lock \
            --target .tools/packages
        mkdir .tools/bin
        ln -s ../packages/bin/uv .tools/bin/uv
    elif command -v uv >/dev/null 2>&1; then
        mkdir -p .tools/bin
        ln -s "$(command -v uv)" .tools/bin/uv
    else
        say "$python has neither venv with ensurepip nor pip. Install one of them;"
        say "on Debian and Ubuntu: apt install python3-venv"
        exit 1
    fi
    cp requirements/tools.lock .tools/tools.lock
}

# uv does not read pip's settings: somebody behind a mirror has usually told pip, and only pip, about it.
use_mirror_of_pip() {
    [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ] || return 0
    mirror=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
    [ -z "$mirror" ] || export UV_DEFAULT_INDEX="$mirror"
}

python=$(find_python)
if ! cmp -s requirements/tools.lock .tools/tools.lock || ! .tools/bin/uv --version >/dev/null 2>&1; then
    say "Installing uv into .tools …"
    install_uv
fi

export UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy
use_mirror_of_pip
if ! new_enough .venv/bin/python; then
    say "Creating .venv with $python …"
    .tools/bin/uv venv --quiet --clear --python "$python" .venv
fi
say "Installing tongdai and what it needs into .venv …"
.tools/bin/uv pip sync --quiet --python .venv --require-hashes requirements/dev.lock requirements/build.lock
.tools/bin/uv pip install --quiet --python .venv --no-deps --no-build-isolation -e .
touch .venv/.installed
