"""DAPO's dynamic sampling, which TRL 1.16 lacks: train only on groups whose rewards vary.

Source: Yu et al. 2025, *DAPO*, arXiv 2503.14476, section 3.2. A group whose rewards are all equal
has zero advantages and only dilutes the batch; it is dropped, and other prompts are sampled in its
place, up to a number of rounds. Then groups without effect (masked) fill the batch.

Every process sees all rewards and the whole batch, so all of them take the same decisions; each
trains on its share. The prompts for refills come from a stream whose position is part of the
checkpoints. The class is a mixin over TRL's GRPOTrainer (see `recording`).
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from recode_train.trainers.recording import Recording

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_train.trainers.ordering import PromptStream

_LOG: Final = logging.getLogger(__name__)
_PROMPT: Final = ("prompt_ids", "prompt_mask")
_COMPLETION: Final = (
    "completion_ids", "completion_mask", "old_per_token_logps", "ref_per_token_logps",
    "sampling_per_token_logps", "importance_sampling_ratio", "tool_mask",
)  # fmt: skip
"""One value per token of the completion (the last one, in some modes, one per completion)."""
_ROW: Final = ("advantages",)
_TOTAL: Final = "num_items_in_batch"

Row = dict[str, Any]
"""One completion: its tensors, without padding."""
Group = list[Row]


def groups_to_draw(missing: int, size: int, processes: int) -> int:
    """Return the smallest number of groups, `missing` or more, that processes share evenly."""
    step = processes // math.gcd(processes, size)
    return math.ceil(missing / step) * step


def to_rows(batch: Mapping[str, Any]) -> list[Row]:
    """Split a padded batch into rows without padding, on the CPU."""
    known = {*_PROMPT, *_COMPLETION, *_ROW, _TOTAL}
    if unknown := sorted(set(batch) - known):
        raise RuntimeError(f"dynamic sampling does not know {unknown[0]} of TRL's batches")
    rows = []
    for index in range(len(batch["advantages"])):
        prompt = int(batch["prompt_mask"][index].sum())
        # A mask of zeros is that of a completion taken out of the loss; its length is not known.
        width = batch["completion_ids"].size(1)
        length = int(batch["completion_mask"][index].sum()) or width
        row = {}
        for name, tensor in batch.items():
            if name in _PROMPT:
                row[name] = tensor[index, tensor.size(1) - prompt :].cpu()
            elif name in _COMPLETION:
                row[name] = tensor[index, :length].cpu()
            elif name in _ROW:
                row[name] = tensor[index].cpu()
        rows.append(row)
    return rows


def to_batch(rows: Sequence[Row], pad_id: int, multiple: int | None, device: Any) -> dict[str, Any]:
    """Pad rows to a batch: prompts on the left, completions on the right."""
    import torch

    batch: dict[str, Any] = {}
    for name in rows[0]:
        tensors = [row[name] for row in rows]
        if name in _ROW:
            batch[name] = torch.stack(tensors).to(device)
            continue
        width = max(tensor.size(0) for tensor in tensors)
        if multiple and name != "importance_sampling_ratio":
            width = math.ceil(width / multiple) * multiple
        value = pad_id if name in {"prompt_ids", "completion_ids"} else 0
        padded = torch.full((len(rows), width), value, dtype=tensors[0].dtype)
        for target, tensor in zip(padded, tensors, strict=True):
            if name in _PROMPT:
                target[width - tensor.size(0) :] = tensor
            else:
                target[: tensor.size(0)] = tensor
        batch[name] = padded.to(device)
    return batch


def _trained(row: Row) -> Any:
    """Return which tokens have a loss: not those of a tool's result."""
    mask = row["completion_mask"]
    return mask * row["tool_mask"] if "tool_mask" in row else mask


def masked(group: Group) -> Group:
    """Return the group without any effect on the loss."""
    return [
        {
            **row,
            "completion_mask": row["completion_mask"] * 0,
            "advantages": row["advantages"] * 0,
        }
        for row in group
    ]


