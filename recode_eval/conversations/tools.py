"""The tools a model may call: their schemas, and from a call as it was written to what it gives.

A call is hostile text. What is wrong with it is told to the model and counted as its mistake; what
is wrong with the machine raises `SandboxError`, and the sample stays unscored. No tool's program
holds a test of the problem or its reference: they cannot be reached from here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, cast

from recode_eval.conversations import reading
from recode_eval.conversations.conversation import LONGEST_ARGUMENTS, no_more
from recode_eval.conversations.executing import ended, output_and_trace, presentable
from recode_eval.conversations.settings import READ, RUN, SEARCH
from recode_eval.languages import get_language
from recode_eval.models.base import Tool
from recode_eval.terminal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from recode_eval.conversations.conversation import Use
    from recode_eval.conversations.executing import Bench
    from recode_eval.conversations.searching import Searcher
    from recode_eval.languages.base import Tracing
    from recode_eval.tasks.base import Problem, Task

OK, MALFORMED, REFUSED = "ok", "malformed", "refused"
PASSAGES: Final = 4
_MOST_QUERY: Final = 1_000
_LAST_LINE: Final = 10_000_000


class MalformedError(Exception):
    """A call that no tool can take; the text is for the model."""


def schemas(names: Sequence[str], language: str) -> tuple[Tool, ...]:
    """Return the tools of these names, for answers in `language`.

    >>> [tool.name for tool in schemas(["run", "read"], "python")]
    ['run', 'read']
    """
    title = get_language(language).title
    known = {
        RUN: Tool(
            RUN,
            f"Run a {title} program where your answer will run, with the same libraries. Returns "
            "what it prints and, if it fails, where.",
            _object({"code": {"type": "string", "description": f"The {title} program."}}, "code"),
        ),
        READ: Tool(
            READ,
            "Read the source of the installed library: of a module, a class, a function or a file. "
            "What is compiled shows its signature and documentation.",
            _object(
                {
                    "name": {
                        "type": "string",
                        "description": "A dotted name such as package.module.function, or a file "
                        "such as package/module.py.",
                    },
                    "first_line": {"type": "integer", "minimum": 1},
                    "last_line": {"type": "integer", "minimum": 1},
                },
                "name",
            ),
        ),
        SEARCH: Tool(
            SEARCH,
            "Search the documentation. Returns the passages that fit best.",
            _object({"query": {"type": "string", "description": "Some words."}}, "query"),
        ),
    }
    return tuple(known[name] for name in names)


def _object(properties: dict[str, Any], required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [required],
        "additionalProperties": False,
    }


class Toolbox:
    """The tools of one run."""

    def __init__(
        self, names: Sequence[str], task: Task, bench: Bench, searcher: Searcher | None = None
    ) -> None:
        """`searcher` is needed for `search`."""
        self.tools = schemas(names, task.spec.language)
        self._bench, self._searcher = bench, searcher
        self._tracing = cast("Tracing", get_language(task.spec.language))
        work: dict[str, Callable[[Problem, dict[str, Any], float], tuple[str, float]]] = {
            RUN: self._run,
            READ: self._read,
            SEARCH: self._search,
        }
        self._work = {name: work[name] for name in names}

    def use(self, problem: Problem, use: Use) -> tuple[str, str, float]:
        """Do what a call asks: status, text for the model, seconds; raises `SandboxError`."""
        if use.refusal:
            return REFUSED, no_more(use.refusal), 0.0
        try:
            tool = next((tool for tool in self.tools if tool.name == use.call.name), None)
            if tool is None:
                known = ", ".join(self._work)
                raise MalformedError(f"there is no tool {one_line(use.call.name, 80)!r}: {known}")
            arguments = parsed(use.call.arguments, tool)
            text, seconds = self._work[tool.name](problem, arguments, use.left)
        except MalformedError as error:
            return MALFORMED, f"Error: {error}.", 0.0
        return OK, text, round(max(0.0, seconds), 4)

    def _run(
        self, problem: Problem, arguments: dict[str, Any], seconds: float
    ) -> tuple[str, float]:
        program = self._tracing.script(self._bench.program(problem, ""), arguments["code"])
        done = self._bench.run(problem, program, seconds)
        if done.setup_error is not None:
            return "The program cannot be run here.", done.wall_s
        output, trace = output_and_trace(done)
        end = "It ended well." if done.passed else f"It failed: {ended(done.verdicts[0])}."
        parts = [end, *([f"Output:\n{output}"] if output else ["It printed nothing."])]
        if trace:
            parts.append(trace)
        return "\n\n".join(parts), done.wall_s

    def _read(
        self, problem: Problem, arguments: dict[str, Any], seconds: float
    ) -> tuple[str, float]:
        try:
            wanted = reading.place(**arguments)
        except ValueError as error:
            raise MalformedError(str(error)) from error
        return reading.read(self._bench, problem, wanted, seconds)

    def _search(
        self, problem: Problem, arguments: dict[str, Any], seconds: float
    ) -> tuple[str, float]:
        del problem, seconds  # an index of a folder answers at once
        assert self._searcher is not None
        found = self._searcher.search(arguments["query"][:_MOST_QUERY], PASSAGES)
        if not found:
            return "Nothing fits these words.", 0.0
        return "\n\n---\n\n".join(presentable(passage) for _, passage in found), 0.0


def parsed(arguments: str, tool: Tool) -> dict[str, Any]:
    """Return the arguments of a call, checked against the tool's schema.

    Raises:
        MalformedError: they are no JSON object, one is missing, unknown or of a wrong type, too
            long, or holds a NUL byte.
    """
    if len(arguments) > LONGEST_ARGUMENTS:
        raise MalformedError(f"the arguments have more than {LONGEST_ARGUMENTS} characters")
    try:
        found = json.loads(arguments or "{}")
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the arguments are not JSON ({one_line(error, 120)})") from error
    if not isinstance(found, dict):
        raise MalformedError("the arguments are not a JSON object")
    properties = tool.parameters["properties"]
    if unknown := sorted(str(key) for key in found.keys() - properties.keys()):
        raise MalformedError(
            f"{tool.name} has no argument {one_line(unknown[0], 80)!r}: {', '.join(properties)}"
        )
    given = {key: value for key, value in found.items() if value is not None}
    for key in tool.parameters["required"]:
        if key not in given:
            raise MalformedError(f"{tool.name} needs the argument {key}")
    for key, value in given.items():
        _check(key, value, properties[key]["type"])
    return given


def _check(key: str, value: object, kind: str) -> None:
    """Raise `MalformedError` for a value of a wrong type, or that nothing can be done with."""
    if kind == "integer":
        if type(value) is not int or not 1 <= value <= _LAST_LINE:
            raise MalformedError(f"{key} must be a whole number from 1")
        return
    if not isinstance(value, str):
        raise MalformedError(f"{key} must be a text")
    if "\0" in value:
        raise MalformedError(f"{key} holds a NUL character")
    if not value.strip():
        raise MalformedError(f"{key} is empty")
