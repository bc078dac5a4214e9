"""A mixin over TRL's GRPOTrainer that counts the completions and checks the prompts.

It overrides methods that TRL does not document (`HOOKS`), as do `dynamic_sampling` and
`tool_calling`; hence the pinned version of TRL. The module itself imports nothing heavy.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_train.tool_calls import prompt_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recode_train.budget import Budget

TRL_VERSION: Final = "1.16"
HOOKS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "_tokenize_prompts": ("self", "prompts"),
        "_calculate_rewards": (
            "self", "inputs", "prompts", "completions", "completion_ids_list",
        ),
        "_generate_and_score_completions": ("self", "inputs"),
        "_generate": ("self", "prompts"),
        "_get_tool_suffix_ids": ("self", "tool_messages"),
    }
)  # fmt: skip
"""The overridden methods of GRPOTrainer and their parameters."""
TOLERANCE: Final = 1e-6
"""Rewards that differ by no more are equal."""


def flat_groups(
    rewards: Any, weights: Sequence[float], decisive: Sequence[bool], size: int
) -> list[bool]:
    """Tell for each group of `size` rows of `rewards` (completions x functions) whether it is flat.

    Flat are groups whose weighted sums over the decisive functions are equal, and those with fewer
    than two completions that any decisive function could score (NaN: could not).
    """
    chosen = [i for i, yes in enumerate(decisive) if yes]
    flat = []
    values = rewards[:, chosen].tolist()
    scale = [weights[i] for i in chosen]
    totals = [
        None
        if all(math.isnan(value) for value in row)
        else sum(w * v for w, v in zip(scale, row, strict=True) if not math.isnan(v))
        for row in values
    ]
    for start in range(0, len(totals), size):
        group = [total for total in totals[start : start + size] if total is not None]
        flat.append(len(group) < 2 or max(group) - min(group) <= TOLERANCE)
    return flat


def blank_holes(rewards: Any, size: int) -> Any:
    """Return `rewards` (completions x functions) with a function blank for all of a group or none.

    A completion that one function could not score (NaN) has a smaller sum than its equals: that
    function then says nothing about any completion of its group. A completion that no function
    could score leaves its group alone. A reward function sees its own process's part of a group.
    """
    import torch

    missing = rewards.isnan()
    holes = (missing & ~missing.all(dim=1, keepdim=True)).view(-1, size, rewards.size(1))
    wide = holes.any(dim=1, keepdim=True).expand(-1, size, -1).reshape(rewards.shape)
    return rewards.masked_fill(wide, torch.nan)


class Recording:
    """Mixin; stands before GRPOTrainer among the bases."""

    budget: Budget
    expected_ids: Mapping[str, Sequence[int]]
    """Text of a prompt -> its token ids, without a doubled BOS and with the open prefill."""
    decisive: Sequence[bool]
    """Which reward functions count in deciding if a group is flat."""
    told: int = 0
    """Tokens of the last completions that tools wrote, in this process."""
    last_flat: list[bool]
    """Which groups of the last round are flat, those of all processes."""

    last_equal: list[bool]
    """The same by all functions: the groups without any effect."""

    # What GRPOTrainer has.
    accelerator: Any
    args: Any
    model: Any
    num_generations: int
    num_iterations: int
    reward_weights: Any
    pad_to_multiple_of: int | None
    _tokenizer: Any
    _metrics: dict[str, Any]

    def _tokenize_prompts(self, prompts: list[Any]) -> Any:
        result = super()._tokenize_prompts(prompts)  # type: ignore[misc]
        for prompt, ids in zip(prompts, result[0], strict=True):
            expected = list(self.expected_ids[prompt_key(prompt)])
            if list(ids) != expected:
                # The prompts were checked before, so the trainer does something unexpected.
                raise RuntimeError(
                    f"the trainer makes {len(ids)} tokens of a prompt of {len(expected)}, "
                    f"beginning with {list(ids)[:3]} for {expected[:3]} (a doubled BOS?) and "
                    f"ending in {list(ids)[-3:]} for {expected[-3:]}"
                )
        return result

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> Any:
        import torch

        rewards = super()._calculate_rewards(  # type: ignore[misc]
            inputs, prompts, completions, completion_ids_list
        )
        rewards = blank_holes(rewards, self.num_generations)
        weights, size = self.reward_weights.tolist(), self.num_generations
        self.last_flat = flat_groups(rewards, weights, self.decisive, size)
        self.last_equal = flat_groups(rewards, weights, [True] * len(weights), size)
        if self.args.multi_objective_aggregation != "sum_then_normalize":
            # Equal sums may be of different parts, and each part has its own advantage.
            self.last_equal = [False] * len(self.last_equal)
        if self.model.training:
            mine = sum(len(ids) for ids in completion_ids_list) - self.told
            counts = torch.tensor([mine], device=self.accelerator.device)
            self.budget.tokens_generated += int(self.accelerator.gather(counts).sum())
            self.budget.completions_generated += len(rewards)
            self.budget.groups_sampled += len(self.last_flat)
            self.budget.groups_flat += sum(self.last_flat)
        return rewards

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return self._round(inputs)
        output = self._batch(inputs)
        self.budget.tokens_trained += int(output["num_items_in_batch"]) * self.num_iterations
        return output

    def _batch(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what is trained on until the next generation."""
        return self._round(inputs)

    def _round(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Sample and score once."""
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        share = len(output["advantages"])
        first = share * self.accelerator.process_index
        # The mean of equal rewards can differ from them in the last bit, and an optimizer that
        # scales gradients makes a whole update of that.
        for row in range(share):
            if self.last_equal[(first + row) // self.num_generations]:
                output["advantages"][row] = 0.0
        return output
