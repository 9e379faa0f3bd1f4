# What contributors type, with https://just.systems; each recipe can be typed by hand as well.

set shell := ["bash", "-euo", "pipefail", "-c"]

_list:
    @just --list --unsorted

# Get the linters, and build what the tests need
setup:
    python3 -m venv target/python
    target/python/bin/pip install --quiet pre-commit==4.7.0
    target/python/bin/pre-commit install
    cargo test --no-run

# Run every test, on a real control plane: `just test`, `just test --test cluster ttl`
test *args:
    cargo test {{ args }}

# Run the tests that need no cluster, less the models that try every order
test-fast *args:
    cargo test --lib --test core --test golden --test program {{ args }} -- --skip model::

# Play beside other controllers, webhooks and storage (docs/ecosystem.md): `just ecosystem kyverno`; not part of `just test`
ecosystem *args:
    cargo test --test ecosystem -- --nocapture {{ args }}

# Check format, Rust lints and the linters of everything else
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    PATH="$PWD/target/python/bin:$PATH" pre-commit run --all-files

# Write the generated files anew: docs/cli, policies, metrics, reasons, alerts, the chart's README and schema, the default policy file
docs:
    UPDATE_DOCS=1 cargo test --lib --test core --test program --test chart -- docs _doc

# Measure speed: all benches but the soak, or one of decide, serve, replace and peers
bench *names="decide serve replace peers":
    for name in {{ names }}; do cargo bench --bench "$name"; done

# Keep rejob under half of its load for so many minutes, then beside idle and slow clients
soak minutes="10":
    REJOB_SOAK_MINUTES={{ minutes }} cargo bench --bench soak

# Fuzz a target (review, hash, policy_file, manifest) for so many seconds
fuzz target="review" seconds="600":
    fuzz/run {{ target }} {{ seconds }}

# Measure which lines of the core its own tests run: at least 95 %. It needs cargo-llvm-cov and LLVM's tools, 22 for Rust 1.95
coverage *args:
    cargo llvm-cov --package rejob-core --fail-under-lines 95 {{ args }}

# Change the core in small ways, one after the other, and see whether its own tests notice: `just mutants --shard 0/8`
mutants *args:
    cargo mutants --package rejob-core {{ args }}

# Deploy while everything around rejob fails, run after run from a seed on (`--seed 1 --runs 1000 --commands 20`), until one fails
chaos *options:
    #!/usr/bin/env bash
    set -euo pipefail
    export REJOB_CHAOS_RUNS=1000
    set -- {{ options }}
    while (($# > 0)); do
        case "$1 ${2:-}" in
            "--seed "[0-9]*) export REJOB_CHAOS_SEED="$2" ;;
            "--runs "[0-9]*) export REJOB_CHAOS_RUNS="$2" ;;
            "--commands "[0-9]*) export REJOB_CHAOS_COMMANDS="$2" ;;
            *) echo "unknown option $1, or it has no number; use --seed N, --runs N, --commands N" >&2; exit 2 ;;
        esac
        shift 2
    done
    cargo test --quiet --test cluster -- chaos::promises_hold_in_chaos --exact --nocapture

# Have each call of a replacement fail in each way, for each kind of client
faults:
    REJOB_FAULTS=all cargo test --test cluster -- replace::faults

# Watch rejob at work, on a control plane of its own
demo *args:
    cargo run --example demo -- {{ args }}
