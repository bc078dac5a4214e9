#!/usr/bin/env bash
# Trains with GRPO on three nodes of four GPUs: one generates (a vLLM server), two train (FSDP).
#   sbatch examples/cluster/train.sh MODEL
#SBATCH --job-name=recode-train
#SBATCH --nodes=3
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
set -euo pipefail

model=${1:?a checkpoint folder or hub id}
here=$(dirname "$0")
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
server=${nodes[0]} trainer=${nodes[1]}

srun --nodes=1 --ntasks=1 --nodelist="$server" \
    trl vllm-serve --model "$model" --host 0.0.0.0 --port 8000 --data-parallel-size 4 &

# One launcher per training node; each starts a process per GPU.
export RECODE_SERVER="http://$server:8000" RECODE_HEAD="$trainer" RECODE_MODEL="$model"
export RECODE_CONFIG="$here/train-server.yaml"
srun --nodes=2 --ntasks=2 --nodelist="$trainer,${nodes[2]}" bash -c '
    exec accelerate launch --use_fsdp --fsdp_version 2 --mixed_precision bf16 \
        --num_machines 2 --num_processes 8 --machine_rank "$SLURM_PROCID" \
        --main_process_ip "$RECODE_HEAD" --main_process_port 29500 \
        -m recode_train.cli grpo --model "$RECODE_MODEL" --config "$RECODE_CONFIG" \
        --set "vllm_server_base_url=$RECODE_SERVER" --out train-runs/grpo'
