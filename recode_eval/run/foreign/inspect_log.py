"""Logs of inspect_ai (https://inspect.aisi.org.uk/eval-logs.html): `.eval` archives and JSON.

Tried with the logs of inspect_ai 0.3.285, log version 2. An archive holds `header.json` and one
file a sample, compressed with Zstandard, which Python's zipfile learns in 3.14 only.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import IO, TYPE_CHECKING, Any, Final

import zstandard

from recode_eval.archives import DAMAGE
from recode_eval.errors import DataError
from recode_eval.run.foreign.log import (
    MOST_SAMPLES,
    ForeignLog,
    ForeignSample,
    comparable_scores,
    count_of,
    digest,
    mapping,
    name_of,
    number_of,
    score_of,
    sequence,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOOL: Final = "inspect_ai"
_VERSIONS: Final = (1, 2)
_ZSTANDARD: Final = 93
_HEADERS: Final = ("header.json", "_journal/start.json")
"""The second where the evaluation did not finish."""
_LARGEST_MEMBER: Final = 256 << 20
_LARGEST: Final = 8 << 30
"""Bytes that an archive may unpack to, and that a JSON log may have."""
_OURS: Final = "recode_eval/"
_OF_THE_MACHINE: Final = ("sandbox", "workers")
"""Arguments of our tasks that say where answers are graded."""
_LETTERS: Final = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS: Final = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""inspect_ai's own reading of texts as scores (`value_to_float`), with numbers in digits. What it
cannot read counts as 0 there; here its scorer cannot be compared."""
_REASONS: Final = {"max_tokens": "length", "model_length": "length",
                   "content_filter": "content_filter"}  # fmt: skip


def is_inspect(content: object) -> bool:
    """Whether parsed JSON is the top of such a log."""
    return isinstance(content, dict) and isinstance(content.get("eval"), dict) and "plan" in content


def read_archive(path: Path, source: str) -> ForeignLog:
    """Read a `.eval` file; raises `DataError`."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            header = next((name for name in _HEADERS if name in names), None)
            if header is None:
                raise DataError(f"{source} is no log of inspect_ai: it has no header.json.")
            members = _Members(file, archive, source)
            top = members.read(header)
            files = [name for name in names if name.startswith("samples/")]
            if len(files) > MOST_SAMPLES:
                raise DataError(f"{source} has {len(files)} samples, too many to be one log.")
            return _log(top, (members.read(name) for name in files), source)
    except DAMAGE as error:
        raise DataError(f"{source} is damaged: no readable archive ({error}).") from error


def read_json_log(content: Any, source: str) -> ForeignLog:
    """Read a log that was written as one JSON file; raises `DataError`."""
    if "samples" not in content:
        raise DataError(
            f"{source} has no samples (--no-log-samples, or a header): nothing can be paired."
        )
    return _log(content, iter(sequence(content["samples"])), source)


class _Members:
    """Reads members within bounds: a small file must not fill the memory."""

    def __init__(self, file: IO[bytes], archive: zipfile.ZipFile, source: str) -> None:
        self._file, self._archive, self._source = file, archive, source
        self._left = _LARGEST

    def read(self, name: str) -> Any:
        info = self._archive.getinfo(name)
        most = min(_LARGEST_MEMBER, self._left)
        if info.compress_type == _ZSTANDARD:
            self._file.seek(info.header_offset)
            head = self._file.read(30)
            if len(head) < 30 or head[:4] != b"PK\3\4":
                raise DataError(f"{self._source} is damaged at {name!r:.80}.")
            self._file.seek(sum(struct.unpack("<HH", head[26:30])), io.SEEK_CUR)
            packed = io.BytesIO(self._file.read(info.compress_size))
            try:
                data = zstandard.ZstdDecompressor().stream_reader(packed).read(most + 1)
            except zstandard.ZstdError as error:
                raise DataError(f"{self._source} is damaged at {name!r:.80} ({error}).") from error
        else:
            with self._archive.open(info) as member:
                data = member.read(most + 1)
        if len(data) > most:
            raise DataError(f"{self._source}: {name!r:.80} unpacks to too much.")
        self._left -= len(data)
        return parse(data, f"{self._source}, {name!r:.80}")


def parse(data: bytes, source: str) -> Any:
    """Return JSON, in which NaN stands for a score that there is not; raises `DataError`."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source} is damaged: no JSON ({error}).") from error


