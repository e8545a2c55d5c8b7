#!/usr/bin/env bash
# Creates the virtual environment DIR with a pip in it, unless there is a working one. Usage: tools/venv.sh DIR
set -euo pipefail
dir=$1

works() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

if works "$dir/bin/python" && "$dir/bin/python" -m pip --version >/dev/null 2>&1; then
  exit 0
fi
if [ -e "$dir/bin/python" ] && ! works "$dir/bin/python"; then
  echo "$dir does not run Python 3.11 or newer; remove it (make clean) and try again" >&2
  exit 2
fi

python=
for candidate in ${PYTHON3:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
  if works "$candidate"; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "no Python 3.11 or newer among: ${PYTHON3:-python3 python3.11 ... python3.14 python}; install one," \
    "or name one: PYTHON3=/path/to/python3.12 make test" >&2
  exit 2
fi

if "$python" -c 'import ensurepip' >/dev/null 2>&1; then
  "$python" -m venv "$dir"
elif "$python" -m pip --version >/dev/null 2>&1; then
  # Debian and Ubuntu keep ensurepip in a package of its own (python3-venv); their pip can fill the venv instead.
  "$python" -m venv --without-pip "$dir"
  "$python" -m pip --python "$dir/bin/python" install pip
else
  echo "$python has neither ensurepip nor pip; install one (Debian: apt install python3-venv)" >&2
  exit 2
fi
