"""One side of the conversation between the process of the tests and that of the candidate.

Both sides can ask: while one waits for an answer, the other may ask back (a test that hands over a
function is called by the candidate). What is asked and answered are values that cross (`crossing`)
and handles (`remote`). The side of the tests is *guarded*: it believes nothing, gives out nothing
but what a test itself handed over, and lets only public names of that be used.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import copy
import importlib
import inspect
import io
import operator
import pickle
import random
import sys
import types
import warnings
from typing import TYPE_CHECKING, Any, Callable

from recode_program import crossing, remote
from recode_program.crossing import Decoder, Encoder, HungUpError, UncrossableError

if TYPE_CHECKING:
    import socket

OWN_MODULE = "solution"
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType,
              types.MethodDescriptorType, types.MethodWrapperType)  # fmt: skip
_CONTAINERS = (list, dict, set, bytearray)
_UNSAFE_MODULES = frozenset({
    "subprocess", "ctypes", "_ctypes", "os", "posix", "code", "codeop", "pty", "importlib",
    "zipimport", "runpy", "multiprocessing", "socket", "pickle", "_pickle", "marshal", "shelve",
})  # fmt: skip
_HARMLESS = frozenset({"builtins", "io", "_io", "random", "_random", "itertools", "collections",
                       "functools", "contextlib", "string", "enum", "abc", "typing"})  # fmt: skip
"""The modules of the standard library whose objects tests may hand over to be used."""
_ERRORS = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What decoding a message raises that is none."""
_OPERATIONS: dict[str, Callable[..., Any]] = {
    "__len__": len, "__iter__": iter, "__reversed__": reversed, "__hash__": hash, "__bool__": bool,
    "__str__": str, "__repr__": repr, "__bytes__": bytes, "__int__": int, "__float__": float,
    "__complex__": complex, "__index__": operator.index, "__abs__": abs, "__dir__": dir,
    "__getitem__": operator.getitem, "__setitem__": operator.setitem,
    "__delitem__": operator.delitem, "__contains__": operator.contains, "__format__": format,
    "__round__": round, "__copy__": copy.copy,
    "__deepcopy__": lambda value, *_: copy.deepcopy(value),
    "__exit__": lambda value, *_: type(value).__exit__(value, *_),
}  # fmt: skip


