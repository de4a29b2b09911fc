#!/bin/sh
# Make a virtual environment with picograd in it, and find (or install) a GPU adapter.
#
#   scripts/bootstrap.sh          what running picograd needs
#   scripts/bootstrap.sh dev      with the tools for tests, types and docs as well
#
# System packages are installed only when something is missing, and only where root or a
# passwordless sudo allows. What could not be done is explained, and counted at the end.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
VENV=.venv
skipped=0

say() { printf 'bootstrap: %s\n' "$*"; }

skip() {
    skipped=$((skipped + 1))
    say "SKIPPED: $*"
}

# install_packages NAME…: through apt, as root or with a sudo that asks no password.
install_packages() {
    command -v apt-get >/dev/null 2>&1 || { say "this system has no apt-get"; return 1; }
    if [ "$(id -u)" -eq 0 ]; then
        as_root=''
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        say "installing $* needs root: run 'sudo apt-get install $*' and make again"
        return 1
    fi
    say "installing $* with apt-get"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            --no-install-recommends "$@" >/dev/null
}

check_python() {
    if ! command -v "$PYTHON" >/dev/null 2>&1; then
        say "no $PYTHON found: install Python 3.11 or newer, or set PYTHON=/path/to/python"
        exit 1
    fi
    if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        say "picograd needs Python 3.11 or newer, and $PYTHON is $("$PYTHON" -V 2>&1);" \
            "set PYTHON=/path/to/python"
        exit 1
    fi
}

make_environment() {
    if [ -x "$VENV/bin/python" ] && "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    say "creating $VENV with $("$PYTHON" -V)"
    if ! "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null; then
        version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        # Debian names the package of a particular Python after it; python3-venv is the default's.
        install_packages "python$version-venv" || install_packages python3-venv || {
            say "Python's venv module is missing, and a virtual environment needs it"
            exit 1
        }
    fi
    "$PYTHON" -m venv --clear "$VENV"
}

install_picograd() {
    say "installing picograd${1:-} and what it needs"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".${1:-}"
}

# install_pytorch: its build without CUDA, for the tests that compare with it. On Linux only that one
# has "+cpu" in its version; elsewhere every build is one. The configured index (a mirror, a folder of
# wheels) is asked first, then PyTorch's own.
install_pytorch() {
    version=$(sed -n 's/^pytorch = \["torch==\(.*\)"\]$/\1/p' pyproject.toml)
    [ "$(uname -s)" != Linux ] || version="$version+cpu"
    installed=$("$VENV/bin/python" -m pip show torch 2>/dev/null | sed -n 's/^Version: //p')
    [ "$installed" != "$version" ] || return 0
    say "installing PyTorch $version, for the tests that compare with it"
    pip_install="$VENV/bin/python -m pip install --quiet --disable-pip-version-check --retries 1"
    $pip_install "torch==$version" 2>/dev/null ||
        $pip_install --extra-index-url https://download.pytorch.org/whl/cpu "torch==$version" ||
        skip "comparisons with PyTorch, because torch $version could not be installed"
}

# find_adapter: true when there is one, false when there is none; anything else ends the script.
find_adapter() {
    status=0
    adapter=$("$VENV/bin/python" scripts/find_adapter.py) || status=$?
    case $status in
        0) return 0 ;;
        3) return 1 ;;
        *) say "looking for a GPU adapter failed"; exit 1 ;;
    esac
}

check_gpu() {
    if find_adapter; then
        say "GPU adapter: $adapter"
        return
    fi
    say "no GPU adapter found; Mesa's lavapipe is one in software"
    if install_packages mesa-vulkan-drivers libvulkan1 && find_adapter; then
        say "GPU adapter: $adapter"
    else
        skip "everything on the GPU, because there is no adapter;" \
            "'apt-get install mesa-vulkan-drivers libvulkan1' provides one in software"
    fi
}

check_python
make_environment
case "${1:-}" in
    dev)
        install_picograd '[dev]'
        install_pytorch
        ;;
    '') install_picograd ;;
    *) say "unknown argument '$1': expected nothing, or 'dev'"; exit 1 ;;
esac
check_gpu
say "done, $skipped parts skipped"
