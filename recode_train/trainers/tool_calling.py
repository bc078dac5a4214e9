"""A mixin over TRL's GRPOTrainer for rollouts with tools; stands behind `Recording`.

It takes rollouts out of their group whose tools the machine failed, keeps tokens that tools wrote
out of the counts, and mends what a model can break in TRL's loop.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_train.budget import Budget


@contextlib.contextmanager
def reading_deep_calls(tokenizer: Any) -> Iterator[None]:
    """Let TRL take a call whose JSON is nested too deep for text, as it takes other malformed ones.

    Without this a model that repeats an opening bracket some thousand times ends the training.
    """
    read = tokenizer.parse_response

    def parse_response(*values: Any, **more: Any) -> Any:
        try:
            return read(*values, **more)
        except RecursionError as error:
            raise ValueError("the call is nested too deep") from error

    tokenizer.parse_response = parse_response
    try:
        yield
    finally:
        del tokenizer.parse_response


class ToolCalling:
    """Mixin; stands between `Recording` and GRPOTrainer among the bases."""

    budget: Budget
    told: int
    # What GRPOTrainer has.
    accelerator: Any
    environments: Any
    model: Any
    tools: list[Any]
    _metrics: dict[str, Any]
    _tokenizer: Any

    def _generate(self, prompts: list[Any]) -> Any:
        with reading_deep_calls(self._tokenizer):
            result = super()._generate(prompts)  # type: ignore[misc]
        self.told = sum(mask.count(0) for mask in result[2])
        return result

    def _get_tool_suffix_ids(self, tool_messages: list[dict[str, Any]]) -> Any:
        """Render the results of calls; the name that a model made up is written nowhere.

        A template writes the name of the call before its results. One with a lone surrogate ends
        the training in the tokenizer.
        """
        known = {tool.__name__ for tool in self.tools}
        named = [
            message if message["name"] in known else {**message, "name": "unknown"}
            for message in tool_messages
        ]
        return super()._get_tool_suffix_ids(named)  # type: ignore[misc]

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> Any:
        """Return the rewards, NaN in all functions for a rollout that the machine failed.

        TRL leaves such a row out of its group's mean and deviation; its advantage is 0.
        """
        import torch

        sessions = [environment.session for environment in self.environments]
        lost = [session.raise_failure() for session in sessions]
        rewards = super()._calculate_rewards(  # type: ignore[misc]
            inputs, prompts, completions, completion_ids_list
        )
        device = self.accelerator.device
        rewards[self.accelerator.gather(torch.tensor(lost, device=device))] = torch.nan
        mine = [
            [session.calls, session.malformed, session.submissions, gone]
            for session, gone in zip(sessions, lost, strict=True)
        ]
        counts = self.accelerator.gather(torch.tensor(mine, device=device))
        calls, malformed, submitted, gone = map(int, counts.sum(dim=0))
        if self.model.training:
            self.budget.tool_calls += calls
            self.budget.programs_submitted += submitted
            self.budget.rollouts_unscored += gone
            metrics = self._metrics["train"]
            metrics["tools/malformed_frequency"].append(malformed / len(counts))
            metrics["tools/unscored"].append(float(gone))
        return rewards