class Peer:
    """Asks and answers; see the module."""

    def __init__(self, channel: socket.socket, *, guarded: bool) -> None:
        self.guarded = guarded
        self.obstacles: list[tuple[str, bool]] = []
        """Why a program cannot be split: the reason, and whether the tests are it."""
        self.share_random = self.share_warnings = False
        self.gone = False
        """Whether the other side has hung up, or talks nonsense."""
        self._freed: list[int] = []
        self._channel = channel
        self._own: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._described: set[int] = set()
        self._foreign: dict[tuple[int, bool], Any] = {}
        self._classes: dict[int, Any] = {}
        self._output = (sys.stdout, sys.stderr)
        self._random: Any = None

    def obstacle(self, reason: str, *, by_tests: bool = True) -> UncrossableError:
        """Note that the program cannot be split; return the exception that says so."""
        self.obstacles.append((reason, by_tests))
        return UncrossableError(reason)

    # --- asking

    def request(self, operation: str, *operands: Any, asked: bool = False) -> Any:
        """Ask the other side; return its value or raise its exception.

        `asked`: the test made the object that comes back. Raises `HungUpError`.
        """
        encoder = Encoder(self._encode_other, {})
        try:
            form = ["ask", operation, encoder.all(operands), self._context()]
        except UncrossableError as error:
            raise self.obstacle(f"the tests hand over {error}") from None
        self._send(form, encoder)
        while True:
            content, blobs = self._receive()
            decoder = Decoder(self._decode_other, blobs, encoder.objects)
            try:
                kind, *parts = content
                if kind == "ask":
                    self._answer(decoder, parts)
                    continue
                value = self._reply(decoder, parts, encoder.objects, asked=asked)
            except _ERRORS:
                if not self.guarded:
                    raise
                self.gone = True
                raise HungUpError("the answer's process sends what is no value") from None
            if kind == "raise" and isinstance(value, BaseException):
                raise value
            if kind == "cannot":
                raise self.obstacle(f"the answer gives {value}", by_tests=False)
            if kind == "refused":
                raise self.obstacle(f"the tests hand over what cannot be copied: {value}")
            return value

    def _context(self) -> list[Any]:
        captures = sys.stdout is not self._output[0] or sys.stderr is not self._output[1]
        state = None
        if self.share_random:
            state = _random_state()
            state = None if state == self._random else state
        freed, self._freed = self._freed, []
        return [captures, self.share_warnings, state, freed]

    def forget(self, number: int) -> None:
        """Let the owner drop a method that nobody has any more; told with the next request."""
        self._foreign.pop((number, False), None)
        self._freed.append(number)

    def _send(self, content: Any, encoder: Encoder) -> None:
        try:
            crossing.send(self._channel, content, encoder.blobs)
        except HungUpError:
            self.gone = True
            raise

    def _receive(self) -> tuple[Any, list[bytearray]]:
        try:
            return crossing.receive(self._channel)
        except HungUpError:
            self.gone = True
            raise

    def _reply(self, decoder: Decoder, parts: list[Any], own: list[Any], *, asked: bool) -> Any:
        form, changes, printed, warned, state = parts
        value = self._decode_value(decoder, form, asked=asked)
        for number, content in changes:
            _overwrite(own[number], decoder.decode(content))
        for text, stream in zip(printed, (sys.stdout, sys.stderr)):
            if text and type(text) is str:
                stream.write(text)
        for category, text in warned:
            kind = getattr(builtins, str(category), UserWarning)
            if isinstance(kind, type) and issubclass(kind, Warning):
                warnings.warn(str(text), kind, stacklevel=4)
        if state is not None and self.share_random:
            _set_random_state(state)
            self._random = _random_state()
        return value

    # --- answering

    def serve(self) -> None:
        """Answer until the other side hangs up."""
        with contextlib.suppress(HungUpError):
            while True:
                content, blobs = self._receive()
                self._answer(Decoder(self._decode_other, blobs, []), content[1:])

    def _answer(self, decoder: Decoder, content: list[Any]) -> None:
        operation, forms, (captures, warns, state, freed) = content
        try:
            operands = decoder.all(forms)
        except Exception as error:  # noqa: BLE001 - a copy of a library's object may refuse
            self._send(["refused", f"{type(error).__name__}: {error}"[:500], [], ["", ""], [], None],
                       Encoder(self._encode_other, {}))  # fmt: skip
            return
        if not self.guarded:
            self._drop(freed)
        before = [] if self.guarded else [_Snapshot(one) for one in decoder.objects]
        if state is not None:
            _set_random_state(state)
        printed = ["", ""]
        warned: list[Any] = []
        try:
            with _listening(printed, warned, captures=captures, warns=warns):
                kind, value = "value", self._do(operation, operands)
        except HungUpError:
            raise
        except BaseException as error:  # noqa: BLE001 - all of it is the other side's to see
            kind, value = "raise", error
        known = {id(one): number for number, one in enumerate(decoder.objects[: len(before)])}
        encoder = Encoder(self._encode_other, known)
        try:
            form = encoder.encode(value)
            changes = [
                [number, encoder.content(one)]
                for number, one in enumerate(decoder.objects[: len(before)])
                if before[number].differs(one)
            ]
        except UncrossableError as error:
            encoder = Encoder(self._encode_other, {})
            kind, form, changes = "cannot", str(error), []
        except Exception as error:  # noqa: BLE001 - hostile objects may do anything
            encoder = Encoder(self._encode_other, {})
            kind, form, changes = "raise", encoder.encode(error), []
        now = _random_state() if state is not None or self.share_random else None
        self._send([kind, form, changes, printed, warned, now], encoder)

    def _drop(self, numbers: list[int]) -> None:
        for number in numbers:
            self._numbers.pop(id(self._own[number]), None)
            self._described.discard(number)
            self._own[number] = None

    def _do(self, operation: str, operands: list[Any]) -> Any:
        number, *rest = operands
        if self.guarded:
            _refuse_private(operation, rest)
        return getattr(self, f"_do_{operation}")(self._own[crossing._natural(number)], *rest)

    def _do_call(self, target: Any, args: Any, kwargs: Any) -> Any:
        return target(*args, **kwargs)

    def _do_get(self, target: Any, name: str) -> Any:
        value = getattr(target, name)
        return dict(value) if name == "__dict__" else value

    def _do_set(self, target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)

    def _do_del(self, target: Any, name: str) -> None:
        delattr(target, name)

    def _do_do(self, target: Any, name: str, *operands: Any) -> Any:
        how = _OPERATIONS.get(name)
        if how is not None:
            return how(target, *operands)
        return getattr(type(target), name)(target, *operands)

    def _do_next(self, target: Any, count: int) -> Any:
        values: list[Any] = []
        try:
            for _ in range(count):
                values.append(next(target))
        except BaseException as error:  # noqa: BLE001 - comes after the values
            return values, error
        return values, None

    def _do_await(self, target: Any) -> Any:
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(target)
        finally:
            loop.close()

    def _do_signature(self, target: Any) -> Any:
        empty = inspect.Parameter.empty
        return [
            (one.name, int(one.kind), one.default is not empty,
             None if one.default is empty else one.default)
            for one in inspect.signature(target).parameters.values()
        ]  # fmt: skip

    # --- values

    def _encode_other(self, encoder: Encoder, value: Any) -> Any:
        """Encode what is not plain data: see `Encoder`."""
        if remote.is_remote(value):
            return ["o", value._recode_class if isinstance(value, remote.RemoteType)
                    else value._recode_number]  # fmt: skip
        if isinstance(value, type):
            return self._encode_class(encoder, value)
        if isinstance(value, BaseException):
            return self._encode_exception(encoder, value)
        as_base = crossing.base_encoder(value)
        if as_base is not None:
            return as_base(encoder, value)
        if isinstance(value, types.ModuleType):
            if not self.guarded:
                raise UncrossableError(f"the module {value.__name__}")
            return ["mod", value.__name__]
        kind = type(value)
        if isinstance(value, _FUNCTIONS):
            return self._encode_function(value)
        if _third_party(kind) and crossing_libraries.bind():
            return encoder.encode(value)
        plain = next((one for one in _CONTAINERS if issubclass(kind, one)), None)
        if plain is not None and not _public_methods(kind, plain):
            return encoder.encode(plain(value))
        immutable = next((one for one in remote.IMMUTABLE if issubclass(kind, one)), None)
        if self.guarded and immutable is None and not _may_be_used(kind):
            return self._encode_library_object(encoder, value)
        base: Any = None if immutable is None else immutable(value)
        number = self._number(value)
        facts = [encoder.encode(kind), _dunders(kind), encoder.encode(base), _third_party(kind)]
        return ["I", number, *facts]

    def _number(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._own)
            self._own.append(value)
        return number

    def _encode_class(self, encoder: Encoder, value: type) -> Any:
        module = getattr(value, "__module__", None)
        if type(module) is str and module not in {OWN_MODULE, "__main__"}:
            name = value.__qualname__
            if _found(module, name) is value:
                return ["ref", module, name]
        number = self._number(value)
        if number in self._described:
            return ["C", number]
        self._described.add(number)
        doc = value.__doc__ if type(value.__doc__) is str else None
        bases = [encoder.encode(base) for base in value.__bases__ if base is not object]
        facts = [str(value.__name__), str(value.__qualname__), doc, _dunders(value), bases]
        return ["C", number, facts]

    def _encode_function(self, value: Any) -> Any:
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if self.guarded and type(module) is str and module != OWN_MODULE:
            if _found(module, name) is value:
                return ["fn", module, name]
        number = self._number(value)
        if number in self._described:
            return ["h", number]
        self._described.add(number)
        kind = ("function" if isinstance(value, types.FunctionType) else
                "method" if isinstance(value, types.MethodType) else "builtin")  # fmt: skip
        texts = [getattr(value, name, None) for name in ("__name__", "__qualname__", "__doc__")]
        facts = [str(one) if isinstance(one, str) else None for one in texts]
        return ["h", number, [*facts, kind]]

    def _encode_exception(self, encoder: Encoder, value: BaseException) -> Any:
        try:
            text = str(value)[:10_000]
        except Exception:  # noqa: BLE001 - its own `__str__` may do anything
            text = ""
        kind = encoder.encode(type(value))
        args = encoder.attempt(value.args)
        attributes = [[str(name), encoder.attempt(one)]
                      for name, one in list(vars(value).items())[:50]]  # fmt: skip
        return ["exc", kind, self._number(value), args, str(text), attributes]

    def _encode_library_object(self, encoder: Encoder, value: Any) -> Any:
        kind = type(value)
        # A copy: through an object of a library itself, the candidate could reach too much here.
        content = io.BytesIO()
        pickler = _Pickler(content, self, encoder)
        try:
            pickler.dump(value)
        except Exception as error:
            raise UncrossableError(f"a {kind.__module__}.{kind.__name__}") from error
        return ["pickle", encoder.blob(content.getvalue()), pickler.handles]

    def _decode_value(self, decoder: Decoder, form: Any, *, asked: bool) -> Any:
        if asked and type(form) is list and form and form[0] == "I":
            return self._instance(decoder, *form[1:], asked=True)
        return decoder.decode(form)

    def _decode_other(self, decoder: Decoder, tag: str, *parts: Any) -> Any:
        """Decode what is not plain data: see `Decoder`."""
        if tag == "o":
            return self._own[crossing._natural(parts[0])]
        if tag == "ref":
            return _class_by_reference(*parts)
        if tag == "C":
            return self._class(decoder, *parts)
        if tag == "h":
            return self._function(*parts)
        if tag == "I":
            return self._instance(decoder, *parts, asked=False)
        if tag == "exc":
            return self._exception(decoder, *parts)
        if type(tag) is str and crossing_libraries.load(tag):
            return decoder.decode([tag, *parts])
        if not self.guarded:
            if tag == "pickle":
                content, forms = parts
                return _Unpickler(io.BytesIO(decoder.blob(content)), decoder.all(forms)).load()
            if tag == "mod":
                return importlib.import_module(parts[0])
            if tag == "fn":
                return _found(*parts)
        raise ValueError("no value")

    def _class(self, decoder: Decoder, number: int, facts: Any = None) -> Any:
        found = self._classes.get(number)
        if found is None:
            name, qualname, doc, dunders, forms = facts
            _check_texts(name, qualname, *dunders)
            bases = [one for one in decoder.all(forms) if isinstance(one, type)]
            found = remote.make_class(self, number, [name, qualname, doc, dunders, bases])
            self._classes[number] = found
        return found

    def _function(self, number: int, facts: Any = None) -> Any:
        found = self._foreign.get((number, False))
        if found is None:
            name, qualname, doc, kind = facts
            made = remote.RemoteFunction(self, crossing._natural(number),
                                         [name or "function", qualname or "function", doc, kind])  # fmt: skip
            found = self._foreign[number, False] = made
        return found

    def _instance(
        self, decoder: Decoder, number: int, kind: Any, dunders: Any, base: Any, library: Any, *,
        asked: bool,
    ) -> Any:  # fmt: skip
        _check_texts(*dunders)
        kind, base = decoder.decode(kind), decoder.decode(base)
        # Another view of an object that a test has made, where it matters that no test made it.
        asked = asked or ((number, True) in self._foreign
                          and not remote.compares(dunders))  # fmt: skip
        found = self._foreign.get((number, asked))
        if found is None:
            found = remote.make_instance(
                self, crossing._natural(number), kind, dunders, base, asked=asked, library=library
            )
            self._foreign[number, asked] = found
        return found

    def _exception(
        self, decoder: Decoder, kind: Any, number: int, args: Any, text: Any, attributes: Any
    ) -> Any:
        kind, args = decoder.decode(kind), decoder.decode(args)
        args = args if type(args) is tuple else (text,)
        _check_texts(text, *(name for name, _ in attributes))
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            kind = Exception  # of a library that this process has not loaded
        held = {name: decoder.decode(form) for name, form in attributes}
        return remote.make_exception(kind, number, args, text, held)


