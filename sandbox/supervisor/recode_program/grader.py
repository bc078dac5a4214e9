"""The process of the tests, where the candidate runs in another one (`answerer`).

Nothing of the candidate's is executed in here. Its functions and classes are proxies, what they
return is plain data that this process built itself, and it reaches neither the tests nor a nonce.
"""

from __future__ import annotations

import ast
import dis
import importlib
import marshal
import os
import signal
import socket
import sys
import time
import types
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from recode_program import (
    answerer,
    crossing,
    crossing_libraries,
    describing,
    linux,
    namespace,
    protocol,
    remote,
    tampering,
)
from recode_program.crossing import Decoder, HungUpError
from recode_program.peer import Peer

if TYPE_CHECKING:
    from recode_program.runner import Seeders

_ALIASES = {
    "np": "numpy", "pd": "pandas", "plt": "matplotlib.pyplot", "mpl": "matplotlib", "sp": "sympy",
    "nn": "torch.nn", "F": "torch.nn.functional", "nx": "networkx", "tf": "tensorflow",
    "sns": "seaborn", "dt": "datetime", "mp": "multiprocessing", "it": "itertools",
    "ET": "xml.etree.ElementTree", "la": "numpy.linalg", "npt": "numpy.testing",
    "stats": "scipy.stats", "jnp": "jax.numpy", "optim": "torch.optim", "pl": "polars",
    "sym": "sympy", "ft": "functools",
}  # fmt: skip
"""Under which other names modules are usually imported."""
_SETS_SEEDS = ("seed", "manual_seed", "set_state", "setstate", "set_rng_state", "rand", "randn",
               "randint", "random")  # fmt: skip
_LOOKS_AT_WARNINGS = ("warns", "catch_warnings", "simplefilter", "filterwarnings", "assertWarns",
                      "deprecated_call")  # fmt: skip
_IN_ONE_PROCESS = {
    "patch what the answer uses": ("patch", "MagicMock", "monkeypatch", "stdin", "setattr"),
    "run threads or tasks": ("threading", "Thread", "ThreadPoolExecutor", "ProcessPoolExecutor",
                             "multiprocessing", "create_task", "gather", "TaskGroup", "to_thread"),
    "look at gradients": ("backward", "autograd", "requires_grad_"),
    "listen to the log": ("assertLogs", "caplog"),
    "execute what the answer gives": ("sympify", "parse_expr", "from_string",
                                      "Template", "pickle", "read_pickle", "joblib", "shelve",
                                      "dill", "cloudpickle", "run_path", "import_module"),
}  # fmt: skip
"""Names in tests that need the answer in their own process, or would make it execute there."""
_BINDS_UNSEEN = frozenset({"exec", "eval", "globals", "locals", "vars", "__dict__"})
_STORE_NAME, _STORE_GLOBAL = dis.opmap["STORE_NAME"], dis.opmap["STORE_GLOBAL"]
_ONE_BYTE = 256


