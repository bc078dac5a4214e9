"""What in a JavaScript answer would reach its own grader: reasons to distrust it, by syntax tree.

A scan of the text, as for Python: it names what has no place in an answer, whether it would work or
not. It finds no name that is made at run time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from recode_eval.languages.javascript.descriptors import Numbers, names_descriptor
from recode_eval.languages.javascript.scopes import Names, Path, destructured, member, text_of
from recode_eval.languages.javascript.syntax import DECLARATIONS, VARIABLES, bound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recode_eval.languages.treesitter import Node, Tree

_GLOBALS: Final = frozenset({"globalThis", "global", "self", "window"})
_BUILT_IN: Final = frozenset(
    """Object Function Array String Number Boolean Symbol BigInt Math JSON Reflect Proxy Promise Map
    Set WeakMap WeakSet WeakRef Date RegExp Error TypeError RangeError SyntaxError
    AggregateError ArrayBuffer SharedArrayBuffer DataView Uint8Array Int8Array Uint16Array
    Float64Array Atomics Intl Iterator Buffer URL URLSearchParams TextEncoder TextDecoder
    AbortController Event
    EventTarget console process queueMicrotask setTimeout setInterval setImmediate clearTimeout
    structuredClone
    eval isNaN isFinite parseInt parseFloat globalThis global require module exports assert
    undefined NaN Infinity WebAssembly performance crypto fetch
    """.split()  # noqa: SIM905 - a list of sixty words would fill the screen
)
_MODULES: Final = {
    "vm": "executed text",
    "repl": "executed text",
    "inspector": "the interpreter's memory",
    "inspector/promises": "the interpreter's memory",
    "v8": "the interpreter's memory",
    "module": "modules",
    "child_process": "processes",
    "cluster": "processes",
    "worker_threads": "threads",
    "async_hooks": "hooks",
    "diagnostics_channel": "hooks",
    "trace_events": "hooks",
    "wasi": "native code",
    "sqlite": "native code",
    "assert": "assertions",
    "assert/strict": "assertions",
    "test": "assertions",
    "net": "network", "http": "network", "https": "network", "http2": "network",
    "dgram": "network", "dns": "network", "tls": "network",
}  # fmt: skip
_SAFE_MEMBERS: Final = {
    "async_hooks": {"AsyncLocalStorage", "AsyncResource"},
    "module": {"createRequire"},
    "v8": {"serialize", "deserialize"},
}
"""What answers use of a module that is suspicious else."""
_PROCESS: Final = {
    "binding": "internals", "_linkedBinding": "internals", "dlopen": "native code",
    "reallyExit": "exit", "_rawDebug": "internals", "exit": "exit", "abort": "exit",
    "kill": "processes", "execve": "processes", "on": "process events", "once": "process events",
    "addListener": "process events", "prependListener": "process events",
    "emit": "process events", "_events": "process events",
    "listeners": "process events", "removeAllListeners": "process events",
    "setUncaughtExceptionCaptureCallback": "process events", "exitCode": "exit",
    "mainModule": "modules", "getBuiltinModule": "modules", "_getActiveHandles": "internals",
    "_getActiveRequests": "internals", "finalization": "process events",
    "setuid": "processes", "seteuid": "processes", "chdir": "files", "umask": "files",
    "report": "internals", "permission": "internals", "stdin": "file descriptors",
}  # fmt: skip
_STACK: Final = frozenset({"prepareStackTrace", "captureStackTrace", "getFunction", "getThis"})
_DEFINERS: Final = frozenset(
    {"defineProperty", "defineProperties", "setPrototypeOf", "assign", "deleteProperty", "set",
     "freeze", "seal", "preventExtensions"}
)  # fmt: skip
_OLD_DEFINERS: Final = frozenset(
    {"__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__"}
)
_EQUALITY: Final = frozenset({"Symbol.toPrimitive", "Symbol.hasInstance", "Symbol.species"})
_CORE: Final = frozenset(
    """Math JSON Object Array Number String Boolean Symbol BigInt Reflect Promise RegExp undefined
    NaN Infinity isNaN isFinite parseInt parseFloat globalThis eval""".split()  # noqa: SIM905
)
"""What tests compare with: an answer that declares its own may be after them."""
_NEVER_MEMBERS: Final = frozenset({"Math", "JSON", "Reflect", "eval", "isNaN", "globalThis"})
"""Nothing but the global object has them."""
_PATCHABLE: Final = frozenset({"events", "fs", "util", "timers", "url", "path", "stream"})
"""Modules of Node whose classes and functions Node itself uses."""
_OWN_VALUES: Final = frozenset(
    {"object", "array", "function_expression", "arrow_function", "class", "number", "string",
     "template_string", "true", "false", "null", "undefined", "new_expression"}
)  # fmt: skip
_FUNCTIONS: Final = frozenset(
    {"function_expression", "arrow_function", "generator_function", "function_declaration"}
)
_WRAPPERS: Final = frozenset({"parenthesized_expression", "as_expression", "await_expression"})
_PLACES: Final = re.compile(r"(^|[^\w.])/(proc|dev|sys)/|^data:text/javascript|^file:///proc")


def suspicions(tree: Tree) -> tuple[str, ...]:
    """Return reasons, each once, in alphabetical order; empty for code that does not parse."""
    if not tree.sound:
        return ()
    return tuple(sorted(set(_found(tree))))


def _found(tree: Tree) -> Iterator[str]:
    names = Names(tree)
    for module in names.modules:
        yield from _of_module(module, names)
    yield from _shadows(tree, names)
    numbers = Numbers(tree, names)
    for node in tree.root.walk():
        yield from _of_node(node, names)
        if node.kind == "call_expression" and names_descriptor(node, names, numbers):
            yield "file descriptors"


def _of_module(module: str, names: Names) -> Iterator[str]:
    name = module.removeprefix("node:")
    reason = _MODULES.get(name)
    if module.endswith(".node"):
        yield "native code"
    if module.startswith("data:"):
        yield "executed text"
    if reason is None:
        return
    safe = _SAFE_MEMBERS.get(name, set())
    taken = {path[1] for path in names.imported if path[0] == module and len(path) > 1}
    if not (taken and taken <= safe):
        yield reason


def _of_node(node: Node, names: Names) -> Iterator[str]:
    match node.kind:
        case "call_expression" | "new_expression":
            yield from _of_call(node, names)
        case "assignment_expression" | "augmented_assignment_expression":
            yield from _of_target(node.child("left"), names)
        case "update_expression" | "unary_expression":
            if node.kind == "update_expression" or node.text.startswith("delete"):
                yield from _of_target(node.child("argument"), names)
        case "for_in_statement":
            if node.child("kind") is None:
                yield from _of_target(node.child("left"), names)
        case "member_expression" | "subscript_expression":
            yield from _of_member(node, names)
        case "identifier":
            yield from _of_name(node, names)
        case "string" | "template_string":
            if _PLACES.search(node.text[1:-1]):
                yield "places of the system"
        case "computed_property_name":
            if node.parts and ".".join(names.resolve(node.parts[0]) or ()) in _EQUALITY:
                yield "equality"
        case "pair" | "property_identifier" if node.text == "__proto__":
            yield "prototypes"
        case "variable_declarator" if _takes_constructor(node):
            yield "executed text"
        case "with_statement":
            yield "executed text"


def _of_name(node: Node, names: Names) -> Iterator[str]:
    path = names.resolve(node)
    if path is None or _is_key(node) or (path == ("Function",) and _is_instance_test(node)):
        return
    if path[0].startswith("__recode"):
        yield "the sandbox's own names"
    yield from _of_path(path)


def _of_path(path: Path) -> Iterator[str]:
    if path[0] in _GLOBALS and len(path) > 1:
        path = path[1:]
    if path[0].removeprefix("node:") == "process" and len(path) > 1 and _PROCESS.get(path[1]):
        yield _PROCESS[path[1]]
    if path[0] in {"eval", "Function"} and path[1:2] != ("prototype",):
        yield "executed text"
    if path[0].removeprefix("node:") == "tty" and path[-1] in {"ReadStream", "WriteStream"}:
        yield "file descriptors"
    if path[0] == "WebAssembly":
        yield "native code"
    if path[:2] in {("require", "cache"), ("module", "constructor")}:
        yield "modules"


def _is_key(node: Node) -> bool:
    return node.role == "name"


def _is_instance_test(node: Node) -> bool:
    parent = node.parent
    return parent is not None and parent.kind == "binary_expression" and node.role == "right"


def _of_member(node: Node, names: Names) -> Iterator[str]:
    name = member(node)
    if name is None:
        yield from _of_computed(node, names)
        return
    if name in _STACK:
        yield "frames"
    if name in {"caller", "callee"}:
        yield "frames"
    if name in _OLD_DEFINERS or name == "__proto__":
        yield "prototypes"
    if name == "constructor" and (_leads_on(node) or _is_function(node.child("object"))):
        yield "executed text"
    yield from _of_path(names.resolve(node) or ("",))


def _leads_on(node: Node) -> bool:
    """Whether something is asked of the constructor, or it is called: `f.constructor("...")`."""
    parent = node.parent
    if parent is None:
        return False
    if member(parent) == "constructor":
        return True
    return parent.kind in {"call_expression", "new_expression"} and node.role in {
        "function", "constructor",
    }  # fmt: skip


def _of_computed(node: Node, names: Names) -> Iterator[str]:
    path = names.resolve(node.child("object"))
    if path is None:
        return
    name = path[0].removeprefix("node:")
    module = len(path) == 1 and (name == "fs" or (name in _MODULES and name not in _BUILT_IN))
    if name in {*_GLOBALS, "process"} or module:
        yield "names made at run time"


def _of_call(node: Node, names: Names) -> Iterator[str]:
    target = node.child("function") or node.child("constructor")
    given = node.child("arguments")
    arguments = given.parts if given is not None and given.kind == "arguments" else []
    path = names.resolve(target) or ()
    if target is not None and target.kind == "import":
        if not arguments or text_of(arguments[0]) is None:
            yield "names made at run time"
        return
    if path == ("require",) and (not arguments or text_of(arguments[0]) is None):
        yield "names made at run time"
    if path == ("module", "require") or _is_made_require(target, names):
        module = text_of(arguments[0]) if arguments else None
        yield from ("names made at run time",) if module is None else _of_module(module, names)
    if target is not None and target.kind == "identifier" and node.kind == "call_expression":
        if member(names.value(target)) == "constructor":
            yield "executed text"
        if not path or path == (target.text,):
            yield from _of_prototypes(arguments, names)
    shared = path == ("Object", "getPrototypeOf") and arguments
    if shared and names.resolve(arguments[0]) == ("module",):
        yield "modules"
    if path[:1] in {("setTimeout",), ("setInterval",)} and arguments and text_of(arguments[0]):
        yield "executed text"
    if path[:1] in {("Object",), ("Reflect",)} and path[-1] in _DEFINERS and arguments:
        yield from _of_owner(names.resolve(arguments[0]), arguments[0])
        if ".".join(names.resolve(arguments[1]) or () if len(arguments) > 1 else ()) in _EQUALITY:
            yield "equality"


def _is_function(node: Node | None) -> bool:
    """Whether an expression is a function right there: `(() => {})`."""
    while node is not None and node.kind in _WRAPPERS and node.parts:
        node = node.parts[0]
    return node is not None and node.kind in _FUNCTIONS


def _takes_constructor(node: Node) -> bool:
    """Whether this is `{ constructor: F } = f`, for another `f` than `this` or what a call gave."""
    pattern, value = node.child("name"), node.child("value")
    if pattern is None or value is None or pattern.kind != "object_pattern":
        return False
    return value.kind in {"identifier", *_FUNCTIONS} and any(
        key == "constructor" for key, _ in destructured(pattern)
    )


def _is_made_require(target: Node | None, names: Names) -> bool:
    """Whether this is called like `require`, and came from `createRequire`."""
    made = names.value(target) if target is not None else None
    if made is None or made.kind != "call_expression":
        return False
    path = names.resolve(made.child("function")) or ()
    return path[-1:] == ("createRequire",)


def _of_prototypes(arguments: list[Node], names: Names) -> Iterator[str]:
    """Say whether a function of the program's own gets what all objects share."""
    for argument in arguments:
        path = names.resolve(argument) or ()
        if path[-1:] == ("prototype",) and path[0] in _CORE:
            yield "prototypes"


