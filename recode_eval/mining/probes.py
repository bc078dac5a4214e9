"""Writing probes: short programs that use a changed API, for both releases to run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from recode_eval.mining.differences import Change
    from recode_eval.mining.surface import Item, Parameter, Surface

_BY_ANNOTATION = (
    (re.compile(r"\bstr\b"), "'a'"),
    (re.compile(r"\bbool\b"), "True"),
    (re.compile(r"\bint\b"), "1"),
    (re.compile(r"\bfloat\b"), "1.0"),
    (re.compile(r"\bbytes\b"), "b'a'"),
    (re.compile(r"Callable"), "(lambda *args, **kwargs: None)"),
    (re.compile(r"\b(?:Dict|dict|Mapping)\b"), "{}"),
    (re.compile(r"\b(?:List|list|Sequence|Iterable|Tuple|tuple)\b"), "[]"),
)
_BY_NAME = (
    (re.compile(r"func|callback|callable|^fn$|^f$|hook|factory|handler|predicate|decorator"),
     "(lambda *args, **kwargs: None)"),
    (re.compile(r"^(n|k|num|count|size|length|width|height|index|axis|level|min|max|seconds|"
                r"depth|port|start|stop|end|attempt|timeout|limit)$|_(size|count|width|"
                r"num)$"), "1"),
    (re.compile(r"^(items|values|args|params|columns|choices|names|rows|objs|iterable|seq|list)$"),
     "['a']"),
    (re.compile(r"^(mapping|dict|kwargs|schema|d|config|options|obj_dict)$"), "{}"),
    (re.compile(r"^(cls|class_|type_|klass)$"), "int"),
)  # fmt: skip
_MOST_VARIED = 6
"""Arguments that a call is repeated with, each set to something else than its default."""
_SIMPLE = re.compile(
    r"-?\d+(\.\d+)?|True|False|None|'[^'\\]{0,40}'|\"[^\"\\]{0,40}\"|\[\]|\(\)|\{\}"
)


@dataclass(frozen=True, slots=True)
class Probe:
    """A program of one or more pieces; what counts is `about`."""

    id: str
    change: int
    """The number of the change; -1: of an example, which is about what it shows."""
    pieces: tuple[str, ...]
    about: str
    """`access`, `call`, `default`, `signature` or `example`."""

    @property
    def text(self) -> str:
        """The program as a person would write it."""
        return "\n".join(piece.rstrip("\n") for piece in self.pieces)


def access(name: str, modules: set[str], *, check: str = "") -> tuple[str, ...]:
    """Return the pieces that import what holds a name, and read it.

    >>> access("click.core.Context", {"click", "click.core"})
    ('import click.core', 'click.core.Context')
    """
    module = _module(name, modules)
    if name == module:
        return (f"import {name}",)
    return f"import {module}", check or name


def _module(name: str, modules: set[str]) -> str:
    module = name
    while "." in module and module not in modules:
        module = module.rpartition(".")[0]
    return module


def probes_for(number: int, change: Change, old: Surface, new: Surface) -> Iterator[Probe]:
    """Yield the probes of a change; the first that tells the releases apart is its proof."""
    modules = old.modules | (set() if change.old is not None else new.modules)
    name = change.api
    plain = access(name, modules)

    def probe(tag: str, pieces: Sequence[str], about: str) -> Probe:
        return Probe(f"{number}.{tag}", number, tuple(pieces), about)

    if (
        change.kind in {"removed", "renamed", "moved"}
        or change.note is not None
        or (change.kind == "newly-deprecated")
    ):
        yield probe("access", plain, "access")
        if change.old is not None and change.old.kind == "attribute" and "." in name:
            yield from _of_instance(number, change, old, modules)
    if change.kind == "behaviour-changed" and change.old and change.old.kind == "class":
        bases = f"[base.__name__ for base in {name}.__mro__]"
        yield probe("bases", (plain[0], bases), "bases")
    if change.kind == "behaviour-changed" and change.old and change.old.kind == "attribute":
        yield probe("value", plain, "access")
    if (
        change.kind == "behaviour-changed"
        and change.old
        and change.new
        and (change.old.kind != change.new.kind)
    ):
        yield probe("kind", (plain[0], f"type({name}).__name__"), "kind")
    item = change.old
    if item is None or item.parameters is None:
        return
    for tag, call in _calls(change, item, name, old):
        yield probe(tag, (plain[0], call), "signature" if change.parameter else "call")
    if change.kind == "default-changed" and change.parameter:
        look = f"inspect.signature({name}).parameters[{change.parameter!r}].default"
        yield probe("default", ("import inspect", plain[0], look), "default")


def _of_instance(number: int, change: Change, old: Surface, modules: set[str]) -> Iterator[Probe]:
    owner, _, attribute = change.api.rpartition(".")
    item = old.item(owner)
    if item is not None and item.kind == "class":
        for tag, arguments in _arguments(item.parameters or ()):
            pieces = (*access(owner, modules)[:1], f"it = {owner}({arguments})", f"it.{attribute}")
            yield Probe(f"{number}.instance-{tag}", number, pieces, "access")


def _calls(change: Change, item: Item, name: str, old: Surface) -> Iterator[tuple[str, str]]:
    """Yield calls: of a method on an instance, and without one, which a signature stops first."""
    callee = [("", name)]
    if item.kind == "method":
        owner, _, method = name.rpartition(".")
        cls = old.item(owner)
        made = [a for _, a in _arguments((cls.parameters if cls else None) or ())]
        callee = [(f"{n}", f"{owner}({given}).{method}") for n, given in enumerate(made)]
    for tag, function in callee:
        for variant, arguments in _changed_arguments(change, item.parameters or ()):
            yield f"call{tag}{variant}", f"{function}({arguments})"
    if item.kind == "method" and change.parameter:
        for variant, arguments in _changed_arguments(change, item.parameters or ()):
            yield f"unbound{variant}", f"{name}(None, {arguments})"


def _changed_arguments(
    change: Change, parameters: Sequence[Parameter]
) -> Iterator[tuple[str, str]]:
    wanted = change.parameter.strip("*")
    if change.kind in {"argument-removed", "argument-renamed"} and wanted:
        if change.parameter.startswith("**"):
            extra, skip = "not_a_parameter=1", ""
        elif change.parameter.startswith("*"):
            yield "many", ", ".join(["'a'"] * (_positional(parameters) + 2))
            return
        else:
            one = next((p for p in parameters if p.name == wanted), None)
            extra, skip = f"{wanted}={_given(one)}" if one else f"{wanted}=None", wanted
        for tag, arguments in _arguments(parameters, skip=skip):
            yield tag, ", ".join(filter(None, (arguments, extra)))
    elif change.kind in {"argument-reordered", "argument-keyword-only"}:
        positional = [p for p in parameters if p.kind.startswith("positional")]
        yield "positional", ", ".join(_given(p) for p in positional)
        upto = next((n for n, p in enumerate(positional) if p.name == wanted), None)
        if upto is not None:
            yield "upto", ", ".join(_given(p) for p in positional[: upto + 1])
        distinct = [repr(n) if _given(p).strip("-").isdigit() else _given(p)
                    for n, p in enumerate(positional, 1)]  # fmt: skip
        yield "distinct", ", ".join(distinct)
    elif change.kind == "newly-deprecated" and change.deprecation:
        yield from _arguments(parameters)
        for one in parameters:
            if one.default is not None and re.search(
                rf"\b{re.escape(one.name)}\b", change.deprecation
            ):
                for tag, arguments in _arguments(parameters, skip=one.name):
                    yield (
                        f"with-{one.name}-{tag}",
                        ", ".join(filter(None, (arguments, f"{one.name}={_other(one)}"))),
                    )
    else:
        yield from _arguments(parameters)
        needed = next(iter(_arguments(parameters)))[1]
        optional = [p for p in parameters if p.default is not None and p.kind != "positional-only"]
        named = change.note.text if change.note is not None else ""
        optional.sort(key=lambda p: p.name not in named)
        for one in optional[:_MOST_VARIED]:
            yield f"-{one.name}", ", ".join(filter(None, (needed, f"{one.name}={_other(one)}")))


def _positional(parameters: Sequence[Parameter]) -> int:
    return sum(p.kind.startswith("positional") for p in parameters)


def _arguments(parameters: Sequence[Parameter], skip: str = "") -> Iterator[tuple[str, str]]:
    """Yield arguments for what must be given, in two guesses; by keyword where that works."""
    needed = [p for p in parameters
              if p.default is None and p.kind in {"positional-only", "positional", "keyword-only"}
              and p.name != skip]  # fmt: skip
    yield "", _joined([(p, _guess(p)) for p in needed], skip)
    if needed:
        yield "-n", _joined([(p, "1") for p in needed], skip)
        yield "-l", _joined([(p, "['a']") for p in needed], skip)


def _joined(pairs: Sequence[tuple[Parameter, str]], skip: str) -> str:
    return ", ".join(
        value if p.kind == "positional-only" or (p.kind == "positional" and not skip)
        else f"{p.name}={value}"
        for p, value in pairs
    )  # fmt: skip


def _guess(parameter: Parameter) -> str:
    for pattern, value in _BY_ANNOTATION:
        if parameter.annotation and pattern.search(parameter.annotation):
            return value
    for pattern, value in _BY_NAME:
        if pattern.search(parameter.name):
            return value
    return "'a'"


def _given(parameter: Parameter) -> str:
    """Return a value for a parameter: its default if that can be written, else a guess."""
    default = parameter.default
    if default is None:
        return _guess(parameter)
    if _SIMPLE.fullmatch(default):
        return default
    return "None"


def _other(parameter: Parameter) -> str:
    """Return a value that is not the default."""
    return {"None": _guess(parameter), "True": "False", "False": "True"}.get(
        parameter.default or "", _guess(parameter)
    )
