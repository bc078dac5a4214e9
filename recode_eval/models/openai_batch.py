"""Requests to a server as batch jobs: cheaper at many servers, and answered within a day.

Each sample is a line of a file, so its answer is read as a live one is. A batch that was sent is
never sent again: an interrupted run finds it by what its journal says (`batch_journal`). What a
batch leaves unanswered because it expired, or because of a parameter that the server refuses, goes
into another one; all else stays unscored with the server's reason.
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import InfrastructureError
from recode_eval.models import batch_journal as journals
from recode_eval.models import openai_protocol as protocol
from recode_eval.models.base import Completion, FinishReason
from recode_eval.models.batch_client import (
    ENDPOINT,
    Batch,
    BatchClient,
    BusyError,
    UncertainError,
)
from recode_eval.models.openai_asking import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from recode_eval.models.base import Model, ModelInfo, Request, SamplingParameters
    from recode_eval.models.batch_journal import SentBatch
    from recode_eval.models.openai_asking import Asking
    from recode_eval.models.openai_dialect import Dialect
    from recode_eval.models.openai_errors import ErrorWords

_LOG: Final = logging.getLogger(__name__)
MOST_LINES: Final = 50_000
MOST_BYTES: Final = 200_000_000
"""Limits of one input file as OpenAI's API description states them for `input_file_id` of
`POST /batches` (50,000 requests, 200 MB); other servers took them over."""
FIRST_WAIT: Final = 1.0
"""Seconds before a batch is looked at for the first time."""
_LONGEST_WAIT: Final = 60.0
_BACK_OFF: Final = 1.5
_GIVE_UP_S: Final = 48 * 3600.0
"""Twice the time that servers promise."""
_MOST_MISSES: Final = 10
"""Looks at a batch that may fail one after the other: a server may restart within a day."""
_ROUNDS: Final = 3
"""Batches that one sample may go into, one after the other."""
_ADAPTED: Final = frozenset({400, 422, 500})
_LATER: Final = frozenset({"batch_expired"})
_VANISHED: Final = (
    "its batch {} vanished from the server; repeat the command to ask again in a new one"
)
_TOO_LONG: Final = (
    "the prompt and --max-tokens do not fit its context ({}); repeat the command without --batch, "
    "which finds out how much of an answer fits"
)


@dataclass(frozen=True, slots=True)
class _Unanswered:
    """Why a line has no answer, and whether another batch may give one."""

    reason: str
    again: bool = False


class BatchedModel:
    """A model behind a server that is asked by batch jobs; the files of one run know which."""

    def __init__(
        self,
        model: Model,
        client: BatchClient,
        asking: Asking,
        dialect: Dialect,
        errors: ErrorWords,
        url: str,
        place: Path,
        log: Callable[[str], None],
    ) -> None:
        """`place` is the run's journal of batches, which exists only once something is sent."""
        self._model, self._client, self._asking = model, client, asking
        self._dialect, self._errors, self._url = dialect, errors, url
        self._place, self._log = place, log
        self._journal: journals.Journal

    @property
    def info(self) -> ModelInfo:
        """What the model is; how it is asked does not change that."""
        return self._model.info

    def close(self) -> None:
        """Close the model; batches go on at the server."""
        self._model.close()

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield the samples, batch by batch, as soon as one has ended.

        Raises `InfrastructureError` when the server cannot be reached or does not end a batch, and
        `UsageError` when it has no batch jobs or refuses one. The same call goes on from there.
        """
        self._journal = journals.Journal(self._place)
        left = {
            custom_id(job, parameters): job
            for request in requests
            for sample, seed in zip(request.samples, request.seeds, strict=True)
            for job in [Job(request, sample, seed)]
        }
        reasons: dict[str, str] = {}
        running = self._sent_before(left, reasons)
        for number in range(_ROUNDS):
            covered = {item for sent, _ in running for item in sent.answerable} | reasons.keys()
            unsent = [item for item in left if item not in covered]
            again: set[str] = set()
            while running or unsent:
                unsent = self._send(unsent, left, parameters, running)
                sent, batch = self._next(running)
                for item, found in self._outcomes(sent, batch, left, parameters):
                    if isinstance(found, Completion):
                        del left[item]
                        yield found
                    elif found.again and number + 1 < _ROUNDS:
                        again.add(item)
                    else:
                        reasons[item] = found.reason
            if not again:
                break
            self._log(f"{len(again)} samples have no answer yet: sending them in another batch.")
        for item, job in left.items():
            yield self._unanswered(job, reasons.get(item, "its batch held no answer"))

    def _unanswered(self, job: Job, reason: str) -> Completion:
        told = f"the server {self._url}: {reason}"
        return self._asking.completion(job, "", FinishReason.UNANSWERED, detail=told, batched=True)

    def _sent_before(
        self, left: Mapping[str, Job], reasons: dict[str, str]
    ) -> list[tuple[SentBatch, Batch]]:
        """Return the batches of earlier commands that may answer what is asked."""
        found = []
        for sent in self._journal.batches:
            wanted = [item for item in sent.answerable if item in left]
            if not wanted or not sent.has_answers:
                continue
            batch = self._client.retrieve(sent.batch) if sent.batch else self._client.find(sent.key)
            if batch is not None:
                sent.batch = batch.name
                if sent.state == journals.INTENDED:
                    sent.state = journals.SENT
                found.append((sent, batch))
                self._log(f"Batch {batch.name}, sent earlier, is {batch.status}.")
            elif sent.batch is None:
                sent.state = journals.NEVER_SENT
            else:
                sent.state = journals.VANISHED
                reasons.update(dict.fromkeys(wanted, _VANISHED.format(sent.batch)))
            self._journal.save()
        return found

    def _send(
        self,
        unsent: Sequence[str],
        jobs: Mapping[str, Job],
        parameters: SamplingParameters,
        running: list[tuple[SentBatch, Batch]],
    ) -> list[str]:
        """Send what the server takes now, in as few batches as may be; return the rest."""
        rest = list(unsent)
        written = ((item, self._line(item, jobs[item], parameters)) for item in unsent)
        for ids, lines in split(written):
            sent = self._journal.intend(ids)
            try:
                batch = self._client.create(self._client.upload(lines), sent.key)
            except BusyError as error:
                self._set(sent, journals.NEVER_SENT)
                if not running:
                    raise error.error from error
                self._log(f"The server takes no more batches for now ({error}): waiting.")
                return rest
            except UncertainError as error:
                found = self._client.find(sent.key)
                if found is None:  # it may still come: the next command looks again
                    raise InfrastructureError(
                        f"{error}; the batch may have been made all the same: repeat the command, "
                        "which looks for it before it sends another"
                    ) from error
                batch = found
            except Exception:
                self._set(sent, journals.NEVER_SENT)
                raise
            sent.batch = batch.name
            self._set(sent, journals.SENT)
            self._log(f"Sent batch {batch.name} with {len(ids)} requests.")
            running.append((sent, batch))
            rest = rest[len(ids) :]
        return rest

    def _set(self, sent: SentBatch, state: str) -> None:
        sent.state = state
        self._journal.save()

    def _line(self, item: str, job: Job, parameters: SamplingParameters) -> bytes:
        settings = self._dialect.settings(
            job.request.prompt, job.seed, parameters, parameters.max_tokens
        )
        body = {**settings.pop("extra_body", {}), **settings}
        line = {"custom_id": item, "method": "POST", "url": ENDPOINT, "body": body}
        return json.dumps(line, separators=(",", ":")).encode() + b"\n"

    def _next(self, running: list[tuple[SentBatch, Batch]]) -> tuple[SentBatch, Batch | None]:
        """Wait until a batch has ended, and take it off the list; None: it vanished."""
        wait, misses, begin = FIRST_WAIT, 0, time.monotonic()
        told: dict[str, object] = {}
        while True:
            for place, (_, batch) in enumerate(running):
                if batch.ended:
                    return running.pop(place)
                if told.get(batch.name) != (batch.status, batch.done):
                    told[batch.name] = batch.status, batch.done
                    count = "" if batch.done is None else f", {batch.done} of {batch.total} done"
                    self._log(f"Batch {batch.name}: {batch.status}{count}.")
                if time.monotonic() - begin > _GIVE_UP_S:
                    raise InfrastructureError(
                        f"the server {self._url} has not ended the batch {batch.name} within "
                        f"{_GIVE_UP_S / 3600:g} hours ({batch.status}); the same command waits on"
                    )
            time.sleep(wait)
            wait = min(wait * _BACK_OFF, _LONGEST_WAIT)
            for place, (sent, batch) in enumerate(running):
                try:
                    now = self._client.retrieve(batch.name)
                except InfrastructureError as error:
                    misses += 1
                    if misses >= _MOST_MISSES:
                        raise
                    _LOG.warning("cannot look at the batch %s: %s", batch.name, error)
                    continue
                misses = 0
                if now is None:
                    del running[place]
                    self._set(sent, journals.VANISHED)
                    return sent, None
                running[place] = sent, now

    def _outcomes(
        self,
        sent: SentBatch,
        batch: Batch | None,
        left: Mapping[str, Job],
        parameters: SamplingParameters,
    ) -> Iterator[tuple[str, Completion | _Unanswered]]:
        """Yield what a batch that ended says of each sample that still lacks an answer."""
        if batch is None:
            reason = _VANISHED.format(sent.batch)
            yield from ((item, _Unanswered(reason)) for item in sent.ids if item in left)
            return
        refused: set[str] = set()
        seen: set[str] = set()
        dialect = copy.copy(self._dialect)  # what was sent, whatever is adapted on the way
        for item, line in self._lines(sent, batch):
            if item in seen or item not in left:
                continue
            seen.add(item)
            found = self._read(line, left[item], parameters, dialect)
            if isinstance(found, _Unanswered):
                refused.add(item)
            yield item, found
        silent = self._silent(batch, dialect, left, sent, parameters)
        missing = [item for item in sent.answerable if item not in seen and item in left]
        yield from ((item, silent) for item in missing)
        sent.unanswered = sorted({*sent.unanswered, *refused, *missing})
        self._set(sent, journals.COLLECTED)

    def _lines(self, sent: SentBatch, batch: Batch) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the lines of a batch's files that are of this batch; counts and tells the rest."""
        known = set(sent.ids)
        strange = 0
        for file in batch.files:
            content = self._client.download(file)
            if content is None:
                self._log(f"Batch {batch.name}: its file {file} is not on the server any more.")
                continue
            for raw in content.splitlines():
                if not raw.strip():
                    continue
                try:
                    line = json.loads(raw)
                    item = line["custom_id"]
                    if item not in known:
                        raise ValueError(item)
                except (ValueError, TypeError, KeyError, RecursionError):
                    strange += 1
                    continue
                yield item, line
        if strange:
            self._log(f"Batch {batch.name}: {strange} lines are malformed or of other requests.")

    def _read(
        self, line: dict[str, Any], job: Job, parameters: SamplingParameters, dialect: Dialect
    ) -> Completion | _Unanswered:
        """Return the answer that a line holds, or why it holds none."""
        response = line.get("response")
        if not isinstance(response, dict):
            error = line.get("error")
            code = error.get("code") if isinstance(error, dict) else None
            words = self._words({"error": error} if isinstance(error, str) else error)
            return _Unanswered(words, again=isinstance(code, str) and code in _LATER)
        status, body = response.get("status_code"), response.get("body")
        if status == 200:
            try:
                answer = protocol.parse_answer(json.dumps(body).encode(), self._url)
            except (protocol.NoAnswerError, InfrastructureError) as error:
                return _Unanswered(self._errors.without_key(str(error)))
            return self._asking.answered(job, parameters, answer, batched=True)
        words = self._words(body)
        if status in {400, 422} and protocol.parse_context_overflow(words)[0]:
            return _Unanswered(_TOO_LONG.format(words))
        again = status == 429 or (type(status) is int and status >= 500)
        if status in _ADAPTED:
            again = again or self._adapt(words, dialect, job, parameters)
        return _Unanswered(f"HTTP {status!r:.20}: {words}", again=again)

    def _adapt(
        self, words: str, dialect: Dialect, job: Job, parameters: SamplingParameters
    ) -> bool:
        """Leave out from now on what the server refuses by name; False: it named nothing."""
        tokens = parameters.max_tokens
        return self._dialect.adapt(
            words, dialect.settings(job.request.prompt, job.seed, parameters, tokens)
        )

    def _silent(
        self,
        batch: Batch,
        dialect: Dialect,
        left: Mapping[str, Job],
        sent: SentBatch,
        parameters: SamplingParameters,
    ) -> _Unanswered:
        """Return why a batch says nothing of some of its requests."""
        words = self._errors.without_key(batch.complaint)
        reason = f"its batch {batch.name} is {batch.status}"
        if batch.status == "expired":
            return _Unanswered(f"{reason}: the server did not answer in time", again=True)
        if batch.status == "failed" and words:
            job = next((left[item] for item in sent.ids if item in left), None)
            again = job is not None and self._adapt(words, dialect, job, parameters)
            return _Unanswered(f"{reason}: {words}", again=again)
        if batch.status == "completed":
            return _Unanswered(f"{reason} and has no line for it")
        return _Unanswered(reason)

    def _words(self, body: object) -> str:
        return self._errors.without_key(protocol.complaint(body, "no reason given"))


def custom_id(job: Job, parameters: SamplingParameters) -> str:
    """Return a request's name in a batch: the same for the same question, however it is sent."""
    prompt = job.request.prompt
    content = [
        job.request.problem_id,
        job.sample,
        job.seed,
        [asdict(message) for message in prompt.messages],
        prompt.prefill,
        asdict(parameters),
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def split(
    lines: Iterable[tuple[str, bytes]], *, most: int | None = None, size: int | None = None
) -> Iterator[tuple[list[str], bytes]]:
    """Group lines into files within the limits of a batch.

    >>> [ids for ids, _ in split([("a", b"1"), ("b", b"2"), ("c", b"3")], most=2)]
    [['a', 'b'], ['c']]
    """
    most, size = most or MOST_LINES, size or MOST_BYTES
    ids: list[str] = []
    parts: list[bytes] = []
    used = 0
    for item, line in lines:
        if ids and (len(ids) >= most or used + len(line) > size):
            yield ids, b"".join(parts)
            ids, parts, used = [], [], 0
        ids.append(item)
        parts.append(line)
        used += len(line)
    if ids:
        yield ids, b"".join(parts)
