"""What crosses beside plain data: handles of objects, classes, exceptions, copies of a library's.

`crossing` has the plain data. Here an object that stays where it is gets a number, and the other
side a description to make a proxy of (`remote`).
"""

from __future__ import annotations

import contextlib
import importlib
import io
import pickle
import sys
import types
from abc import ABC, abstractmethod
from typing import Any

from recode_program import crossing, crossing_libraries, remote
from recode_program.crossing import Decoder, Encoder, UncrossableError
from recode_program.namespace import NAME

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType,
              types.MethodDescriptorType, types.MethodWrapperType)  # fmt: skip
_CONTAINERS = (list, dict, set, bytearray)
_NAMELESS: dict[type, str] = {
    getattr(types, name): name
    for name in ("GeneratorType", "CoroutineType", "AsyncGeneratorType", "FunctionType",
                 "MethodType", "MappingProxyType")
}  # fmt: skip
"""Builtin types that tests ask for by their names in `types`."""
_UNSAFE_MODULES = frozenset({
    "subprocess", "ctypes", "_ctypes", "os", "posix", "code", "codeop", "pty", "importlib",
    "zipimport", "runpy", "multiprocessing", "socket", "pickle", "_pickle", "marshal", "shelve",
    "unittest", "pytest", "_pytest", "hypothesis", "types", "_frozen_importlib", "timeit",
})  # fmt: skip
"""Where what calling a class does is no business of a test: proxies do not claim to be of one."""
_GIVEN_MODULES = frozenset({"builtins", "collections", "collections.abc", "datetime", "enum", "abc",
                            "numbers", "decimal", "fractions"})  # fmt: skip
"""Whose classes an answer may give to tests, which may call them (a `defaultdict` does)."""
_HARMLESS = frozenset({"builtins", "io", "_io", "random", "_random", "itertools", "collections",
                       "functools", "contextlib", "string", "enum", "abc", "typing"})  # fmt: skip
"""The modules of the standard library whose objects tests may hand over to be used."""