class DynamicSampling(Recording):
    """Mixin: a batch is sampled in as many rounds as it takes."""

    refills: PromptStream
    rounds: int
    rows: Sequence[Mapping[str, Any]]
    """The rows of the prompts that `refills` numbers."""
    _warned = False

    def _batch(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        processes = self.accelerator.num_processes
        wanted = len(inputs) * processes // self.num_generations
        output = self._round(inputs)
        flat = self.last_flat
        rounds, masks, surplus = 1, 0, 0
        if any(flat):
            fillers = self._collect(output, flat)
            kept = self._collect(output, [not yes for yes in flat])
            seen = self._numbers(inputs)
            while len(kept) < wanted and rounds < self.rounds:
                drawn = groups_to_draw(wanted - len(kept), self.num_generations, processes)
                numbers = self.refills.take(drawn, seen)
                seen |= set(numbers)
                with self._first_round_metrics():
                    output = self._round(self._share_of(numbers))
                kept += self._collect(output, [not yes for yes in self.last_flat])
                rounds += 1
            surplus = max(0, len(kept) - wanted)
            masks = max(0, wanted - len(kept))
            kept = kept[:wanted] + [masked(group) for group in fillers[:masks]]
            output = self._assemble(kept)
            self.budget.refill_cursor = self.refills.cursor
        self.budget.groups_masked += masks
        self.budget.groups_surplus += surplus
        self._tell(rounds, masks, surplus, wanted)
        return output

    def _numbers(self, inputs: Sequence[Mapping[str, Any]]) -> set[int]:
        from accelerate.utils import gather_object

        ids = set(gather_object([row["pair_id"] for row in inputs]))
        return {number for number, row in enumerate(self.rows) if row["pair_id"] in ids}

    def _share_of(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Return this process's part of the rows that make groups of the prompts."""
        rows = [dict(self.rows[n]) for n in numbers for _ in range(self.num_generations)]
        share = len(rows) // self.accelerator.num_processes
        start = share * self.accelerator.process_index
        return rows[start : start + share]

    def _collect(self, output: Mapping[str, Any], chosen: Sequence[bool]) -> list[Group]:
        """Return the chosen groups of a round, those of all processes, in their order."""
        from accelerate.utils import gather_object

        size = self.num_generations
        rows = to_rows(output)
        first = len(rows) * self.accelerator.process_index
        mine = [row for at, row in enumerate(rows, start=first) if chosen[at // size]]
        every = gather_object(mine)
        return [every[start : start + size] for start in range(0, len(every), size)]

    def _assemble(self, groups: Sequence[Group]) -> dict[str, Any]:
        """Make this process's batch of the groups that all processes agreed on."""
        import torch

        rows = [row for group in groups for row in group]
        share = len(rows) // self.accelerator.num_processes
        start = share * self.accelerator.process_index
        batch = to_batch(
            rows[start : start + share],
            self._tokenizer.pad_token_id,
            self.pad_to_multiple_of,
            self.accelerator.device,
        )
        total = sum(int(_trained(row).sum()) for row in rows)
        batch[_TOTAL] = torch.tensor(total, device=self.accelerator.device)
        return batch

    @contextlib.contextmanager
    def _first_round_metrics(self) -> Iterator[None]:
        """Keep TRL's metrics those of the first round.

        They are then those of prompts nobody selected, and comparable with GRPO's; refills are
        drawn because others were flat.
        """
        metrics = self._metrics["train"]
        self._metrics["train"] = defaultdict(list)
        try:
            yield
        finally:
            metrics["num_tokens"] = self._metrics["train"]["num_tokens"]
            self._metrics["train"] = metrics

    def _tell(self, rounds: int, masks: int, surplus: int, wanted: int) -> None:
        metrics = self._metrics["train"]
        metrics["dynamic_sampling/rounds"].append(float(rounds))
        metrics["dynamic_sampling/groups_masked"].append(float(masks))
        metrics["dynamic_sampling/groups_surplus"].append(float(surplus))
        if masks == wanted and not self._warned and self.accelerator.is_main_process:
            self._warned = True
            _LOG.warning(
                "in %d rounds, no group had different rewards: the batch has no effect. The task "
                "may be too hard or too easy for the model, or a reward never varies.",
                rounds,
            )
