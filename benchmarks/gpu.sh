#!/usr/bin/env bash
# The whole program on one GPU in ten minutes: `benchmarks/gpu.sh --help` says what it needs.
#
#   benchmarks/gpu.sh [...]                  in the project's own environment, which uv builds from PyPI
#   PYTHON=python3 benchmarks/gpu.sh [...]   with this interpreter, where no package index can be reached
set -euo pipefail
cd "$(dirname "$0")/.."

unset PYTHONDONTWRITEBYTECODE  # each check starts processes, and they start from compiled files
if [ -n "${PYTHON:-}" ]; then
  exec "$PYTHON" -m benchmarks.gpu "$@"
fi
command -v uv >/dev/null || pip install --quiet uv
exec uv run --quiet --all-extras python -m benchmarks.gpu "$@"
