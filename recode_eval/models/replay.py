"""Replay of saved completions: score without a model what some model wrote before.

A JSONL file (or .jsonl.gz), one JSON object per line. The problem is named by `problem_id`,
`task_id` or `prog_syn_id`; the text stands in `completion` or `text` (one sample), `completions`
or `generated_texts` (a list of samples), or `solution` (bare code, as EvalPlus saves it). Several
lines of a problem are its samples in order, unless `sample` gives the index. `prefill` is what
opened the answer before the text, where the text was generated so.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.archives import DAMAGE
from recode_eval.errors import DataError, StorageError, UsageError
from recode_eval.models.backend import Backend
from recode_eval.models.base import Completion, FinishReason, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from recode_eval.models.base import Request, SamplingParameters

_ID_KEYS: Final = ("problem_id", "task_id", "prog_syn_id")
_LIST_KEYS: Final = ("completions", "generated_texts")
_TEXT_KEYS: Final = ("completion", "text")
_CODE_KEY: Final = "solution"
_LONGEST: Final = 1e9
"""Seconds; a value that is longer, infinite or not a number is not a duration."""
_SHORT: Final = 60
"""Characters of an id that an error message shows; ids are data and may be anything."""


@dataclass(frozen=True, slots=True)
class _Saved:
    """One saved sample; the counts are those in the file, if it has any."""

    text: str
    is_code: bool
    finish_reason: FinishReason = FinishReason.STOP
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None
    prefill: str = ""


class ReplayModel:
    """Serves the completions of a file; a sample the file lacks is `MISSING`, not an error."""

    def __init__(self, path: str | Path, problem_ids: Collection[str] = ()) -> None:
        """Read the whole file; `problem_ids` are the problems that will be asked.

        Raises `UsageError` when there is no such file, `StorageError` when it cannot be read and
        `DataError` when a line is malformed or the file answers none of `problem_ids`.
        """
        self._path = Path(path).expanduser()
        content = _read(self._path)
        self._samples = _parse(content, self._path)
        if problem_ids and not any(name in self._samples for name in problem_ids):
            raise DataError(
                f"{self._path} has completions of {len(self._samples)} problems, but of no problem "
                f"of the task: the file's ids look like {_shorten(next(iter(self._samples)))}, the "
                f"task's like {_shorten(next(iter(problem_ids)))}"
            )
        self._info = ModelInfo(
            name=f"replay:{self._path.name}",
            backend="replay",
            identity={"sha256": hashlib.sha256(content).hexdigest()},
            details={
                "path": str(self._path.resolve()),
                "problems": len(self._samples),
                "samples": sum(len(saved) for saved in self._samples.values()),
            },
        )

    @property
    def samples_per_problem(self) -> int:
        """The largest number of samples the file has of one problem."""
        return max(max(saved, default=-1) + 1 for saved in self._samples.values())

    @property
    def info(self) -> ModelInfo:
        """Name, back-end, identity (the file's content)."""
        return self._info

    def generate(
        self, requests: Sequence[Request], parameters: SamplingParameters
    ) -> Iterator[Completion]:
        """Yield the saved samples in the order of the requests; `parameters` have no effect."""
        del parameters
        for request in requests:
            saved = self._samples.get(request.problem_id, {})
            for sample in request.samples:
                found = saved.get(sample)
                if found is None:
                    yield Completion(
                        request.problem_id,
                        sample,
                        "",
                        FinishReason.MISSING,
                        prefill="",
                        detail="no completion in the replayed file",
                    )
                    continue
                yield Completion(
                    request.problem_id,
                    sample,
                    found.text,
                    found.finish_reason,
                    prompt_tokens=found.prompt_tokens,
                    completion_tokens=found.completion_tokens,
                    seconds=found.seconds,
                    prefill=found.prefill,
                    is_code=found.is_code,
                )

    def close(self) -> None:
        """Nothing to free."""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"no completions file at {path}") from None
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder; replay needs a .jsonl file of completions") from None
    except OSError as error:
        raise StorageError(f"cannot read the completions {path}: {error.strerror}") from error


def _parse(content: bytes, path: Path) -> Mapping[str, Mapping[int, _Saved]]:
    """Map problem ids to samples by index."""
    if path.suffix == ".gz":
        try:
            content = gzip.decompress(content)
        except DAMAGE as error:
            raise DataError(f"{path} is not a complete gzip file: {error}") from error
    samples: dict[str, dict[int, _Saved]] = {}
    for number, line in enumerate(content.split(b"\n"), start=1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not text.strip():
            continue
        try:
            _add(samples, _decode(text))
        except _LineError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
    if not samples:
        raise DataError(f"{path} holds no completions")
    return samples


class _LineError(Exception):
    """What is wrong with one line; the caller adds where it is."""


def _decode(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        raise _LineError("not UTF-8 text") from None
    except RecursionError:
        raise _LineError("nested too deeply") from None
    except ValueError as error:
        raise _LineError(f"not JSON ({error})") from None
    if not isinstance(row, dict):
        raise _LineError(f"expected a JSON object, found a {type(row).__name__}")
    return row


def _add(samples: dict[str, dict[int, _Saved]], row: Mapping[str, Any]) -> None:
    known = samples.setdefault(_identifier(row), {})
    texts, is_code = _texts(row)
    index = row.get("sample")
    if index is not None:
        if type(index) is not int or index < 0:
            raise _LineError(f"'sample' must be a whole number from 0, not {_shorten(index)}")
        if len(texts) != 1:
            raise _LineError("'sample' goes with one completion, not with a list")
        if index in known:
            raise _LineError(f"sample {index} of this problem was already given")
    for text in texts:
        position = index if index is not None else max(known, default=-1) + 1
        known[position] = _saved(text, is_code, row)


def _identifier(row: Mapping[str, Any]) -> str:
    for key in _ID_KEYS:
        value = row.get(key)
        if isinstance(value, str) and value:
            return value
        if type(value) is int:
            return str(value)
    raise _LineError(f"no problem id: expected one of {', '.join(_ID_KEYS)}")


def _texts(row: Mapping[str, Any]) -> tuple[list[str], bool]:
    """The texts of a line, and whether they are bare code."""
    for key in (_CODE_KEY, *_TEXT_KEYS):
        if row.get(key) is not None:
            if not isinstance(row[key], str):
                raise _LineError(f"{key!r} must be a string, not a {type(row[key]).__name__}")
            return [row[key]], key == _CODE_KEY
    for key in _LIST_KEYS:
        if row.get(key) is not None:
            texts = row[key]
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise _LineError(f"{key!r} must be a list of strings")
            return texts, False
    raise _LineError(
        "no completion: expected one of " + ", ".join((*_TEXT_KEYS, _CODE_KEY, *_LIST_KEYS))
    )


def _saved(text: str, is_code: bool, row: Mapping[str, Any]) -> _Saved:
    reason, prefill = row.get("finish_reason"), row.get("prefill")
    return _Saved(
        text,
        is_code or row.get("is_code") is True,
        prefill=prefill if isinstance(prefill, str) else "",
        finish_reason=FinishReason(reason) if reason in list(FinishReason) else FinishReason.STOP,
        prompt_tokens=_count(row.get("prompt_tokens")),
        completion_tokens=_count(row.get("completion_tokens")),
        seconds=_duration(row.get("seconds")),
    )


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _duration(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _LONGEST else None


def _shorten(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}..."


BACKEND: Final = Backend(
    lambda path, _, solutions: ReplayModel(path, solutions.keys()), generates=False
)