class Grader(Peer):
    """Binds the names that tests use, and asks the candidate's process for what they do."""

    def __init__(self, channel: socket.socket, space: dict[str, Any]) -> None:
        super().__init__(channel, guarded=True)
        self._space = space
        self._given = dict(space)
        """The names of the set-up, and what it bound them to."""
        self._bound: dict[str, Any] = {}
        self._stored: frozenset[str] | None = frozenset()
        """The names that the test itself binds; None: any."""
        self._values: list[str] = []
        """Bound names that hold plain data: a call may bind them anew."""
        self._depth = 0
        self._asked_for: frozenset[str] = frozenset()
        """The names that the candidate's process may bind now."""
        self._builtin = frozenset(dir(space["__builtins__"]))

    def begin(self, code: types.CodeType, source: str) -> None:
        """Before a test: fresh seeds, and the candidate's names that its code uses."""
        used = tampering.names_in(code, texts=False)
        for what, telling in _IN_ONE_PROCESS.items():
            if not used.isdisjoint(telling):
                raise self.obstacle(f"the tests {what}")
        if {"torch", "load"} <= used or (used & {"eval", "exec"} and _executes(source)):
            raise self.obstacle("the tests execute what the answer gives")
        self.share_random = not used.isdisjoint(_SETS_SEEDS)
        self.share_warnings = not used.isdisjoint(_LOOKS_AT_WARNINGS)
        self._random = None
        for name, value in self._bound.items():
            if self._space.get(name) is value:  # no test has bound it since
                del self._space[name]
                if name in self._given:
                    self._space[name] = self._given[name]
        self._bound, self._values = {}, []
        self._stored = _stored(code, used)
        self._depth = 1
        # A builtin stays one, and so does what the set-up imported. Functions and classes that it
        # defined may be defined anew by an answer.
        names = [
            name for name in sorted(used - self._builtin)
            if name not in self._space or (name in self._given and _defined(self._space[name]))
        ]  # fmt: skip
        self._bind(names, "begin")
        self._depth = 0

    def _bind(self, names: list[str], operation: str = "bind") -> None:
        self._asked_for = frozenset(names)
        bound = self.request(operation, *names)
        self._asked_for = frozenset()
        if type(bound) is not dict:
            self.gone = True
            raise HungUpError("the answer's process binds no names")
        for name, value in bound.items():
            if name not in self._given or isinstance(value, (type, types.FunctionType)):
                self._bound[name] = self._space[name] = value

    def request(self, operation: str, *operands: Any, asked: int = remote.UNASKED) -> Any:
        """See `Peer`; after a call the names that hold plain data are bound anew."""
        self._depth += 1
        try:
            value = super().request(operation, *operands, asked=asked)
            if self._depth == 1 and self._values:
                self._bind(self._values)
            return value
        finally:
            self._depth -= 1

    def _decode_other(self, decoder: Decoder, tag: str, *parts: Any) -> Any:
        if tag == "bound" and self._depth:
            bound: dict[str, Any] = {}
            for name, form in parts[0]:
                self._decode_bound(decoder, name, form, bound)
            return bound
        return super()._decode_other(decoder, tag, *parts)

    def _decode_bound(self, decoder: Decoder, name: Any, form: Any, bound: dict[str, Any]) -> None:
        if type(name) is not str or name not in self._asked_for:
            raise ValueError("no name that was asked for")
        tag = form[0] if type(form) is list and form else None
        if tag == "import":
            value = _imported(name, *form[1:])
            if value is not None:
                bound[name] = value
            return
        if tag == "cannot":
            raise self.obstacle(f"the answer binds {name} to {form[1]}", by_tests=False)
        # What a test has bound itself, or imported, no call may bind anew.
        new = tag not in {"h", "C", "I"} and name not in self._values
        if new and self._stored is not None and name not in self._stored:
            self._values.append(name)
        bound[name] = self._decode_value(decoder, form, asked=remote.asked_by_name(name))


def _executes(source: str) -> bool:
    """Whether a test executes another text than one of its own."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and (
            getattr(node.func, "id", None) in {"eval", "exec"}
            or getattr(node.func, "attr", None) in {"eval", "exec"}
        ):
            first = node.args[0] if node.args else None
            if not isinstance(getattr(first, "value", getattr(first, "s", None)), str):
                return True
    return False


def _stored(code: types.CodeType, used: set[str]) -> frozenset[str] | None:
    """The global names that a test binds; None if its code does not show them all."""
    if not used.isdisjoint(_BINDS_UNSEEN):
        return None
    found: set[str] = set()
    queue = [code]
    while queue:
        one = queue.pop()
        kinds = (_STORE_GLOBAL,) if one is not code else (_STORE_GLOBAL, _STORE_NAME)
        if len(one.co_names) > _ONE_BYTE:
            found.update(one.co_names)  # some are longer than an instruction
        operations = one.co_code
        for kind, number in zip(operations[::2], operations[1::2]):
            if kind in kinds:
                found.add(one.co_names[number])
        queue += [part for part in one.co_consts if type(part) is types.CodeType]
    return frozenset(found)


def _defined(value: Any) -> bool:
    """Whether the set-up itself has defined it."""
    return isinstance(value, (type, types.FunctionType)) and value.__module__ == namespace.NAME


def _imported(name: str, module: Any, qualname: Any) -> Any:
    """What a name that the answer imported stands for; None if an answer may not say so.

    A test that uses a name that only the answer has imported means the library by it. Under a name
    that is not its own nor usual, another function could stand in for the one that the test means.
    """
    if type(module) is not str or type(qualname) is not str:
        raise ValueError("no name where one belongs")
    last = (qualname or module).rpartition(".")[2]
    if name != last and not (not qualname and _ALIASES.get(name) == module):
        return None
    try:
        value: Any = importlib.import_module(module)
        for part in filter(None, qualname.split(".")):
            value = getattr(value, part)
    except (ImportError, AttributeError, ValueError):
        return None
    return value


def run(
    channel: socket.socket,
    own_modules: tuple[str, ...],
    seeders: Callable[[], Seeders],
    fork: Callable[[], int],
    guard: Callable[[], None],
) -> NoReturn:
    """Run the program that comes over `channel` in two processes; see `runner.run`.

    `guard` confines the candidate's process further, where that needs its number.
    """
    receive, describe = protocol.receiver(channel), describing.describer()
    for seed, value in seeders():
        seed(value)
    folder = os.getcwd()  # noqa: PTH109
    module = namespace.fresh(own_modules, folder)
    channel.send(protocol.CONFINED)
    setup, candidate = marshal.loads(receive())  # noqa: S302 - the supervisor's
    try:
        exec(compile(setup, "<setup>", "exec", 0, True), module.__dict__)  # noqa: S102
    except BaseException as error:  # noqa: BLE001
        channel.send(protocol.SETUP_FAILED + describe(error))
        os._exit(0)
    channel.send(protocol.SET_UP)
    crossing_libraries.bind()  # those that only the set-up has loaded
    pid, ours = _start(channel, module, candidate, seeders(), fork, guard)
    sys.path.remove(folder)  # what the candidate writes there is no library
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    grader = Grader(ours, module.__dict__)
    _await_definition(channel, ours, pid)
    while True:
        code = receive()
        if not code:
            os._exit(0)
        source = marshal.loads(code)  # noqa: S302
        test = compile(source, protocol.TEST_FILE, "exec", 0, True)
        nonce = receive()
        for seed, value in seeders():
            seed(value)
        start = time.process_time() + linux.cpu_time(pid)
        result, detail = _grade(grader, test, source, describe, pid)
        used = max(0.0, time.process_time() + linux.cpu_time(pid) - start)
        sys.stdout.flush()
        sys.stderr.flush()
        channel.send(protocol.VERDICT.pack(nonce, result, used) + detail)
        if grader.gone or grader.obstacles:
            os._exit(0)


def _start(
    channel: socket.socket,
    module: types.ModuleType,
    candidate: str,
    seeders: Seeders,
    fork: Callable[[], int],
    guard: Callable[[], None],
) -> tuple[int, socket.socket]:
    """Fork the candidate's process; return its number and the channel to it."""
    ours, theirs = socket.socketpair()
    # Of the same user, it could otherwise look into this process by way of /proc.
    before = linux.prctl(linux.PR_GET_DUMPABLE)
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    pid = fork()
    if pid == 0:
        try:
            ours.close()
            channel.close()
            if before == 1:
                linux.prctl(linux.PR_SET_DUMPABLE, 1)
            guard()
            answerer.run(theirs, module, candidate, seeders)
        finally:
            os._exit(1)
    theirs.close()
    return pid, ours


