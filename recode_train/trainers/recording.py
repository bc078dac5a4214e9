"""A mixin over TRL's GRPOTrainer that counts what is generated and checks what is prompted.

It overrides three methods that TRL does not document (`HOOKS`), as does `dynamic_sampling`; hence
the pinned version of TRL. The module itself imports nothing heavy.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_train.trainers.progress import Progress

TRL_VERSION: Final = "1.16"
HOOKS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "_tokenize_prompts": ("self", "prompts"),
        "_calculate_rewards": (
            "self", "inputs", "prompts", "completions", "completion_ids_list",
        ),
        "_generate_and_score_completions": ("self", "inputs"),
    }
)  # fmt: skip
"""The overridden methods of GRPOTrainer and their parameters."""


class Recording:
    """Mixin; stands before GRPOTrainer among the bases."""

    progress: Progress
    expected_ids: Mapping[str, Sequence[int]]
    """Text of a prompt -> its token ids, without a doubled BOS and with the open prefill."""
    last_rewards: Any
    """Rewards of the last round, completions of all processes x functions."""

    # What GRPOTrainer has.
    accelerator: Any
    model: Any
    num_generations: int
    num_iterations: int
    reward_weights: Any
    pad_to_multiple_of: int | None
    _tokenizer: Any
    _metrics: dict[str, Any]

    def _tokenize_prompts(self, prompts: list[str]) -> Any:
        result = super()._tokenize_prompts(prompts)  # type: ignore[misc]
        for text, ids in zip(prompts, result[0], strict=True):
            expected = list(self.expected_ids[text])
            if list(ids) != expected:
                # Rendered and checked before the training; so the trainer does what we do not know.
                raise RuntimeError(
                    f"the trainer makes {len(ids)} tokens of a prompt of {len(expected)}, "
                    f"beginning with {list(ids)[:3]} for {expected[:3]} (a doubled BOS?) and "
                    f"ending in {list(ids)[-3:]} for {expected[-3:]}"
                )
        return result

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[str],
        completions: list[str],
        completion_ids_list: list[list[int]],
    ) -> Any:
        import torch

        rewards = super()._calculate_rewards(  # type: ignore[misc]
            inputs, prompts, completions, completion_ids_list
        )
        self.last_rewards = rewards
        if self.model.training:
            mine = sum(len(ids) for ids in completion_ids_list)
            counts = torch.tensor([mine], device=self.accelerator.device)
            self.progress.tokens_generated += int(self.accelerator.gather(counts).sum())
            self.progress.completions_generated += len(rewards)
            self.progress.groups_sampled += len(rewards) // self.num_generations
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return self._round(inputs)
        output = self._batch(inputs)
        self.progress.tokens_trained += int(output["num_items_in_batch"]) * self.num_iterations
        return output

    def _batch(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what is trained on until the next generation."""
        return self._round(inputs)

    def _round(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Sample and score once."""
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        return output