def _log(top: Any, samples: Iterator[Any], source: str) -> ForeignLog:
    if not is_inspect(top):
        raise DataError(f"{source} is no log of inspect_ai: it lacks `eval` or `plan`.")
    if top.get("version") not in _VERSIONS:
        raise DataError(
            f"{source} has the log version {top.get('version')!r:.40}; known are "
            f"{', '.join(map(str, _VERSIONS))}. `inspect log convert` may write one of these."
        )
    about, plan = top["eval"], mapping(top.get("plan"))
    config = mapping(about.get("config"))
    scorers = [
        text_of(mapping(item).get("name")) for item in sequence(about.get("scorers"))
    ] or [text_of(mapping(item).get("name")) for item in
          sequence(mapping(top.get("results")).get("scores"))]  # fmt: skip
    headline = text_of(mapping(mapping(top.get("results")).get("headline")).get("scorer"))
    shown = headline or (scorers[0] if scorers else "")
    found, left_out = comparable_scores(_sample(item, shown, source) for item in samples)
    known = dict.fromkeys(name for sample in found for name in sample.scores)
    first = next((name for name in (headline, *scorers, *known) if name in known), "")
    generate = {**mapping(about.get("model_generate_config")), **mapping(plan.get("config"))}
    dataset = mapping(about.get("dataset"))
    epochs = max([count_of(config.get("epochs")) or 1, *(s.epoch + 1 for s in found)])
    arguments = mapping(about.get("model_args"))
    return ForeignLog(
        tool=TOOL,
        version=text_of(mapping(about.get("packages")).get(TOOL)) or "unknown",
        created=text_of(about.get("created")) or "unknown",
        task=name_of(about.get("task"), "eval.task", source),
        task_version=count_of(about.get("task_version")) or 0,
        dataset=text_of(dataset.get("name")) or text_of(dataset.get("location")) or "unknown",
        model=name_of(about.get("model"), "eval.model", source),
        model_identity={
            "model": text_of(about.get("model")),
            "model_args": digest(arguments)[:16] if arguments else "",
            "base_url": text_of(about.get("model_base_url")),
            "reasoning_effort": text_of(generate.get("reasoning_effort")),
        },
        prompt=[plan.get("steps"), _asking(about), config.get("sandbox")],
        grading=about.get("scorers") or scorers,
        headline=first,
        epochs=epochs,
        samples=found,
        temperature=number_of(generate.get("temperature")),
        top_p=number_of(generate.get("top_p")),
        max_tokens=count_of(generate.get("max_tokens")),
        seed=count_of(generate.get("seed")),
        cautions=[*_cautions(top, dataset, found, epochs), *left_out],
    )


def _asking(about: dict[str, Any]) -> object:
    """Return a task's arguments, of one of ours without those that no prompt depends on."""
    arguments = about.get("task_args")
    if not text_of(about.get("task")).startswith(_OURS) or not isinstance(arguments, dict):
        return arguments
    return {key: value for key, value in arguments.items() if key not in _OF_THE_MACHINE}


def _cautions(
    top: Any, dataset: dict[str, Any], found: list[ForeignSample], epochs: int
) -> list[str]:
    told = []
    if (status := top.get("status")) != "success":
        told.append(f"the evaluation did not finish (status {status!r:.40})")
    if top.get("invalidated"):
        told.append("the log is marked as invalidated")
    expected = len(sequence(dataset.get("sample_ids"))) * epochs
    if expected and (missing := expected - len(found)):
        word = "missing" if missing > 0 else "more than the data set has"
        told.append(f"of {expected} samples, {abs(missing)} are {word}")
    return told


def _sample(item: Any, headline: str, source: str) -> ForeignSample:
    if not isinstance(item, dict):
        raise DataError(f"{source} is damaged: a sample is no object.")
    scores = {
        name: value
        for key, score in mapping(item.get("scores")).items()
        for name, value in _values(key, mapping(score).get("value"))
    }
    output = mapping(item.get("output"))
    choice = mapping(next(iter(sequence(output.get("choices"))), None))
    error = mapping(item.get("error"))
    usage = [mapping(used) for used in mapping(item.get("model_usage")).values()]
    detail = mapping(mapping(item.get("scores")).get(headline)).get("explanation")
    cluster = mapping(item.get("metadata")).get("cluster")
    return ForeignSample(
        id=name_of(item.get("id"), "the id of a sample", source),
        content=digest([_asked(item.get("input")), item.get("target")]),
        epoch=max((count_of(item.get("epoch")) or 1) - 1, 0),
        scores=scores,
        text=text_of(output.get("completion")) or _content(choice),
        finish=_REASONS.get(text_of(choice.get("stop_reason")), "stop"),
        detail=text_of(detail),
        error=text_of(error.get("message")) or ("" if scores else "it has no score"),
        cluster=str(cluster)[:300] if isinstance(cluster, str | int) else None,
        prompt_tokens=_total(usage, "input_tokens"),
        completion_tokens=_total(usage, "output_tokens"),
        reasoning_tokens=_total(usage, "reasoning_tokens"),
        seconds=number_of(item.get("total_time")),
    )


def _asked(given: Any) -> Any:
    """Return what a sample asks: its text, or roles and contents of its messages.

    Messages have ids, too, which inspect_ai draws anew for every log.
    """
    if not isinstance(given, list):
        return given
    return [
        [message.get("role"), _without_ids(message.get("content"))]
        if isinstance(message, dict)
        else message
        for message in given
    ]


def _without_ids(content: Any) -> Any:
    parts = content if isinstance(content, list) else ()
    kept = [{k: v for k, v in part.items() if k != "id"} for part in parts
            if isinstance(part, dict)]  # fmt: skip
    return kept if parts and len(kept) == len(parts) else content


def _values(name: str, value: object) -> Iterator[tuple[str, float]]:
    """Yield the scores of one scorer: a grade, a number, or several by name (`score_of`)."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _values(f"{name}_{key}", part if not isinstance(part, dict) else [])
        return
    if (number := score_of(_read(value) if isinstance(value, str) else value)) is not None:
        yield name, number


def _read(text: str) -> float | str:
    if (known := _LETTERS.get(text, _WORDS.get(text.lower()))) is not None:
        return known
    try:
        return float(text)
    except ValueError:
        return text


def _content(choice: dict[str, Any]) -> str:
    content = mapping(choice.get("message")).get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    return "".join(text_of(mapping(part).get("text")) for part in parts)


def _total(usage: list[dict[str, Any]], name: str) -> int | None:
    found = [count for used in usage if (count := count_of(used.get(name))) is not None]
    return sum(found) if found else None
