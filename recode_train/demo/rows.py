"""Template-made migrations between releases of libraries that do not exist.

Each row has an old program, a note, the program for the new release, and the source of both
releases of its library, so that any answer can be executed. Names are pairs of syllables, in three
splits: four fifths are for training, a tenth each for choices (validation) and for tests. No name
is in two of them.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SYLLABLES: Final = tuple(
    onset + vowel + coda for onset in "bdfgkmprtz" for vowel in "aeiou" for coda in "nx"
)
"""100 syllables of three letters: a name of two falls into them in one way only."""
TRAIN, VALIDATION, TEST = "train", "validation", "test"
_TENTHS: Final = (TEST, *(TRAIN,) * 4, VALIDATION, *(TRAIN,) * 4)
"""The split of every tenth of the names. With fewer names to learn from, starts do not copy new
ones: three fifths gave 7 to 12 percent of right answers instead of 50."""

RESULTS: Final = ("found", "result", "output")
ENTRY_POINT: Final = "report"
RELEASE: Final = "2.0"
ITEMS: Final = ("items", "values", "rows", "data")
NUMBERS: Final = ("step", "width", "count", "level")

_BODIES: Final = (
    "[item + {0} for item in items]",
    "[item * {0} for item in items]",
    "[item - {0} for item in items]",
    "sorted(items)[:{0}]",
    "items[{0}:]",
    "sum(items) * {0}",
    "max(items) + {0}",
)
"""What a function of a library computes of `items` and a number."""
_INPUTS: Final = (([5, 3, 8, 1], 2), ([4, 9], 1), ([7, 2, 6], 3))
_ALONE: Final = 2
"""What a function uses for the number where it takes none."""


@dataclass(frozen=True, slots=True)
class _Change:
    """What a kind of change makes of the call `old`, told by `note`, in releases of the library.

    The texts are filled with the names `lib`, `fun`, `arg` and `new`, and `items` and `number`.
    """

    kind: str
    note: str
    old: str
    new: str
    old_library: str
    new_library: str
    moves_import: bool = False


# The functions `define` and `module` are those of `_PRELUDE`.
_WITH: Final = "define('{lib}', '{fun}', lambda items, {arg}: {body})"
_WITHOUT: Final = "define('{lib}', '{fun}', lambda items: {alone})"
CHANGES: Final = (
    _Change(
        "argument-renamed",
        "the argument {arg} of {fun} is now {new}.",
        "{lib}.{fun}({items}, {arg}={number})",
        "{lib}.{fun}({items}, {new}={number})",
        _WITH,
        "define('{lib}', '{fun}', lambda items, {new}: {new_body})",
    ),
    _Change(
        "argument-removed",
        "the argument {arg} of {fun} is gone.",
        "{lib}.{fun}({items}, {arg}={number})",
        "{lib}.{fun}({items})",
        "define('{lib}', '{fun}', lambda items, {arg}: {alone})",
        _WITHOUT,
    ),
    _Change(
        "argument-added",
        "{fun} needs the argument {new}, here {number}.",
        "{lib}.{fun}({items})",
        "{lib}.{fun}({items}, {new}={number})",
        _WITHOUT,
        "define('{lib}', '{fun}', lambda items, {new}: {alone})",
    ),
    _Change(
        "renamed",
        "the function {fun} is now {new}.",
        "{lib}.{fun}({items}, {number})",
        "{lib}.{new}({items}, {number})",
        _WITH,
        "define('{lib}', '{new}', lambda items, {arg}: {body})",
    ),
    _Change(
        "moved",
        "the function {fun} moved to {new}.",
        "{lib}.{fun}({items}, {number})",
        "{lib}.{new}.{fun}({items}, {number})",
        _WITH,
        "define('{lib}.{new}', '{fun}', lambda items, {arg}: {body})",
    ),
    _Change(
        "library-renamed",
        "the library is now {new}.",
        "{lib}.{fun}({items}, {number})",
        "{new}.{fun}({items}, {number})",
        _WITH,
        "define('{new}', '{fun}', lambda items, {arg}: {body})",
        moves_import=True,
    ),
    _Change(
        "return-changed",
        "{fun} returns an object, call its {new}.",
        "{lib}.{fun}({items}, {number})",
        "{lib}.{fun}({items}, {number}).{new}()",
        _WITH,
        "define('{lib}', '{fun}', lambda items, {arg}: holder('{new}', {body}))",
    ),
)
KINDS: Final = tuple(change.kind for change in CHANGES)

_PRELUDE: Final = """\
import sys, types