def _may_be_used(kind: type) -> bool:
    """Whether the candidate may use an object of the tests itself: theirs, or a harmless one."""
    top = kind.__module__.partition(".")[0]
    return top == OWN_MODULE or top in _HARMLESS


def _check_texts(*values: Any) -> None:
    if any(type(value) is not str for value in values):
        raise ValueError("no text where one belongs")


def _refuse_private(operation: str, rest: list[Any]) -> None:
    """The candidate may use what tests hand over, but not look behind it."""
    if operation in {"get", "set", "del", "do"}:
        name = rest[0]
        if type(name) is not str or (name.startswith("_") and name not in remote.DUNDERS):
            raise AttributeError(name)
        if name.startswith(("gi_", "cr_", "ag_", "f_", "tb_", "co_", "func_")) or name == "mro":
            raise AttributeError(name)
    elif operation not in {"call", "next"}:
        raise AttributeError(operation)


def _dunders(kind: type) -> list[str]:
    """Which special methods instances have, beyond those of any object."""
    found: dict[str, Any] = {}
    for one in reversed(kind.__mro__[:-1]):
        found.update({name: vars(one)[name] for name in remote.DUNDERS & vars(one).keys()})
    return sorted(name for name, value in found.items() if value is not None)


def _public_methods(kind: type, plain: type) -> bool:
    """Whether a class of containers can more than the builtin one it derives from."""
    return any(not name.startswith("_") and not hasattr(plain, name) for name in dir(kind))


