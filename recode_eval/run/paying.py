"""What a command pays for its runs: their prices, the budget they share, and batch jobs."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

from recode_eval.conversations.journal import FILE as JOURNAL
from recode_eval.conversations.journal import Answered as JournalAnswer
from recode_eval.conversations.journal import read_journal
from recode_eval.conversations.tools import schemas
from recode_eval.costs.of_run import Pricing, pricing_of
from recode_eval.costs.prices import load_prices
from recode_eval.costs.spending import Budget, Spending, estimate_tokens
from recode_eval.errors import UsageError
from recode_eval.models.backends import backend_facts
from recode_eval.models.base import Message, Prompt, ToolCall
from recode_eval.run.records import CompletionRecord
from recode_eval.run.store import BATCHES, COMPLETIONS, read_records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from recode_eval.costs.prices import Answered, Price
    from recode_eval.models.base import Model, ModelInfo
    from recode_eval.run.config_parts import BudgetOptions
    from recode_eval.run.evaluation import Run

_BATCHED = "batched"
"""The method of a model that can send its requests as batch jobs."""


class Purse:
    """The prices and the budget of one command; safe in threads."""

    def __init__(self, options: BudgetOptions) -> None:
        """Read the prices; raises `UsageError`."""
        self._options = options
        self._prices = None if options.prices is None else read_prices(options.prices)
        limit = options.max_cost
        self._budget = Budget(
            None if limit is None else Decimal(repr(limit)), options.max_tokens_total
        )
        self._counted: set[Path] = set()

    def pricing(self, model: ModelInfo) -> Pricing | None:
        """Return a model's price; None: no prices are given."""
        return None if self._prices is None else pricing_of(self._prices, model)

    def spending(self, model: ModelInfo) -> Spending | None:
        """Return what keeps a model within the budget; None: nothing limits it.

        Raises `UsageError` where the budget needs a price that there is not.
        """
        if not self._options.is_limited or not backend_facts(model.backend).generates:
            return None
        pricing = self.pricing(model)
        if self._options.max_cost is not None and pricing is not None and pricing.price is None:
            raise UsageError(
                f"--max-cost needs to know what {model.name} costs: {pricing.unknown}; add a price "
                "of tokens, or give --max-tokens-total instead"
            )
        price = None if pricing is None else pricing.price
        return Spending(self._budget, price, batched=self._options.batch)

    def count(self, run: Run) -> None:
        """Count what a run's folder holds already, once per command."""
        if not self._options.is_limited or run.folder in self._counted:
            return
        self._counted.add(run.folder)
        spending = self.spending(run.model_info)
        if spending is not None:
            spending.count_stored(_stored(run), run.sampling.max_tokens)

    def model_for(self, run: Run, model: Model, log: Callable[[str], None]) -> Model:
        """Let a run know its price and its budget; return the model that it asks.

        Raises `UsageError` for a budget without a price, and batch jobs that a model cannot do.
        """
        self.count(run)
        run.pricing = self.pricing(run.model_info)
        run.generation.spending = self.spending(run.model_info)
        if not self._options.batch:
            return model
        check_batches(model)
        batched: Model = getattr(model, _BATCHED)(run.folder / BATCHES, log)
        return batched


def check_batches(model: Model) -> None:
    """Raise `UsageError` for a model that cannot send its requests as batch jobs."""
    if not hasattr(model, _BATCHED):
        raise UsageError(
            f"--batch is for servers with batch jobs (the back-end openai), not for "
            f"{model.info.name} ({model.info.backend}); leave it out"
        )


def read_prices(file: Path | str) -> tuple[Price, ...]:
    """Return the prices of a file; raises `UsageError`."""
    from pathlib import Path

    return load_prices(Path(file))


def _stored(run: Run) -> Iterator[tuple[Answered, int]]:
    """Yield every stored answer, and an estimate of its prompt's tokens.

    A conversation's answers are in its journal, also those of conversations that are not finished.
    Each of its prompts holds what was said before.
    """
    estimates = {key: estimate_tokens(prompt) for key, prompt in run.prompts.items()}
    if (talk := run.conversation) is not None:
        tools = schemas(talk.tools, run.task.spec.language)
        offered = estimate_tokens(Prompt(()), tools)
        before: Counter[tuple[str, int]] = Counter()
        for line in read_journal(run.folder / JOURNAL):
            if isinstance(line, JournalAnswer):
                first = estimates.get(line.problem_id, 0) + (offered if line.offered else 0)
                yield line, first + before[line.key]
                called = tuple(ToolCall(call.id, call.name, call.arguments) for call in line.calls)
                said = Message("assistant", line.text, called)
            else:
                said = Message("user", line.text)
            before[line.key] += estimate_tokens(Prompt((said,)))
        return
    for record in read_records(run.folder / COMPLETIONS, CompletionRecord):
        yield record, estimates.get(record.problem_id, 0)
