"""Proxies for what stays in the other process: functions, classes, instances, iterators.

Each operation on a proxy is a request to the owner. In the process of the tests a proxy decides
nothing by itself: where a test compares an object of the candidate with a value of its own, the
candidate's `__eq__` (or any other operator) would be told the expected value, and is not asked,
unless the test made the object by calling its class. Then the test is about such operators.
"""

from __future__ import annotations

import collections
import inspect
import types
from typing import TYPE_CHECKING, Any, Callable, cast

from recode_program.namespace import NAME

if TYPE_CHECKING:
    from recode_program.values import Values as Peer

UNARY = (
    "__len__", "__iter__", "__reversed__", "__enter__", "__hash__", "__bool__", "__str__",
    "__repr__", "__bytes__", "__int__", "__float__", "__complex__", "__index__", "__trunc__",
    "__floor__", "__ceil__", "__abs__", "__neg__", "__pos__", "__invert__", "__length_hint__",
    "__fspath__", "__dir__", "__copy__",
)  # fmt: skip
_KEYED = ("__getitem__", "__delitem__", "__missing__", "__format__", "__round__", "__setitem__",
          "__deepcopy__", "__exit__")  # fmt: skip
_ORDER = ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__")
_OPERATORS = ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow",
              "lshift", "rshift", "and", "xor", "or")  # fmt: skip
_BINARY = (
    *_ORDER,
    *(f"__{side}{name}__" for name in _OPERATORS for side in ("", "r", "i") if name != "divmod"
      or side != "i"),
)  # fmt: skip
_ASYNCHRONOUS = ("__aenter__", "__aexit__", "__aiter__", "__anext__")
_TELLING = frozenset({*_BINARY, "__contains__"})
DUNDERS = frozenset(
    {*UNARY, *_KEYED, *_BINARY, *_ASYNCHRONOUS, "__contains__", "__next__", "__call__", "__await__"}
)
"""The special methods that proxies may have."""
USED = DUNDERS - {"__repr__", "__str__", "__format__", "__eq__", "__ne__", "__hash__", "__copy__",
                  "__deepcopy__", "__dir__"}  # fmt: skip
"""Those that make a class of containers more than the builtin one."""
VISIBLE = frozenset({"__name__", "__qualname__", "__doc__", "__annotations__", "__defaults__",
                     "__kwdefaults__", "__dict__", "__module__", "__members__", "__slots__",
                     "__match_args__", "__abstractmethods__", "__dataclass_fields__",
                     "__notes__", "__wrapped__", "__self__", "__func__"}) | DUNDERS  # fmt: skip
"""Names with underscores that may be looked up in the other process."""
_TOLD = frozenset({"equals", "equal", "isclose", "allclose", "issubset", "issuperset", "isdisjoint",
                   "array_equal"})  # fmt: skip
"""Methods of the builtin types and libraries that are told an expected value: as `__eq__` is."""
_CODE = frozenset({"__code__", "__closure__", "__globals__"})
_FILLING = frozenset({"readinto", "readinto1"})
UNASKED, DERIVED, MADE, NAMED = range(4)
"""What an object of the answer may be told: nothing of the test's; nothing either, though a test
may count on it, since operators made it; the operands of operators. `NAMED`: a class by its name.
"""
_BATCH_AFTER, _MOST_AT_ONCE = 32, 1024
_SHOWING = ("__str__", "__repr__", "__format__")
IMMUTABLE: dict[type, Callable[[Any], Any]] = {
    int: int.__int__, float: float.__float__, complex: complex.__pos__, str: str.__str__,
    bytes: lambda value: bytes.__getitem__(value, slice(None)),
    tuple: lambda value: tuple.__getitem__(value, slice(None)), frozenset: frozenset.copy,
}  # fmt: skip
"""How to get the plain value of a subclass's instance, whatever methods that has."""


class Remote:
    """What all proxies of instances have."""

    def __init__(self, peer: Peer, number: int, *, asked: int, library: bool) -> None:
        set_ = object.__setattr__
        set_(self, "_recode_library", library)
        set_(self, "_recode_peer", peer)
        set_(self, "_recode_number", number)
        set_(self, "_recode_asked", asked)

    def __getattr__(self, name: str) -> Any:
        return _attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._recode_peer.request("set", self._recode_number, name, value)

    def __delattr__(self, name: str) -> None:
        self._recode_peer.request("del", self._recode_number, name)

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        """The attributes in the other process: a copy."""
        return self._recode_peer.request("get", self._recode_number, "__dict__")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise self._recode_peer.obstacle("the tests pickle an object of the answer")