def _await_definition(channel: socket.socket, ours: socket.socket, pid: int) -> None:
    """Tell the supervisor whether the candidate could be defined; end if it could not."""
    try:
        content, _ = crossing.receive(ours)
        kind, detail = content
        if kind == answerer.DEFINED:
            channel.send(protocol.DEFINED)
            return
        letter = protocol.OUT_OF_MEMORY if kind == answerer.NO_MEMORY else protocol.FAILED
        said = str(detail).encode("ascii", "backslashreplace")
    except (HungUpError, ValueError, TypeError):
        letter, said = _end_of(pid)
    channel.send(protocol.CANDIDATE_FAILED + letter + said[: protocol.DETAIL_BYTES])
    os._exit(0)


def _grade(
    grader: Grader,
    test: types.CodeType,
    source: str,
    describe: Callable[[BaseException], bytes],
    pid: int,
) -> tuple[bytes, bytes]:
    """Run a test; return the letter of its verdict and the detail."""
    result, detail, out_of_memory = protocol.PASSED, b"", describing.out_of_memory_test()
    try:
        grader.begin(test, source)
        exec(test, grader._space)  # noqa: S102
    except BaseException as error:  # noqa: BLE001
        result, detail = protocol.FAILED, describe(error) + describing.place_finder()(error)
        if out_of_memory(error):
            result = protocol.OUT_OF_MEMORY
    if grader.obstacles:
        reason, by_tests = grader.obstacles[0]
        said = reason.encode("ascii", "backslashreplace")[: protocol.DETAIL_BYTES - 1]
        return protocol.UNSPLIT, (b"T" if by_tests else b"A") + said
    if grader.gone:
        return _end_of(pid)
    return result, detail


def _end_of(pid: int) -> tuple[bytes, bytes]:
    """How the candidate's process ended, as a verdict."""
    deadline = time.monotonic() + 1
    status: int | None = None
    while time.monotonic() < deadline:
        ended, found = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = found
            break
        time.sleep(0.001)
    if status is None:
        return protocol.CRASHED, b"the process of the answer closed or misused its channel"
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if number == signal.SIGXCPU:
        return protocol.TIMED_OUT, b"more CPU time than allowed"
    if number:
        return protocol.CRASHED, b"the process of the answer was killed by signal %d" % number
    return protocol.CRASHED, b"the process of the answer ended with status %d" % os.WEXITSTATUS(
        status
    )
