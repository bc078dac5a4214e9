"""RFT: sample answers, keep those that pass, and learn them as SFT learns the references.

Rejection sampling fine-tuning (Yuan et al. 2023, arXiv 2308.01825) in one round, the baseline that
Xiong et al. 2025 (arXiv 2504.11343, there RAFT) find close to GRPO. The sampling is
`trainers.sampling`'s; here is only what SFT does with the answers.
"""

from __future__ import annotations

from typing import Final

from recode_train.algorithms import Algorithm
from recode_train.trainers import sft

USES: Final = ("num_generations", "temperature", "top_p", "use_vllm", "vllm_gpu_memory_utilization",
               "vllm_tensor_parallel_size")  # fmt: skip
"""Settings of the sampling before the training."""

ALGORITHM: Final = Algorithm(
    name="rft",
    label="RFT",
    summary="sample answers, keep those that pass, and train on them",
    samples=False,
    asks=True,
    uses=USES,
    build=sft.build,
    check=sft.check,
    trained_tokens=sft.trained_tokens,
)