def _attribute(proxy: Any, name: str) -> Any:
    peer = proxy._recode_peer
    if name.startswith("__") and name not in VISIBLE:
        if name in _CODE and peer.guarded and type(proxy) is RemoteFunction:
            raise peer.obstacle("the tests look at the code of the answer")
        raise AttributeError(name)
    telling = name in _TOLD and peer.guarded and isinstance(type(proxy), RemoteType)
    if telling and not _may_be_told(proxy):
        raise AttributeError(f"{name} of an object of the answer would be told what is expected")
    found = peer.request("get", proxy._recode_number, name, asked=asked_by_name(name))
    return (lambda buffer: _read_into(proxy, buffer)) if name in _FILLING else found


def _read_into(file: Any, buffer: Any) -> int | None:
    """What a file reads into a buffer of this process. The owner would fill a copy of it."""
    area = memoryview(buffer).cast("B")
    data = file.read(len(area))
    if data is None:
        return None
    area[: len(data)] = data
    return len(data)


def _may_be_told(proxy: Any) -> bool:
    """Whether an object may be told a value of the test.

    An object that a test has made, by calling a class that it names as a class, may. Any other may
    not; if the test seems to be about its operators, the program must run in one process.
    """
    asked: int = proxy._recode_asked
    if asked == UNASKED and not proxy._recode_library:
        return False
    if asked == MADE and is_named(type(proxy)):
        return True
    # Of a library's object: whether it is one, nobody can tell.
    kind = proxy.__class__
    peer: Peer = proxy._recode_peer
    raise peer.obstacle(f"the tests compare a {kind.__module__}.{kind.__name__}")


def asked_by_name(name: str) -> int:
    """A class counts as one that tests are about under the name of a class: `Stack`, `_Stack`.

    Under a function's name, what tests call is a function: its result is told nothing.
    """
    return NAMED if name.lstrip("_")[:1].isupper() else UNASKED


def note_class(kind: Any, *, named: bool) -> None:
    """Note how tests came by a class of the answer: by its name, or as a value."""
    if type(kind) is RemoteType:
        type.__setattr__(kind, "_recode_named" if named else "_recode_given", True)


def is_named(kind: Any) -> bool:
    """Whether tests have named a class of the answer, and no function or attribute gave it."""
    return bool(vars(kind).get("_recode_named")) and not vars(kind).get("_recode_given")