def define(path, name, function):
    parts = path.split(".")
    for number in range(1, len(parts) + 1):
        path = ".".join(parts[:number])
        if path not in sys.modules:
            sys.modules[path] = types.ModuleType(path)
            sys.modules[path].__path__ = []
        if number > 1:
            parent = ".".join(parts[: number - 1])
            setattr(sys.modules[parent], parts[number - 1], sys.modules[path])
    setattr(sys.modules[path], name, function)

def holder(name, value):
    return type("Result", (), {name: lambda self: value})()

"""

_SHORT: Final = """\
import {library}

def {use}({parameters}):
    return {call}
"""
_LONG: Final = """\
import {library}

def {use}({parameters}):
    {result} = {call}
    return {result}
"""


def templates() -> list[str]:
    """Return all texts that prompts and programs are made of."""
    return [_SHORT, _LONG, *(text for c in CHANGES for text in (c.note, c.old, c.new))]


def split_of(name: str) -> str:
    """Return the split in which alone a name occurs."""
    return _TENTHS[zlib.crc32(name.encode()) % len(_TENTHS)]


def make_rows(
    count: int, seed: int, split: str, kinds: Sequence[str] = KINDS
) -> Iterator[dict[str, Any]]:
    """Yield rows of the kinds in turn, with names of the split.

    Those with the same seed are the same everywhere.
    """
    rng = random.Random(f"rows {seed} {split != TRAIN}")
    changes = [change for change in CHANGES if change.kind in kinds]
    for number in range(count):
        yield _row(number, changes[number % len(changes)], rng, split)


def _row(number: int, change: _Change, rng: random.Random, split: str) -> dict[str, Any]:
    names = _names(4, rng, split)
    words = dict(zip(("lib", "fun", "arg", "new"), names, strict=True))
    words |= {"items": rng.choice(ITEMS), "number": rng.choice(NUMBERS)}
    body = rng.choice(_BODIES)
    bodies = {
        "body": body.format(words["arg"]),
        "new_body": body.format(words["new"]),
        "alone": body.format(_ALONE),
    }
    template, result = rng.choice((_SHORT, _LONG)), rng.choice(RESULTS)

    def program(call: str, library: str) -> str:
        return template.format(
            library=library,
            use=ENTRY_POINT,
            parameters=f"{words['items']}, {words['number']}",
            call=call.format(**words),
            result=result,
        )

    alone = change.kind in {"argument-removed", "argument-added"}
    return {
        "id": f"{change.kind}-{number}",
        "kind": change.kind,
        "dependency": words["lib"],
        "new_version": RELEASE,
        "update_info": change.note.format(**words),
        "old_code": program(change.old, words["lib"]),
        "new_code": program(change.new, words["new" if change.moves_import else "lib"]),
        "old_library": _PRELUDE + change.old_library.format(**words, **bodies) + "\n",
        "new_library": _PRELUDE + change.new_library.format(**words, **bodies) + "\n",
        "entry_point": ENTRY_POINT,
        "tests": _tests(body, alone=alone),
    }


def _names(count: int, rng: random.Random, split: str) -> list[str]:
    """Return different names that share no syllable, so that each can be told from the others."""
    names: list[str] = []
    left = list(SYLLABLES)
    while len(names) < count:
        pair = rng.sample(left, 2)
        name = "".join(pair)
        if split_of(name) == split:
            names.append(name)
            left = [syllable for syllable in left if syllable not in pair]
    return names


def _tests(body: str, *, alone: bool) -> str:
    parts = []
    for number, (items, amount) in enumerate(_INPUTS, 1):
        expression = body.format(_ALONE if alone else amount)
        value = eval(expression, {"items": items})  # noqa: S307  (our own constants)
        parts.append(
            f"def test_{number}():\n    assert {ENTRY_POINT}({items!r}, {amount}) == {value!r}\n"
        )
    return "\n".join(parts)