def _found(module: str, qualname: str) -> Any:
    value: Any = sys.modules.get(module)
    for part in qualname.split("."):
        value = getattr(value, part, None)
    return value


def _class_by_reference(module: Any, qualname: Any) -> Any:
    """The class that both processes have; `object` for one that this process has not loaded."""
    _check_texts(module, qualname)
    found = _found(module, qualname)
    if not isinstance(found, type) or module.partition(".")[0] in _UNSAFE_MODULES:
        return object
    return found


def _third_party(kind: type) -> bool:
    top = str(getattr(kind, "__module__", "")).partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


class _Pickler(pickle.Pickler):
    """Copies an object of a library; what tests define themselves goes along as handles."""

    def __init__(self, file: io.BytesIO, peer: Peer, encoder: Encoder) -> None:
        super().__init__(file)
        self._peer, self._encoder = peer, encoder
        self.handles: list[Any] = []

    def persistent_id(self, value: Any) -> Any:
        """The number of a handle; None for what is copied."""
        if not isinstance(value, (type, types.FunctionType)) or value.__module__ != OWN_MODULE:
            return None
        self.handles.append(self._encoder.encode(value))
        return len(self.handles) - 1


class _Unpickler(pickle.Unpickler):
    """Makes the copy, in the candidate's process: the sender is the one that is trusted."""

    def __init__(self, file: io.BytesIO, handles: list[Any]) -> None:
        super().__init__(file)
        self._handles = handles

    def persistent_load(self, number: Any) -> Any:
        """The proxy of a handle."""
        return self._handles[number]