class RemoteFunction:
    """A function of the other process."""

    def __init__(self, peer: Peer, number: int, facts: list[Any]) -> None:
        self._recode_peer, self._recode_number = peer, number
        name, qualname, doc, kind = facts
        self.__name__, self.__qualname__, self.__doc__ = name, qualname, doc
        self._recode_kind = kind

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it there."""
        return self._recode_peer.request("call", self._recode_number, args, kwargs)

    def __del__(self) -> None:
        if self._recode_kind == "method":  # a new one for each call
            self._recode_peer.forget(self._recode_number)

    def __getattr__(self, name: str) -> Any:
        return _attribute(self, name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None or self._recode_kind != "function":
            return self
        return types.MethodType(self, instance)

    @property
    def __signature__(self) -> inspect.Signature:
        """For `inspect.signature`."""
        found = self._recode_peer.request("signature", self._recode_number)
        kinds = inspect._ParameterKind
        parameters = [
            inspect.Parameter(name, kinds(kind), **({"default": default} if has else {}))
            for name, kind, has, default in found
        ]
        return inspect.Signature(parameters)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """For `isinstance`: a function, method or builtin."""
        return _FUNCTION_KINDS.get(self._recode_kind, RemoteFunction)

    def __repr__(self) -> str:
        return f"<function {self.__qualname__}>"


_FUNCTION_KINDS: dict[str, type] = {
    "function": types.FunctionType,
    "method": types.MethodType,
    "builtin": types.BuiltinFunctionType,
}


class RemoteType(type):
    """The type of classes that stand for classes of the other process."""

    def __new__(
        cls, name: str, bases: tuple[type, ...], space: dict[str, Any], made: bool = False
    ) -> RemoteType:
        """Refuses a subclass made by a test: the other process would have to know it."""
        if not made:
            found = next(one for one in bases if isinstance(one, RemoteType))
            raise found._recode_peer.obstacle("the tests derive from a class of the answer")
        return super().__new__(cls, name, bases, space)

    def __init__(cls, name: str, bases: Any, space: Any, **_: Any) -> None:
        super().__init__(name, bases, space)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        """Make an instance there."""
        return cls._recode_peer.request("call", cls._recode_class, args, kwargs, asked=MADE)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_recode_") or (name.startswith("__") and name not in VISIBLE):
            raise AttributeError(name)
        return cls._recode_peer.request("get", cls._recode_class, name, asked=asked_by_name(name))

    def __setattr__(cls, name: str, value: Any) -> None:
        cls._recode_peer.request("set", cls._recode_class, name, value)

    def __iter__(cls) -> Any:
        return cls._recode_peer.request("do", cls._recode_class, "__iter__")

    def __len__(cls) -> Any:
        return cls._recode_peer.request("do", cls._recode_class, "__len__")

    def __bool__(cls) -> bool:
        return True

    def __getitem__(cls, key: Any) -> Any:
        return cls._recode_peer.request("do", cls._recode_class, "__getitem__", key)

    def __contains__(cls, key: Any) -> Any:
        return cls._recode_peer.request("do", cls._recode_class, "__contains__", key)


def compares(proxy: Any) -> bool:
    """Whether a proxy has operators that are told another value, whatever its owner says now."""
    own = type(proxy).__mro__
    spaces = [vars(one) for one in own if isinstance(one, RemoteType)]
    return any(space.get(name, _same) is not _same for space in spaces for name in _TELLING)


def is_remote(value: Any) -> bool:
    """Whether a value is a proxy; asks nobody."""
    kind = type(value)
    return kind is RemoteFunction or issubclass(kind, (Remote, RemoteType))


def _unary(name: str) -> Any:
    def method(self: Any, *more: Any) -> Any:
        return self._recode_peer.request("do", self._recode_number, name, *more)

    return method


def _binary(name: str) -> Any:
    def method(self: Any, other: Any, *more: Any) -> Any:
        peer = self._recode_peer
        if peer.guarded and not is_remote(other) and not _may_be_told(self):
            return NotImplemented
        asked = DERIVED if self._recode_asked and name not in _ORDER else UNASKED
        return peer.request("do", self._recode_number, name, other, *more, asked=asked)

    return method


def _contains(self: Any, value: Any) -> Any:
    peer = self._recode_peer
    if peer.guarded and not is_remote(value) and not _may_be_told(self):
        return any(one is value or one == value for one in self)
    return peer.request("do", self._recode_number, "__contains__", value)


def _asynchronous(self: Any, *_: Any) -> Any:
    """Both loops would have to go on at once."""
    raise self._recode_peer.obstacle("the tests use something asynchronous of the answer")


def _same(self: Any, other: Any) -> Any:
    """Two views of one object are equal, where its class has no other opinion."""
    if isinstance(type(other), RemoteType):
        return self._recode_number == other._recode_number
    return NotImplemented


def _exit(self: Any, *details: Any) -> bool:
    """A manager that swallows an exception of the test would swallow a failed assertion too."""
    peer = self._recode_peer
    suppressed = bool(peer.request("do", self._recode_number, "__exit__", *details))
    if suppressed and peer.guarded and details[0] is not None:
        raise peer.obstacle("the answer suppresses an exception of the tests")
    return suppressed


def _next(self: Any) -> Any:
    """One value at a time at first, since a program may count them; then in growing batches."""
    state = self._recode_state
    if not state.waiting:
        if state.over is not None:
            raise state.over
        size = 1 if state.given < _BATCH_AFTER else min(state.given, _MOST_AT_ONCE)
        values, over = self._recode_peer.request("next", self._recode_number, size)
        state.waiting.extend(values)
        state.given += len(values)
        if over is not None:
            state.over = StopIteration(*over.args) if type(over) is StopIteration else over
        if not state.waiting and state.over is not None:
            raise state.over
    return state.waiting.popleft()


class _IteratorState:
    def __init__(self) -> None:
        self.waiting: collections.deque[Any] = collections.deque()
        self.given = 0
        self.over: BaseException | None = None


def _await(self: Any) -> Any:
    """The owner runs the coroutine to its end; nothing else of the loop goes on meanwhile."""
    yield from ()
    return self._recode_peer.request("await", self._recode_number)


def _send(self: Any, _: Any) -> Any:
    raise StopIteration(self._recode_peer.request("await", self._recode_number))


def _methods(dunders: list[str], plain: type | None = None) -> dict[str, Any]:
    """The special methods of proxies, but for those of a builtin type whose value they have."""
    space: dict[str, Any] = {}
    for name in dunders:
        if plain is not None and hasattr(plain, name) and name not in _SHOWING:
            continue
        if name in _BINARY:
            space[name] = _binary(name)
        elif name in _ASYNCHRONOUS:
            space[name] = _asynchronous
        elif name == "__exit__":
            space[name] = _exit
        elif name == "__contains__":
            space[name] = _contains
        elif name == "__next__":
            space[name] = _next
            space["__iter__"] = lambda self: self
        elif name == "__await__":
            space[name] = _await
            space["send"], space["throw"], space["close"] = _send, _unary("throw"), lambda _: None
        elif name == "__call__":
            space[name] = lambda self, *args, **kwargs: self._recode_peer.request(
                "call", self._recode_number, args, kwargs
            )
        elif name in DUNDERS:
            space[name] = _unary(name)
    if plain is None and "__eq__" not in space:
        space["__eq__"] = _same
        space.setdefault("__hash__", lambda self: hash(self._recode_number))
    return space


def make_class(peer: Peer, number: int, facts: list[Any]) -> Any:
    """Make the class that stands for a class of the other process.

    `facts`: name, qualified name, documentation, special methods, bases (classes of this process).
    """
    name, qualname, doc, dunders, bases = facts
    space: dict[str, Any] = {"__doc__": doc, "__qualname__": qualname, "__module__": NAME}
    space.update(_recode_peer=peer, _recode_class=number)
    if any(issubclass(base, BaseException) for base in bases):
        return _make_exception(name, tuple(bases), space)
    remote = [base for base in bases if isinstance(base, RemoteType)]
    plain = next((one for one in IMMUTABLE for base in bases if issubclass(base, one)), None)
    if plain is not None:
        # Its value is here: operators that the value has are those of the value.
        space.update(_methods(dunders, plain))
        return RemoteType(name, (*remote, *([] if remote else [Remote, plain])), space, made=True)
    space.update(_methods(dunders))
    others = [base for base in bases if not isinstance(base, RemoteType)]
    if others:
        mask = _mask(name, others)
        space["__class__"] = property(lambda self: mask if mask is not None else type(self))
    return RemoteType(name, tuple(remote) or (Remote,), space, made=True)


def _mask(name: str, bases: list[type]) -> type | None:
    """What `isinstance` is to see of an instance whose class derives from a library's."""
    try:
        return type(name, tuple(bases), {"__module__": NAME})
    except Exception:  # noqa: BLE001 - any class of a library may refuse
        return None


