#!/usr/bin/env bash
# One run with a model of each kind: a command, a served one (the run starts and stops its server), a local one, one on a Ray cluster,
# and a hosted one (simulated). It is killed twice on its way, goes on, and prints one table; then two shards are joined without a call.
# No download and no GPU: the models are tiny or fake. Needs all extras: uv run --all-extras bash scripts/every_way.sh
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
folder=$(mktemp -d)
trap 'kill "${simulator:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
unisafe() { python -m unisafe_async.cli "$@"; }
python=$(command -v python)

PYTHONPATH=tests python -c "import sys, tiny_models.building as building; sys.argv[1:] = ['language', 'llama', '$folder/tiny']; building.main()" 2> /dev/null
python -m unisafe_async.cli simulate --port 0 --latency 0.02 > "$folder/simulator.txt" &
simulator=$!
until grep -q "simulated models at" "$folder/simulator.txt"; do :; done
url=$(sed -n 's/^simulated models at \([^:]*:[^:]*:[^:]*\):.*/\1/p' "$folder/simulator.txt")

cat > "$folder/bench.toml" <<TOML
[dataset]
source = "sample"
limit = 40
[generation]
max_tokens = 8
[cluster]
address = "local"
[judge]
provider = "simulated"
model = "judge"
simulation = { guess = 0.3 }
[[models]]
name = "a command"
provider = "command"
command = ["$python", "$root/recipes/fake_unified/serve_fake_unified.py"]
options = { seconds = 0.02 }
takes = ["text", "image"]
gives = ["text", "image"]
[[models]]
name = "a server"
provider = "server"
model = "fake"
serve = { command = ["$python", "$root/tests/fake_server.py", "{name}", "--host", "{host}", "--port", "{port}", "--latency", "0.02"] }
max_concurrency = 2
device = "cpu"
[[models]]
name = "on this machine"
provider = "transformers"
model = "tiny"
device = "cpu"
batch_size = 2
cluster = false
[[models]]
name = "on a cluster"
provider = "transformers"
model = "tiny"
device = "cpu"
dtype = "float32"
batch_size = 4
replicas = 2
[[models]]
name = "hosted"
provider = "openai"
base_url = "$url"
key_env = "SIMULATED_KEY"
model = "balanced"
takes = ["text", "image"]
gives = ["text", "image"]
price_in = 1.0
price_out = 2.0
price_image = 0.0
TOML
export SIMULATED_KEY=none
cd "$folder"

for seconds in 6 12; do
    python -m unisafe_async.cli run > "killed-$seconds.txt" 2>&1 &
    run=$!
    sleep "$seconds"
    kill -KILL "$run" 2>/dev/null || true
    wait "$run" 2>/dev/null || true
    echo "== killed after $seconds s: $(python - <<'PYTHON'
import duckdb
try:
    print(duckdb.connect("unisafe.duckdb", read_only=True).sql("SELECT count(*) FROM responses").fetchall()[0][0], "answers are kept")
except duckdb.Error:
    print("no answer yet")
PYTHON
)"
done
echo "== run to its end"
unisafe run
echo "== from the cache"
unisafe run | grep -E "items: "
left=$(pgrep -fc "serve_fake_unified|fake_server.py|unisafe_providers.local.worker" || true)
[ "$left" = 0 ] || { echo "$left processes are left" >&2; exit 1; }

echo "== two shards, joined"
for shard in 1 2; do
    unisafe run --shard "$shard/2" --cache "shard-$shard.duckdb" | grep -E "items: "
    unisafe export --output "shard-$shard.zip" --cache "shard-$shard.duckdb" > /dev/null
done
unisafe import shard-*.zip --cache whole.duckdb > /dev/null
unisafe plan --cache whole.duckdb | grep -E "calls? to make"
unisafe run --cache whole.duckdb | grep -E "items: "
