#!/usr/bin/env bash
# Evaluates every checkpoint of a training on four nodes with four GPUs each, as one Slurm job.
# Submit it as often as you like: what is complete is skipped, what is half done goes on.
#   sbatch examples/cluster/slurm.sh 'train-runs/*/checkpoint-*'
#SBATCH --job-name=recode-eval
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=08:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail

models=${1:?the checkpoints, for example 'train-runs/*/checkpoint-*'}
port=6379
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{ print $1 }')

# Ray counts the cores of the whole machine: name those of the job.
resources=(--num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "$SLURM_GPUS_ON_NODE")
srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address "$address" --port "$port" "${resources[@]}" --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) \
        --exclude="$head" ray start --address "$address:$port" "${resources[@]}" --block &
fi
sleep 20

# The folder of --out must be one that all nodes see only if the models are written there too.
recode-eval sweep --models "$models" --tasks arena,migration,humaneval --n 20 \
    --out runs --executor ray --ray-address "$address:$port"