class _RemoteExceptionType(type):
    """Exceptions are real classes here: `except` accepts nothing else."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        peer: Any = cls._recode_peer  # type: ignore[attr-defined]
        return peer.request("call", cls._recode_class, args, kwargs)  # type: ignore[attr-defined]


def _make_exception(name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Any:
    space["__str__"] = lambda self: self._recode_text
    space["__getattr__"] = _exception_attribute
    try:
        return _RemoteExceptionType(name, bases, space)
    except TypeError:  # bases of different layout
        return _RemoteExceptionType(name, (Exception,), space)


def _exception_attribute(self: Any, name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    return self._recode_peer.request("get", object.__getattribute__(self, "_recode_number"), name)


def make_exception(
    kind: type, number: int, args: Any, text: str, attributes: dict[str, Any]
) -> Any:
    """Make an instance of an exception class, whichever process the class is of."""
    made: Any
    if isinstance(kind, _RemoteExceptionType):
        made = BaseException.__new__(cast("type[BaseException]", kind))
        made.__dict__.update(_recode_number=number, _recode_text=text)
    else:
        made = _exception_of_a_library(kind, args, text)
    if type(args) is tuple:
        made.args = args
    for name, value in attributes.items():
        if not name.startswith("_"):
            made.__dict__[name] = value
    return made


def _exception_of_a_library(kind: Any, args: Any, text: str) -> Any:
    ways: tuple[Callable[[], Any], ...] = (
        (lambda: kind(*args))
        if kind.__module__ == "builtins"
        else (lambda: kind.__new__(kind, *args)),
        lambda: kind.__new__(kind),
        lambda: kind.from_exception_data(text, []),  # pydantic's, which nothing else can make
    )
    for way in ways:
        try:
            return way()
        except Exception:  # noqa: BLE001, S112 - called otherwise than it likes
            continue
    return RuntimeError(text)


def make_instance(
    peer: Peer, number: int, kind: type, dunders: list[str], base: Any, *, asked: int, library: Any
) -> Any:
    """Make a proxy. `kind` is its class: a proxy itself, or one that both processes have."""
    plain = None if base is None else type(base)
    if not isinstance(kind, RemoteType):
        if plain not in {None, tuple}:
            return base  # a library's own kind of text or number
        library_class = kind
        space = {**_methods(dunders, plain), "__class__": property(lambda _: library_class)}
        bases = (Remote,) if plain is None else (Remote, plain)
        kind = RemoteType(kind.__name__, bases, {**space, "_recode_peer": peer}, made=True)
    elif plain is not None and not issubclass(kind, plain):
        raise ValueError("no value of its class")
    new: Any = (object if plain is None else plain).__new__
    made: Any = new(kind) if plain is None else new(kind, base)
    Remote.__init__(made, peer, number, asked=asked, library=library is True)
    object.__setattr__(made, "_recode_state", _IteratorState())
    return made
