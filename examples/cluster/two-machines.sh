#!/usr/bin/env bash
# Two machines without a scheduler. Install the same recode-eval on both (pip install
# 'recode-eval[vllm,ray]'), give both the model under the same path, and run this on the first one.
#   examples/cluster/two-machines.sh FIRST_IP SECOND_HOST MODEL
set -euo pipefail

first=${1:?the address of this machine, as the other one sees it}
second=${2:?the name of the other machine, reachable by ssh}
model=${3:?a checkpoint folder or hub id}
port=6379

ray start --head --node-ip-address "$first" --port "$port"
# Quoted twice: the other machine's shell reads these words again.
ssh "$second" "ray start --address $(printf %q "$first:$port")"
trap 'ssh "$second" "ray stop"; ray stop' EXIT

recode-eval --model "$model" --tasks arena,migration --n 20 \
    --executor ray --ray-address "$first:$port"
