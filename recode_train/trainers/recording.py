"""A mixin over TRL's GRPOTrainer that counts the completions and checks the prompts.

It overrides methods that TRL does not document (`HOOKS`), as do `dynamic_sampling` and
`tool_calling`; hence the pinned version of TRL. The module itself imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import json
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from recode_train.tool_calls import prompt_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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


def blank_holes(rewards: Any, weights: Sequence[float], size: int) -> Any:
    """Return `rewards` (completions x functions) with a function blank for all of a group or none.

    A completion that one function could not score (NaN) has a smaller sum than its equals: that
    function then says nothing about any completion of its group. A completion that no function
    with a weight could score leaves its group alone, and has no reward at all. A reward function
    sees its own process's part of a group.
    """
    import torch

    counting = torch.tensor([weight != 0 for weight in weights], device=rewards.device)
    missing = rewards.isnan()
    lost = (missing | ~counting).all(dim=1, keepdim=True)
    holes = (missing & ~lost).view(-1, size, rewards.size(1))
    wide = holes.any(dim=1, keepdim=True).expand(-1, size, -1).reshape(rewards.shape)
    return rewards.masked_fill(wide | lost, torch.nan)


@contextlib.contextmanager
def without_dropout(model: Any) -> Iterator[None]:
    """Let the parts of a model in training work as they do when it is used.

    Completions are those of the model that will be evaluated; engines sample without dropout too.
    The model itself stays in training, because TRL asks it which of its counters to use.
    """
    parts = [part for part in model.modules() if part is not model and part.training]
    for part in parts:
        part.training = False
    try:
        yield
    finally:
        for part in parts:
            part.training = True


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

    copied: Callable[..., list[bool]] | None = None
    """Tells which completions are the old program (`rewards.Rewards.copied`)."""
    on_samples: Callable[[list[dict[str, Any]]], None] = staticmethod(lambda _: None)
    """Gets completions with their rewards, for people to read."""
    samples_wanted: int = 0
    samples_every: int = 1
    """Steps between two tables of completions, at least."""
    next_samples: int = 0
    kept_samples: list[dict[str, Any]]

    # What GRPOTrainer has.
    accelerator: Any
    environments: Any
    reward_func_names: Any
    state: Any
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

    def _generate(self, prompts: list[Any]) -> Any:
        with without_dropout(self.model):
            return super()._generate(prompts)  # type: ignore[misc]

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
        weights, size = self.reward_weights.tolist(), self.num_generations
        unscored = float(rewards.isnan().any(dim=1).float().mean())
        rewards = blank_holes(rewards, weights, size)
        self.last_flat = flat_groups(rewards, weights, self.decisive, size)
        self.last_equal = flat_groups(rewards, weights, [True] * len(weights), size)
        self.last_equal = self._without_effect(self.last_equal)
        if self.model.training:
            mine = sum(len(ids) for ids in completion_ids_list) - self.told
            counts = torch.tensor([mine], device=self.accelerator.device)
            self.budget.tokens_generated += int(self.accelerator.gather(counts).sum())
            self.budget.completions_generated += len(rewards)
            self.budget.groups_sampled += len(self.last_flat)
            self.budget.groups_flat += sum(self.last_flat)
            self._monitor(inputs, completions, unscored)
            self._keep_samples(inputs, completions, rewards)
        return rewards

    def _monitor(
        self, inputs: Sequence[Mapping[str, Any]], completions: Sequence[Any], unscored: float
    ) -> None:
        """Log what tells whether a reward can be earned without learning anything."""
        import torch

        metrics = self._metrics["train"]
        metrics["monitor/flat_share"].append(sum(self.last_flat) / len(self.last_flat))
        metrics["monitor/unscored_share"].append(unscored)
        if self.copied is not None:
            more = {} if self.environments is None else {"environments": self.environments}
            ids = [row["pair_id"] for row in inputs]
            mine = [float(yes) for yes in self.copied(completions=completions, pair_id=ids, **more)]
            every = self.accelerator.gather(torch.tensor(mine, device=self.accelerator.device))
            metrics["monitor/copy_rate"].append(float(every.mean()))

    def _keep_samples(
        self, inputs: Sequence[Mapping[str, Any]], completions: Sequence[Any], rewards: Any
    ) -> None:
        """Keep the first completions of this process for the table, if it is time for one."""
        self.kept_samples = []
        step = self.state.global_step
        if not self.accelerator.is_main_process or step < self.next_samples:
            return
        self.next_samples = step + self.samples_every
        shown = min(self.samples_wanted, len(inputs))
        for at, values in enumerate(rewards[:shown].tolist()):
            named = zip(self.reward_func_names, values, strict=True)
            self.kept_samples.append(
                {
                    "step": step + 1,
                    "pair": inputs[at]["pair_id"],
                    "completion": _as_text(completions[at]),
                    "rewards": {k: None if math.isnan(v) else v for k, v in named},
                }
            )

    def _without_effect(self, equal: list[bool]) -> list[bool]:
        """Return which groups have no effect, of those whose weighted rewards are equal."""
        if self.args.multi_objective_aggregation != "sum_then_normalize":
            # Equal sums may be of different parts, and each part has its own advantage.
            return [False] * len(equal)
        return equal

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.model.training:
            return self._round(inputs)
        output = self._batch(inputs)
        total = output.get("num_items_in_batch")
        if total is None:  # RLOO's batches do not say it
            total = self.accelerator.gather(output["completion_mask"].sum()).sum()
        self.budget.tokens_trained += int(total) * self.num_iterations
        return output

    def _batch(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return what is trained on until the next generation."""
        return self._round(inputs)

    def _round(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """Sample and score once."""
        self.kept_samples = []
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        share = len(output["advantages"])
        first = share * self.accelerator.process_index
        # The mean of equal rewards can differ from them in the last bit, and an optimizer that
        # scales gradients makes a whole update of that.
        for row in range(share):
            if self.last_equal[(first + row) // self.num_generations]:
                output["advantages"][row] = 0.0
        for row, sample in enumerate(self.kept_samples):
            sample["advantage"] = float(output["advantages"][row])
        if self.kept_samples:
            self.on_samples(self.kept_samples)
            self.kept_samples = []
        return output


def _as_text(completion: Any) -> str:
    """Return a completion as text; a conversation as JSON."""
    return completion if isinstance(completion, str) else json.dumps(completion, default=str)