class Values(ABC):
    """Encodes and decodes what `crossing` does not know, for one side of a conversation."""

    def __init__(self, *, guarded: bool) -> None:
        self.guarded = guarded
        self._own: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._described: set[int] = set()
        self._foreign: dict[tuple[int, int], Any] = {}
        self._classes: dict[int, Any] = {}
        self._copied: list[tuple[Any, bytes]] = []
        """Copies of generators that the operation now done was given, and their states."""

    @abstractmethod
    def request(self, operation: str, *operands: Any, asked: int = remote.UNASKED) -> Any:
        """Ask the other side, for a proxy."""

    @abstractmethod
    def obstacle(self, reason: str, *, by_tests: bool = False) -> UncrossableError:
        """Note why the program cannot be split; return the exception that says so."""

    @abstractmethod
    def forget(self, number: int) -> None:
        """Let the owner drop an object that no proxy stands for any more."""

    def _encode_other(self, encoder: Encoder, value: Any) -> Any:
        """Encode what is not plain data: see `Encoder`."""
        if remote.is_remote(value):
            return ["o", value._recode_class if isinstance(value, remote.RemoteType)
                    else value._recode_number]  # fmt: skip
        if isinstance(value, type):
            form = self._encode_class(encoder, value)
            if not self.guarded and form[0] == "ref" and not _may_be_given(value):
                raise UncrossableError(f"the class {value.__module__}.{value.__qualname__}")
            return form
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
        base: Any = None if immutable is None else remote.IMMUTABLE[immutable](value)
        number = self._number(value)
        told = plain is not None or _third_party(kind)
        facts = [self._encode_class(encoder, kind), _dunders(kind), encoder.encode(base), told]
        return ["I", number, *facts]

    def _number(self, value: Any) -> int:
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self._own)
            self._own.append(value)
        return number

    def _refuse_changed_copies(self) -> None:
        """A change of a copy would not be seen by the tests. Raises `UncrossableError`."""
        copied, self._copied = self._copied, []
        for made, before in copied:
            if _state(made) != before:
                kind = type(made)
                raise UncrossableError(f"another state of a {kind.__module__}.{kind.__name__}")

    def _encode_class(self, encoder: Encoder, value: type) -> Any:
        if remote.is_remote(value):
            return self._encode_other(encoder, value)
        module = getattr(value, "__module__", None)
        if type(module) is str and module not in {NAME, "__main__"}:
            name = value.__qualname__
            if found_in_module(module, name) is value:
                return ["ref", module, name]
            if value in _NAMELESS:
                return ["ref", "types", _NAMELESS[value]]
        number = self._number(value)
        if number in self._described:
            return ["C", number]
        self._described.add(number)
        doc = value.__doc__ if type(value.__doc__) is str else None
        bases = [self._encode_class(encoder, one) for one in value.__bases__ if one is not object]
        facts = [str(value.__name__), str(value.__qualname__), doc, _dunders(value), bases]
        return ["C", number, facts]

    def _encode_function(self, value: Any) -> Any:
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if isinstance(value, types.MethodDescriptorType):  # `str.format` looks into its operands
            module = value.__objclass__.__module__
        known = self.guarded and isinstance(module, str) and module != NAME
        if known and found_in_module(str(module), name) is value:
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
        kind = self._encode_class(encoder, type(value))
        args = encoder.attempt(value.args)
        attributes = [[str(name), encoder.attempt(one)]
                      for name, one in list(vars(value).items())[:50]]  # fmt: skip
        cause = None if value.__cause__ is value else encoder.attempt(value.__cause__)
        return ["exc", kind, self._number(value), args, str(text), attributes, cause]

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

    def _decode_value(self, decoder: Decoder, form: Any, *, asked: int) -> Any:
        tag = form[0] if asked and type(form) is list and form else None
        if tag == "I" and asked != remote.NAMED:
            return self._instance(decoder, *form[1:], asked=asked)
        if tag == "C" and asked == remote.NAMED:
            found = self._class(decoder, *form[1:])
            remote.note_class(found, named=True)
            return found
        return decoder.decode(form)

    def _decode_class(self, decoder: Decoder, form: Any) -> Any:
        """What an object is an instance of, or a class derives from: never called by a test."""
        tag = form[0] if type(form) is list and form else None
        if tag == "C":
            return self._class(decoder, *form[1:])
        return _class_by_reference(*form[1:]) if tag == "ref" else decoder.decode(form)

    def _decode_other(self, decoder: Decoder, tag: str, *parts: Any) -> Any:
        """Decode what is not plain data: see `Decoder`."""
        if tag == "o":
            return self._own[crossing.natural(parts[0])]
        if tag == "ref":
            kind = _class_by_reference(*parts)
            if self.guarded and not _may_be_given(kind):
                raise ValueError("a class that tests must not call")
            return kind
        if tag == "C":
            found = self._class(decoder, *parts)
            remote.note_class(found, named=False)
            return found
        if tag == "h":
            return self._function(*parts)
        if tag == "I":
            return self._instance(decoder, *parts, asked=remote.UNASKED)
        if tag == "exc":
            return self._exception(decoder, *parts)
        if type(tag) is str and crossing_libraries.load(tag):
            return decoder.decode([tag, *parts])
        if not self.guarded:
            if tag == "pickle":
                content, forms = parts
                made = _Unpickler(io.BytesIO(decoder.blob(content)), decoder.all(forms)).load()
                if type(made).__module__.startswith(_DRAWN_FROM):
                    self._copied.append((made, _state(made)))
                return made
            if tag == "mod":
                return importlib.import_module(parts[0])
            if tag == "fn":
                return found_in_module(*parts)
        raise ValueError("no value")

    def _class(self, decoder: Decoder, number: int, facts: Any = None) -> Any:
        found = self._classes.get(number)
        if found is None:
            name, qualname, doc, dunders, forms = facts
            _check_texts(name, qualname, *dunders)
            bases = [self._decode_class(decoder, one) for one in forms]
            bases = [one for one in bases if isinstance(one, type)]
            found = remote.make_class(self, number, [name, qualname, doc, dunders, bases])
            self._classes[number] = found
        return found

    def _function(self, number: int, facts: Any = None) -> Any:
        found = self._foreign.get((number, remote.UNASKED))
        if found is None:
            name, qualname, doc, kind = facts
            facts = [name or "function", qualname or "function", doc, kind]
            made = remote.RemoteFunction(self, crossing.natural(number), facts)
            found = self._foreign[number, remote.UNASKED] = made
        return found

    def _instance(
        self, decoder: Decoder, number: int, kind: Any, dunders: Any, base: Any, library: Any, *,
        asked: int,
    ) -> Any:  # fmt: skip
        _check_texts(*dunders)
        kind, base = self._decode_class(decoder, kind), decoder.decode(base)
        # Another view of an object that a test has made, where it matters that no test made it.
        for level in (remote.MADE, remote.DERIVED, remote.UNASKED):
            earlier = self._foreign.get((number, level))
            if earlier is not None and not remote.compares(earlier):
                asked = level
                break
        found = self._foreign.get((number, asked))
        if found is None:
            found = remote.make_instance(
                self, crossing.natural(number), kind, dunders, base, asked=asked, library=library
            )
            self._foreign[number, asked] = found
        return found

    def _exception(
        self, decoder: Decoder, kind: Any, number: int, args: Any, text: Any, attributes: Any,
        cause: Any = None,
    ) -> Any:  # fmt: skip
        kind, args = self._decode_class(decoder, kind), decoder.decode(args)
        args = args if type(args) is tuple else (text,)
        _check_texts(text, *(name for name, _ in attributes))
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            kind = Exception  # of a library that this process has not loaded
        held = {name: decoder.decode(form) for name, form in attributes}
        made, cause = remote.make_exception(kind, number, args, text, held), decoder.decode(cause)
        if isinstance(cause, BaseException):
            made.__cause__ = cause
        return made


