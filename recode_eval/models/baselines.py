"""Models that know the answers: they prove an installation and bound the scores.

`baseline:reference` answers with the gold solution and must score at the top, `baseline:stale`
with the code of someone who missed the update and must score at the bottom, `baseline:empty` with
nothing at all.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from recode_eval.errors import UsageError
from recode_eval.languages import PYTHON, fence_tag
from recode_eval.models.backend import Backend
from recode_eval.models.base import Completion, FinishReason, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recode_eval.models.base import Request, SamplingParameters

KINDS: Final = ("reference", "stale", "empty")


def wrap_answer(code: str, prefill: str = "", language: str = PYTHON) -> str:
    """Put `code` into the answer format, as what a model would write after `prefill`.

    The fence is longer than any run of backticks in the code, so that no code can close it.
    """
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    close = "</think>\n" if opens_think(prefill) else ""
    newline = "" if code.endswith("\n") else "\n"
    return f"{close}<answer>\n{fence}{fence_tag(language)}\n{code}{newline}{fence}\n</answer>"


def opens_think(text: str) -> bool:
    """Whether `text` ends inside a think block."""
    return text.rfind("<think>") > text.rfind("</think>")


class BaselineModel:
    """Answers from the task's own data; every sample of a problem is the same."""

    def __init__(self, kind: str, answers: Mapping[str, Mapping[str, str]]) -> None:
        """`answers[problem_id][kind]` is the code to answer with.

        Raises `UsageError` for an unknown kind, or when the task lacks this kind of answer.
        """
        if kind not in KINDS:
            raise UsageError(
                f"there is no baseline {kind!r}; choose one of "
                + ", ".join(f"baseline:{name}" for name in KINDS)
            )
        if kind != "empty":
            lacking = [name for name, codes in answers.items() if kind not in codes]
            if lacking or not answers:
                example = f", for instance {lacking[0]}" if lacking else ""
                raise UsageError(
                    f"baseline:{kind} needs a {kind} solution of every problem, but {len(lacking)} "
                    f"of {len(answers)} lack it{example}; choose another baseline or a task that "
                    "has them"
                )
        self._kind = kind
        self._answers = answers
        self._info = ModelInfo(
            name=f"baseline:{kind}", backend="baseline", identity={"baseline": kind}
        )

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity."""
        return self._info

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield the answers in the order of the requests; `parameters` have no effect."""
        del parameters
        for request in requests:
            text = self._text(request)
            for sample in request.samples:
                yield Completion(request.problem_id, sample, text, FinishReason.STOP)

    def _text(self, request: Request) -> str:
        if self._kind == "empty":
            return ""
        try:
            code = self._answers[request.problem_id][self._kind]
        except KeyError:
            raise UsageError(
                f"baseline:{self._kind} has no answer to problem {request.problem_id}"
            ) from None
        return wrap_answer(code, request.prompt.prefill, request.language)

    def close(self) -> None:
        """Nothing to free."""


BACKEND: Final = Backend(
    lambda kind, _, solutions: BaselineModel(kind, solutions), deterministic=True, generates=False
)
