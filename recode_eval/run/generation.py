"""What a run asks its model, and what becomes of each answer: a record, or a sample unscored.

`Generation` turns missing samples into requests and yields the answers as records, one for each
sample, whatever the model yields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recode_eval.costs.spending import estimate_tokens
from recode_eval.models.base import Request
from recode_eval.run.grading import Unscored
from recode_eval.run.records import CompletionRecord
from recode_eval.run.settings import sample_seed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from recode_eval.costs.spending import Spending
    from recode_eval.models.base import Completion, Model, Prompt, SamplingParameters
    from recode_eval.run.records import Key

_NO_ANSWER = "the model gave no answer"


class Generation:
    """The requests of one run and their answers."""

    def __init__(
        self,
        prompts: Mapping[str, Prompt],
        hashes: Mapping[str, str],
        sampling: SamplingParameters,
        language: str,
    ) -> None:
        """`prompts` and their `hashes` are by problem; answers are written in `language`."""
        self._prompts, self._hashes = prompts, hashes
        self._sampling, self._language = sampling, language
        self.spending: Spending | None = None
        """What may be spent; None: as much as it takes."""

    def records(
        self,
        model: Model,
        missing: Sequence[Key],
        on_unscored: Callable[[Unscored], None],
    ) -> Generator[CompletionRecord]:
        """Yield each missing sample once; report those that the model does not answer.

        With a budget, the samples go out in waves of which each would fit at its worst: what one
        wave leaves of it, the next may use.
        """
        if self.spending is None:
            yield from self._answers(model, missing, on_unscored)
            return
        left = list(missing)
        while wave := self._wave(left):
            yield from self._answers(model, wave, on_unscored)
            left = left[len(wave) :]
        for key in left:
            on_unscored(Unscored(*key, self.spending.reason))

    def _wave(self, left: Sequence[Key]) -> Sequence[Key]:
        """Return the first of the samples that may all be asked for."""
        assert self.spending is not None
        for count, key in enumerate(left):
            prompt = estimate_tokens(self._prompts[key[0]])
            if not self.spending.admit(prompt, self._sampling.max_tokens, key):
                return left[:count]
        return left

    def _answers(
        self,
        model: Model,
        missing: Sequence[Key],
        on_unscored: Callable[[Unscored], None],
    ) -> Generator[CompletionRecord]:
        pending = dict.fromkeys(missing)
        spending, reason = self.spending, _NO_ANSWER
        stream = model.generate(self.requests(missing), self._sampling)
        try:
            for completion in stream:
                key = completion.problem_id, completion.sample
                if key not in pending:
                    continue
                del pending[key]
                if spending is not None:
                    spending.note(completion)
                if not completion.finish_reason.is_sample:
                    on_unscored(Unscored(*key, completion.detail or _NO_ANSWER))
                else:
                    yield self.record(completion)
                if spending is not None and pending and spending.out_of_time:
                    reason = spending.reason
                    break
        finally:  # An engine must not go on for nobody when a full disk ends the run.
            if hasattr(stream, "close"):
                stream.close()
            if spending is not None:
                spending.release()
        for key in pending:
            on_unscored(Unscored(*key, reason))

    def requests(self, missing: Iterable[Key]) -> list[Request]:
        """Return what the model is asked for these samples."""
        samples: dict[str, list[int]] = {}
        for problem_id, sample in missing:
            samples.setdefault(problem_id, []).append(sample)
        return [
            Request(
                problem_id,
                self._prompts[problem_id],
                tuple(indices),
                tuple(sample_seed(self._sampling.seed, problem_id, i) for i in indices),
                self._language,
            )
            for problem_id, indices in samples.items()
        ]

    def record(self, completion: Completion) -> CompletionRecord:
        """Return what is stored of an answer."""
        prompt = self._prompts[completion.problem_id]
        return CompletionRecord(
            problem_id=completion.problem_id,
            sample=completion.sample,
            seed=sample_seed(self._sampling.seed, completion.problem_id, completion.sample),
            prompt_hash=self._hashes[completion.problem_id],
            text=completion.text,
            finish_reason=str(completion.finish_reason),
            prompt_tokens=completion.prompt_tokens,
            completion_tokens=completion.completion_tokens,
            seconds=None if completion.seconds is None else round(completion.seconds, 4),
            prefill=prompt.prefill if completion.prefill is None else completion.prefill,
            is_code=completion.is_code,
            reasoning_tokens=completion.reasoning_tokens,
            cached_tokens=completion.cached_tokens,
            batched=completion.batched,
        )