def _shadows(tree: Tree, names: Names) -> Iterator[str]:
    """Say whether the module's level declares values of its own under names that tests use."""
    for node in tree.root.parts:
        found = node.child("declaration") if node.kind == "export_statement" else node
        if found is None:
            continue
        name = found.child("name")
        if found.kind in DECLARATIONS and name is not None and name.text in _CORE:
            yield "built-in names"
        for one in found.parts if found.kind in VARIABLES else ():
            target, value = one.child("name"), one.child("value")
            if target is None or target.text not in _CORE:
                continue
            if value is None or (value.kind in _OWN_VALUES and names.resolve(value) is None):
                yield "built-in names"


def _of_target(node: Node | None, names: Names) -> Iterator[str]:
    """Say what assigning to this would change, or deleting it."""
    if node is None:
        return
    if node.kind == "identifier":
        path = names.resolve(node)
        if path is not None and len(path) == 1 and path[0] in _BUILT_IN - {"module", "exports"}:
            yield "built-in names"
    elif node.kind in {"member_expression", "subscript_expression"}:
        owner = node.child("object")
        path = names.resolve(owner)
        if member(node) is not None and path in {("module",), ("exports",)}:
            return
        if path == ("process",) and member(node) == "exitCode":
            return
        if path == ("process", "env"):
            return
        if path is None and member(node) in _NEVER_MEMBERS:
            yield "built-in names"
        yield from _of_owner(path, owner)
    elif node.kind in {"object_pattern", "array_pattern"}:
        for name in bound(node):
            if name in _BUILT_IN:
                yield "built-in names"
        for inner in node.walk():
            if inner.kind in {"member_expression", "subscript_expression"}:
                yield from _of_target(inner, names)


def _of_owner(path: Path | None, node: Node | None) -> Iterator[str]:
    """Say what changing a member of this object would change."""
    if path is None:
        if node is not None and member(node) in {"prototype", "__proto__"}:
            inner = node.child("object")
            if inner is not None and inner.kind != "identifier":
                yield "prototypes"
        elif node is not None and _asks_for_prototype(node):
            yield "prototypes"
        return
    if path[0] in _GLOBALS and len(path) > 1:
        path = path[1:]
    name = path[0].removeprefix("node:")
    if name in _GLOBALS or (name in _MODULES and path[0] != name) or name in {"assert"}:
        yield "assertions" if name.startswith("assert") else "built-in names"
    elif name in _BUILT_IN and name not in {"module", "exports"}:
        yield "prototypes" if "prototype" in path else "built-in names"
    elif path[0].startswith("node:") or (path[0] in _PATCHABLE and len(path) > 1):
        yield "modules"


def _asks_for_prototype(node: Node) -> bool:
    target = node.child("function") if node.kind == "call_expression" else None
    return target is not None and member(target) == "getPrototypeOf"