class _Snapshot:
    """What a mutable object held before a call, so that a change can be seen."""

    def __init__(self, value: Any) -> None:
        self._held = self._parts(value)

    def differs(self, value: Any) -> bool:
        """Whether it holds something else by now."""
        now, held = self._parts(value), self._held
        if type(now) is not list or type(held) is not list:
            return bool(now != held)
        return len(now) != len(held) or not all(map(operator.is_, now, held))

    @staticmethod
    def _parts(value: Any) -> Any:
        if isinstance(value, dict):
            return [*value.keys(), *value.values()]
        if type(value) is list or hasattr(value, "maxlen"):
            return list(value)
        if type(value) in {set, bytearray}:
            return type(value)(value)
        encoder = Encoder(lambda *_: None, {})
        try:
            return (crossing._dumps(encoder.encode(value)), *encoder.blobs)
        except Exception:  # noqa: BLE001 - parts that do not cross: seen as unchanged
            return None


def _overwrite(own: Any, new: Any) -> None:
    """Make an object of the tests hold what the candidate made of its copy."""
    if type(own) is not type(new):
        raise ValueError("another type of object")
    if isinstance(own, (list, bytearray)):
        own[:] = new
    elif isinstance(own, (dict, set)):
        own.clear()
        own.update(new)
    elif hasattr(own, "extend"):
        own.clear()
        own.extend(new)
    elif hasattr(own, "_mgr"):
        object.__setattr__(own, "_mgr", new._mgr)
    elif hasattr(own, "requires_grad"):
        own.data = new.data
    elif hasattr(own, "dtype"):
        own[...] = new
    elif hasattr(own, "__dict__"):
        own.__dict__.clear()
        own.__dict__.update(vars(new))


@contextlib.contextmanager
def _listening(printed: list[str], warned: list[Any], *, captures: bool, warns: bool) -> Any:
    with contextlib.ExitStack() as stack:
        streams: tuple[io.StringIO, io.StringIO] | None = None
        if captures:
            streams = io.StringIO(), io.StringIO()
            stack.enter_context(contextlib.redirect_stdout(streams[0]))
            stack.enter_context(contextlib.redirect_stderr(streams[1]))
        caught: list[Any] = []
        if warns:
            caught = stack.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("always")
        try:
            yield
        finally:
            if streams is not None:
                printed[:] = [stream.getvalue() for stream in streams]
            warned[:] = [[one.category.__name__, str(one.message)] for one in caught]


def _random_state() -> Any:
    state: list[Any] = [random.getstate()]
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None:
        kind, keys, *rest = numpy.random.get_state()
        state.append([kind, keys.tolist(), *rest])
    if torch is not None:
        state.append(torch.get_rng_state().tolist())
    return state


def _set_random_state(state: Any) -> None:
    version, numbers, gauss = state[0]
    random.setstate((version, tuple(numbers), gauss))
    rest = state[1:]
    if "numpy" in sys.modules and rest:
        sys.modules["numpy"].random.set_state(tuple(rest.pop(0)))
    if "torch" in sys.modules and rest:
        torch = sys.modules["torch"]
        torch.set_rng_state(torch.tensor(rest.pop(0), dtype=torch.uint8))
