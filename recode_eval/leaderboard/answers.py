"""The answers to a problem as data: files beside its page that the page loads when they are opened.

A file is a script that puts one object into `window.answers`, since pages on `file://` can load
nothing else. It holds the samples of some runs; what several of them share (completions, code,
verdicts) is in it once. leaderboard/static/problem.js makes text nodes of it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zlib import crc32

from recode_eval.leaderboard.highlight import tokens
from recode_eval.leaderboard.text import cut, shown
from recode_eval.metrics import TaskKind, primary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Graded = tuple[Mapping[str, Any], Mapping[str, Any] | None]
    """A completion record and, where it could be graded, its score record (`records`)."""

_LONGEST_DETAIL = 2_000
_LARGEST = 2**53
_LAST_LINE = 1_000_000
_FILE_SIZE = 200_000
"""Bytes of completions that a file has at most on average; one has four times as many at most, or
one run."""


@dataclass
class AnswerFile:
    """Some runs' samples; every list is referred to by index."""

    language: str
    """Of the code."""
    texts: list[str] = field(default_factory=list)
    """What models wrote."""
    codes: list[Any] = field(default_factory=list)
    """Extracted code: pieces (class, text, ... by turns), or text, or where it stands in `texts`
    (index, start, length)."""
    conditions: list[dict[str, Any]] = field(default_factory=list)
    """Verdicts under one condition."""
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    size: int = 0
    _known: dict[tuple[str, str], int] = field(default_factory=dict)
    _verdicts: dict[tuple[Any, ...], int] = field(default_factory=dict)
    _tests: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def add(self, key: str, samples: Iterable[Graded], coloured: int) -> None:
        """Add a run; the code of its first `coloured` samples is coloured."""
        self.runs[key] = [
            self._sample(completion, score, colour=index < coloured)
            for index, (completion, score) in enumerate(samples)
        ]

    def script(self, name: str) -> bytes:
        """Return the file's content."""
        import orjson

        content = orjson.dumps(
            {
                "texts": self.texts,
                "codes": self.codes,
                "conditions": self.conditions,
                "runs": self.runs,
            }
        )
        # A host that calls this a page must not make one of it.
        content = content.replace(b"<", b"\\u003c")
        return b"(window.answers ??= {})[" + orjson.dumps(name) + b"] = " + content + b";\n"

    def _sample(
        self, completion: Mapping[str, Any], score: Mapping[str, Any] | None, *, colour: bool
    ) -> dict[str, Any]:
        """Return a sample; what is not there has its usual value (see problem.js)."""
        found: dict[str, Any] = {
            "i": completion["sample"],
            "finish": shown(completion["finish_reason"]),
            "text": self._text(completion["text"]),
        }
        if _is_number(completion.get("completion_tokens")):
            found["tokens"] = completion["completion_tokens"]
        if completion.get("prefill"):
            found["prefill"] = self._text(completion["prefill"])
        if completion.get("conversation"):
            found["talk"] = list(self._talk(completion["conversation"]))
        if score is None:
            return found
        found["extraction"] = shown(score["extraction"])
        similarity = score["similarity"].get(primary(TaskKind.UNTESTED))
        if _is_number(similarity):
            found["similarity"] = round(similarity, 4)
        if score["code"] is not None:
            found["code"] = self._code(score["code"], found["text"], colour=colour)
        if score["extraction_detail"]:
            found["detail"] = cut(score["extraction_detail"], _LONGEST_DETAIL)
        if score.get("setup_error") is not None:
            found["faulty"] = cut(score["setup_error"], _LONGEST_DETAIL)
        if score.get("flags"):
            found["flags"] = [cut(str(flag), _LONGEST_DETAIL) for flag in score["flags"]]
        if score.get("conditions"):
            found["conditions"] = [
                self._condition(name, condition) for name, condition in score["conditions"].items()
            ]
        return found

    def _talk(self, lines: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
        """Yield title and text of what was said, in order; `lines` are those of the journal.

        What a call gave follows it, while the journal has all calls of an answer first.
        """
        turn: object = 1
        for line in _beside_calls(lines):
            kind, text = line.get("kind"), str(line.get("text", ""))
            if kind == "answer":
                turn = line.get("turn", turn)
                if text or not line.get("calls"):
                    yield shown(f"Turn {turn}: the model"), self._text(text)
            elif kind == "call":
                title = f"Turn {turn}: the model calls {line['name']}"
                yield shown(title), self._text(line["arguments"])
            elif kind == "feedback" and text:
                yield shown(f"Turn {turn}: what the model was told"), self._text(text)
            elif kind == "tool":
                title = f"Turn {turn}: {line.get('name', '')} gives ({line.get('status', '')})"
                yield shown(title), self._text(text)

    def _text(self, text: str) -> int:
        known = self._known.get(("text", text))
        return self._new("text", text, self.texts, cut(text)) if known is None else known

    def _code(self, code: str, text: int, *, colour: bool) -> int:
        known = self._known.get(("code", code))
        if known is not None:
            return known
        if colour:
            return self._new("code", code, self.codes, tokens(code, self.language))
        short = cut(code)
        # A browser counts in UTF-16, which is the same in ASCII only.
        start = self.texts[text].find(short) if short and self.texts[text].isascii() else -1
        return self._new(
            "code", code, self.codes, [text, start, len(short)] if start >= 0 else short
        )

    def _condition(self, name: str, condition: Mapping[str, Any]) -> int:
        passed, output = bool(condition.get("passed")), str(condition.get("output", ""))
        tests = tuple([tuple(map(str, test)) for test in condition["tests"]])
        lines = _failing_lines(condition)
        key = name, passed, tests, output, tuple(lines.items())
        number = self._verdicts.get(key)
        if number is not None:
            return number
        found = {"name": shown(name), "passed": passed, "tests": list(map(self._test, tests))}
        if lines:
            found["lines"] = lines
        if output:
            found["output"] = cut(output)
        number = self._verdicts[key] = len(self.conditions)
        self.conditions.append(found)
        self.size += len(output) + sum(len(part) for test in tests for part in test)
        return number

    def _test(self, test: tuple[str, ...]) -> tuple[str, ...]:
        """Return a test's name, status and detail for people; most come again and again."""
        found = self._tests.get(test)
        if found is None:
            found = self._tests[test] = tuple([cut(part, _LONGEST_DETAIL) for part in test])
        return found

    def _new(self, kind: str, key: str, items: list[Any], item: Any) -> int:
        self._known[kind, key] = number = len(items)
        items.append(item)
        if isinstance(item, str):
            self.size += len(item)
        return number


def _failing_lines(condition: Mapping[str, Any]) -> dict[str, int]:
    """Return the lines at which tests failed, by their names; what is no such line is left out."""
    lines = condition.get("lines")
    if not isinstance(lines, dict):
        return {}
    return {
        cut(str(name), _LONGEST_DETAIL): line
        for name, line in sorted(lines.items())
        if type(line) is int and 0 < line <= _LAST_LINE
    }


def _beside_calls(lines: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the journal's lines and, after each answer, its calls as lines of the kind `call`.

    The line of a tool comes after its call, or in its own place where it has none.
    """
    stored = list(lines)
    given = {
        (line.get("step"), line.get("index", 0)): place
        for place, line in enumerate(stored)
        if line.get("kind") == "tool"
    }
    told: set[int] = set()
    for place, line in enumerate(stored):
        if place in told:
            continue
        yield line
        if line.get("kind") != "answer":
            continue
        for index, call in enumerate(line.get("calls") or ()):
            yield {"kind": "call", "name": call["name"], "arguments": call["arguments"]}
            result = given.get((line.get("step"), index))
            if result is not None and result > place and result not in told:
                told.add(result)
                yield stored[result]


def _is_number(value: object) -> bool:
    # Python's numbers may be larger than any that JSON's readers know.
    return isinstance(value, int | float) and abs(value) < _LARGEST


def shared_files(runs: Sequence[tuple[str, int]]) -> list[list[int]]:
    """Return the places of the runs (key, bytes of completions) that share a file, for each file.

    A hash of its key puts a run into one of 1, 2, 4, ... groups, so that a new run changes the file
    that it comes into and no other, and the next build keeps the rest. A file that would be four
    times as large as others is divided. The number of groups follows the size of all runs: where
    it doubles, everything is made anew.
    """
    wanted = sum(size for _, size in runs) // _FILE_SIZE
    groups: dict[int, list[list[int]]] = {}
    sizes: Counter[int] = Counter()
    for place, (key, size) in enumerate(runs):
        group = crc32(key.encode()) % (1 << wanted.bit_length())
        files = groups.setdefault(group, [[]])
        if files[-1] and sizes[group] + size > 4 * _FILE_SIZE:
            files.append([])
            sizes[group] = 0
        files[-1].append(place)
        sizes[group] += size
    return [file for _, files in sorted(groups.items()) for file in files]


def coloured_samples(coloured: int, runs: int) -> list[int]:
    """Return how many samples of each run get coloured code: the first ones of all runs first."""
    rounds, rest = divmod(coloured, max(1, runs))
    return [rounds + (number < rest) for number in range(runs)]
