"""The process of the candidate, where tests run in another one: defines it, then serves calls.

Everything in here may be taken over by the candidate. It decides nothing: what it says is plain
data to the process of the tests.
"""

from __future__ import annotations

import os
import signal
import types
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from recode_program import crossing, describing, linux, namespace, newer_syntax
from recode_program.crossing import Encoder, UncrossableError
from recode_program.peer import Peer
from recode_program.values import found_in_module

if TYPE_CHECKING:
    import socket

DEFINED, FAILED, NO_MEMORY = "defined", "failed", "memory"


class Answerer(Peer):
    """Serves the names of the candidate's module."""

    def __init__(
        self, channel: socket.socket, space: dict[str, Any], seeders: list[tuple[Any, Any]]
    ) -> None:
        super().__init__(channel, guarded=False)
        self._space = space
        self._before = dict(space)
        self._seeders = seeders

    def _do(self, operation: str, operands: list[Any]) -> Any:
        if operation == "begin":
            for seed, value in self._seeders:
                seed(value)
        if operation in {"begin", "bind"}:
            return _Bound({name: self._space[name] for name in operands if self._is_own(name)})
        return super()._do(operation, operands)

    def _is_own(self, name: str) -> bool:
        """Whether the candidate has bound this name, and not to what the set-up had."""
        if name not in self._space:
            return False
        return name not in self._before or self._space[name] is not self._before[name]

    def _encode_other(self, encoder: Encoder, value: Any) -> Any:
        if type(value) is _Bound:
            return ["bound", [[name, self._bound(encoder, one)] for name, one in value.items()]]
        return super()._encode_other(encoder, value)

    def _bound(self, encoder: Encoder, value: Any) -> Any:
        """A value of the module: what the candidate only imported is named, not handed over."""
        if isinstance(value, types.ModuleType) and value.__name__ != namespace.NAME:
            return ["import", value.__name__, ""]
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        imported = type(module) is str and module != namespace.NAME and type(name) is str
        if imported and found_in_module(module, name) is value:  # type: ignore[arg-type]
            return ["import", module, name]
        try:
            return encoder.encode(value)
        except UncrossableError as error:
            return ["cannot", str(error)]


class _Bound(dict):  # type: ignore[type-arg]
    """Names of the candidate's module, and what they are bound to."""


def run(
    channel: socket.socket,
    module: types.ModuleType,
    candidate: str,
    seeders: list[tuple[Callable[[Any], Any], Any]],
) -> NoReturn:
    """Define the candidate, say whether that worked, and serve until the other side hangs up."""
    linux.prctl(linux.PR_SET_PDEATHSIG, signal.SIGKILL)
    describe, out_of_memory = describing.describer(), describing.out_of_memory_test()
    file = str(module.__file__)
    namespace.show_source(file, candidate)
    peer = Answerer(channel, module.__dict__, seeders)
    note = b""
    try:
        try:
            answer = compile(candidate, file, "exec", 0, True)
        except SyntaxError:
            note = newer_syntax.note(candidate)
            raise
        exec(answer, module.__dict__)  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - whatever it is
        kind = NO_MEMORY if out_of_memory(error) else FAILED
        crossing.send(channel, [kind, (describe(error) + note).decode("ascii")], [])
        os._exit(0)
    crossing.send(channel, [DEFINED, ""], [])
    peer.serve()
    os._exit(0)
