"""Answers that miss a part of a migration, or the end of the program."""

from __future__ import annotations

import ast
import difflib
import itertools
from typing import TYPE_CHECKING

from recode_eval.languages.python.api_usage import Pattern, uses
from recode_eval.languages.python.source import Edit, Source
from recode_eval.languages.python.syntax import parses

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

Change = tuple[Edit, ...]


def with_old_api(
    old_use: Sequence[str], new_use: Sequence[str], old_code: str, new_code: str
) -> list[str]:
    """Return the new code with a use of the old API put back; empty if it cannot be put back.

    A name of `new_use` is replaced by one of `old_use`, or an argument that `old_use` names is
    written again. Each program holds a use of the old API, by its patterns.
    """
    old, new = [Pattern.parse(text) for text in old_use], [Pattern.parse(text) for text in new_use]
    source, stale = Source(new_code), Source(old_code)
    changes: list[Change] = []
    for before, after in itertools.product(old, new):
        if "class" in {before.kind, after.kind}:
            continue
        changes.append(tuple(_rename_uses(source, after.path[-1], before.path[-1])))
        for gone, come in itertools.product(_keywords(before), _keywords(after)):
            if gone not in _keywords(after) and come not in _keywords(before):
                changes.append(tuple(_rename_keyword(source, after.path[-1], come, gone)))
    for before in old:
        for gone in _keywords(before):
            changes.append(tuple(_write_keyword(source, stale, before.path[-1], gone)))
    programs = (source.edited(set(change)) for change in changes if change)
    return [
        code
        for code in dict.fromkeys(programs)
        if code is not None and code != new_code and uses(old, code)
    ]


def _keywords(pattern: Pattern) -> list[str]:
    return [name for name, _ in pattern.arguments.keywords] if pattern.arguments else []


def _rename_uses(source: Source, name: str, other: str) -> Iterator[Edit]:
    """Replace an attribute, or a name imported from somewhere, wherever it stands."""
    if name == other:
        return
    unplaced = source.in_fstrings()
    imported = False
    for node in ast.walk(source.tree):
        if node in unplaced:
            continue
        match node:
            case ast.Attribute() if node.attr == name:
                end = source.span(node)[1]
                yield Edit(end - len(name.encode()), end, other)
            case ast.alias() if node.name == name:
                start = source.span(node)[0]
                imported = imported or node.asname is None
                yield Edit(start, start + len(name.encode()), other)
    if imported:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Name) and node.id == name and node not in unplaced:
                yield Edit(*source.span(node), other)


def _calls(source: Source, name: str) -> Iterator[ast.Call]:
    unplaced = source.in_fstrings()
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called)):
                if called == name and node not in unplaced:
                    yield node


def _rename_keyword(source: Source, function: str, name: str, other: str) -> Iterator[Edit]:
    for call in _calls(source, function):
        for item in call.keywords:
            if item.arg == name:
                start = source.span(item)[0]
                yield Edit(start, start + len(name.encode()), other)


def _write_keyword(source: Source, stale: Source, function: str, name: str) -> Iterator[Edit]:
    values = [
        stale.text(item.value)
        for call in _calls(stale, function)
        for item in call.keywords
        if item.arg == name
    ]
    for call in _calls(source, function):
        given = sorted([*call.args, *call.keywords], key=source.span)
        if values and given and name not in {item.arg for item in call.keywords}:
            end = source.span(given[-1])[1]
            yield Edit(end, end, f", {name}={values[0]}")


def migrated_in_part(old_code: str, new_code: str) -> list[str]:
    """Return the new code with one of its changed passages as in the old code; none if it has one.

    Passages are groups of lines, as `difflib` finds them.
    """
    old, new = old_code.splitlines(keepends=True), new_code.splitlines(keepends=True)
    matcher = difflib.SequenceMatcher(None, new, old, autojunk=False)
    changed = [step for step in matcher.get_opcodes() if step[0] != "equal"]
    if len(changed) < 2:
        return []
    found = ("".join(new[:a] + old[c:d] + new[b:]) for _, a, b, c, d in changed)
    return _programs(found, {old_code, new_code})


def _programs(found: Iterable[str], known: set[str]) -> list[str]:
    known_trees = {ast.dump(ast.parse(code)) for code in known}
    return [
        code
        for code in dict.fromkeys(found)
        if parses(code) and ast.dump(ast.parse(code)) not in known_trees
    ]


def cut_off(code: str, rng: random.Random) -> str | None:
    """Return the program without its end, as at a token limit, so that it does not parse."""
    places = list(range(len(code) * 6 // 10, len(code)))
    rng.shuffle(places)
    return next((code[:place] for place in places if not parses(code[:place])), None)
