#!/usr/bin/env bash
# What an accelerator is asked for, in one go on a bare machine (Python 3.12 with JAX, flax, optax, orbax; no network):
#   benchmarks/accelerator.sh PACK OUT ROW_SECONDS TASK_SECONDS TASKS_AT_ONCE [TASKS]
# Makes the record folders from PACK (accelerator_records.py), then runs side by side the tables of training and
# sampling at the paper's size (none where ROW_SECONDS is 0) and the networks of the task file TASKS. Results and logs
# come to OUT. `PLATFORM=cpu benchmarks/accelerator.sh PACK OUT 400 60 2 tiny.json` rehearses it.
set -euo pipefail
cd "$(dirname "$0")/.."
pack=$1 out=$2 row_seconds=$3 task_seconds=$4 at_once=$5 tasks=${6:-}
small=""
if [ "${PLATFORM:-}" = cpu ]; then small=--small JAX_PLATFORMS=cpu; export JAX_PLATFORMS; fi
records=${RECORDS:-/tmp/coltran-records}
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-/tmp/coltran-compiled}
export PYTHONPATH="$PWD:${PYTHONPATH:-}" TF_CPP_MIN_LOG_LEVEL=2
mkdir -p "$out"
if [ -n "$tasks" ]; then
  time python3 benchmarks/accelerator_records.py --pack "$pack" --out "$records"
  python3 benchmarks/accelerator.py tasks --tasks "$tasks" --records "$records" --out "$out" \
    --seconds "$task_seconds" --at_once "$at_once" &
fi
if [ "$row_seconds" != 0 ]; then
  python3 benchmarks/accelerator.py rows --out "$out" --seconds "$row_seconds" --at_once 9 $small
fi
wait