def _may_be_used(kind: type) -> bool:
    """Whether the candidate may use an object of the tests itself: theirs, or a harmless one."""
    top = kind.__module__.partition(".")[0]
    return top == NAME or top in _HARMLESS


def _may_be_given(kind: Any) -> bool:
    """Whether tests may be given a class of this process: one of values, or of exceptions.

    What another one's instances are equal to, and what making them does, nobody has looked at.
    """
    if kind in crossing._ENCODERS or kind.__module__ in _GIVEN_MODULES:
        return True
    return issubclass(kind, BaseException) and not remote.is_remote(kind)


def _check_texts(*values: Any) -> None:
    if any(type(value) is not str for value in values):
        raise ValueError("no text where one belongs")


def _dunders(kind: type) -> list[str]:
    """Which special methods instances have, beyond those of any object."""
    found: dict[str, Any] = {}
    for one in reversed(kind.__mro__[:-1]):
        found.update({name: vars(one)[name] for name in remote.DUNDERS & vars(one).keys()})
    return sorted(name for name, value in found.items() if value is not None)


def _public_methods(kind: type, plain: type) -> bool:
    """Whether a class of containers does more than the builtin one it derives from."""
    own = [vars(one) for one in kind.__mro__ if not issubclass(plain, one)]
    return any(not name.startswith("_") and not hasattr(plain, name) for name in dir(kind)) or any(
        name in space for space in own for name in remote.USED
    )


def found_in_module(module: str, qualname: str) -> Any:
    """What a loaded module has under a dotted name; None if there is no such thing."""
    value: Any = sys.modules.get(module)
    for part in qualname.split("."):
        value = getattr(value, part, None)
    return value


def _class_by_reference(module: Any, qualname: Any) -> Any:
    """The class that both processes have; `object` for one that this process has not loaded."""
    _check_texts(module, qualname)
    found = found_in_module(module, qualname)
    if module == "types" and qualname in _NAMELESS.values():
        return found
    if not isinstance(found, type) or module.partition(".")[0] in _UNSAFE_MODULES:
        return object
    return found


def _third_party(kind: type) -> bool:
    top = str(getattr(kind, "__module__", "")).partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


_DRAWN_FROM = "numpy.random"
"""Whose objects change when they are used. Those of other libraries mostly fill a cache then."""


class _StatePickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return id(value) if remote.is_remote(value) else None


def _state(value: Any) -> bytes:
    content = io.BytesIO()
    with contextlib.suppress(Exception):  # what cannot be pickled again: seen as unchanged
        _StatePickler(content).dump(value)
        return content.getvalue()
    return b""


class _Pickler(pickle.Pickler):
    """Copies an object of a library; what tests define themselves goes along as handles."""

    def __init__(self, file: io.BytesIO, peer: Values, encoder: Encoder) -> None:
        super().__init__(file)
        self._peer, self._encoder = peer, encoder
        self.handles: list[Any] = []

    def persistent_id(self, value: Any) -> Any:
        """The number of a handle; None for what is copied."""
        if not isinstance(value, (type, types.FunctionType)) or value.__module__ != NAME:
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
