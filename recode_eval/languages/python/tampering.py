"""Reasons to distrust an answer: what a program would use to reach its own grader.

No test in the candidate's own process can rule out forgery (docs/sandbox.md). These heuristics on
the syntax tree name what honest solutions hardly ever contain, so that a person looks at them; they
never change a verdict. Aliases of imports are resolved; names built at run time are not found.
"""

from __future__ import annotations

import ast
import builtins
import re
from typing import TYPE_CHECKING

from recode_eval.languages.python.syntax import defined_names, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = {
    "frames": {
        "sys._getframe", "sys._current_frames", "sys._getframemodulename", "sys.exc_info",
        "inspect.stack", "inspect.currentframe", "inspect.trace", "inspect.getouterframes",
        "inspect.getinnerframes", "traceback.walk_stack", "threading._current_frames",
    },
    "garbage collector": {
        "gc.get_objects", "gc.get_referrers", "gc.get_referents", "gc.callbacks",
    },
    "tracing": {
        "sys.settrace", "sys.setprofile", "sys.addaudithook", "sys.monitoring",
        "threading.settrace", "threading.setprofile", "threading.settrace_all_threads",
        "threading.setprofile_all_threads",
    },
    "ends the process": {"os._exit", "os.abort", "os.kill", "os.killpg", "signal.raise_signal"},
    "signals": {"signal.signal", "signal.setitimer", "signal.alarm", "faulthandler.register"},
    "processes": {"os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp", "os.execv",
                  "os.execve", "pty.spawn", "pty.fork", "multiprocessing.Process"},
    "file descriptors": {
        "os.write", "os.dup", "os.dup2", "os.close", "os.closerange", "os.fdopen", "os.open",
        "os.pread", "os.pwrite", "os.sendfile", "socket.socket", "socket.fromfd",
        "socket.socketpair", "socket.send_fds", "socket.recv_fds", "fcntl.fcntl", "mmap.mmap",
    },
    "import system": {
        "sys.meta_path", "sys.path_hooks", "sys.path_importer_cache", "sys.modules",
        "importlib.reload",
    },
    "exit hooks": {"atexit.register", "sys.excepthook", "sys.unraisablehook",
                   "threading.excepthook", "weakref.finalize"},
    "mocks": {"unittest.mock"},
}  # fmt: skip
_REASONS = {name: reason for reason, names in _NAMES.items() for name in names}
_FOREIGN_CODE = {"ctypes", "_ctypes", "cffi", "_cffi_backend", "_testcapi", "_xxsubinterpreters"}
_FRAME_ATTRIBUTES = {
    "f_back", "f_globals", "f_locals", "f_builtins", "f_code", "f_trace", "f_lineno", "tb_frame",
    "tb_next", "gi_frame", "cr_frame", "ag_frame", "co_consts", "__traceback__",
}  # fmt: skip
_COMPARISONS = {"__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__hash__"}
_SYSTEM_FILES = re.compile(r"^/(proc|sys|dev/fd|dev/shm|dev/mem)(/|$)")
_BUILTINS = frozenset(name for name in dir(builtins) if not name.startswith("_"))
_MANY = 64
"""Answers are a page long; a program that trips more than this is suspicious enough."""


def suspicions(code: str | None) -> tuple[str, ...]:
    """Return the reasons to look at `code`, sorted, without repetition. Never raises.

    An empty tuple for honest programs, for None and for code that does not parse.
    """
    tree = parse(code) if code else None
    if tree is None:
        return ()
    try:
        reasons: set[str] = set()
        for reason in _reasons(tree):
            reasons.add(reason)
            if len(reasons) >= _MANY:
                break
    except RecursionError:  # pragma: no cover - the parser gives up first
        return ("nested too deeply to analyse",)
    return tuple(sorted(reasons))


def _reasons(tree: ast.Module) -> Iterator[str]:
    modules = _imported(tree)
    if defined_names(tree) & _BUILTINS:
        # The tests run in the same namespace and would use the candidate's `len` or `abs`.
        yield "shadowed builtins"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _of_import(node)
        elif isinstance(node, ast.Attribute | ast.Name):
            yield from _of_name(node, modules)
        elif isinstance(node, ast.ClassDef):
            yield from _of_class(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _SYSTEM_FILES.match(node.value):
                yield "system files"
        elif isinstance(node, ast.Call):
            yield from _of_call(node, modules)
        elif isinstance(node, ast.Global) and "__builtins__" in node.names:
            yield "patched builtins"
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
            yield from _of_assignment(node, modules)


def _imported(tree: ast.Module) -> dict[str, str]:
    """Map the names that imports bind to what they stand for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    names[alias.asname] = alias.name
                else:
                    top = alias.name.split(".")[0]
                    names[top] = top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _dotted(node: ast.expr, modules: dict[str, str]) -> str | None:
    """Return what `a.b.c` stands for, if it starts at an imported name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in modules:
        return None
    return ".".join([modules[node.id], *reversed(parts)])


def _of_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        origin = node.module or ""
        names = [origin, *(f"{origin}.{alias.name}" for alias in node.names)]
    else:
        names = [alias.name for alias in node.names]
    for name in names:
        if name.split(".")[0] in _FOREIGN_CODE:
            yield "foreign code"
        yield from _listed(name)


def _listed(name: str) -> Iterator[str]:
    while name:  # `os.path.x` is listed if it, `os.path` or `os` is
        if name in _REASONS:
            yield _REASONS[name]
        name = name.rpartition(".")[0]


def _of_name(node: ast.Attribute | ast.Name, modules: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and node.attr in _FRAME_ATTRIBUTES:
        yield "frames"
    if isinstance(node, ast.Name) and node.id == "__builtins__":
        yield "patched builtins"
    name = _dotted(node, modules)
    if name is not None:
        yield from _listed(name)


def _of_class(node: ast.ClassDef) -> Iterator[str]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name in _COMPARISONS - {"__hash__"}:
            returned = [n.value for n in ast.walk(item) if isinstance(n, ast.Return)]
            if returned and all(isinstance(value, ast.Constant) for value in returned):
                yield "constant comparison"
        elif isinstance(item, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id in _COMPARISONS - {"__hash__"}
            for target in item.targets
        ):
            yield "assigned comparison"
        elif isinstance(item, ast.FunctionDef) and item.name == "__del__":
            yield "exit hooks"
        elif isinstance(item, ast.FunctionDef) and item.name == "__class__":
            yield "lies about its class"


def _of_call(node: ast.Call, modules: dict[str, str]) -> Iterator[str]:
    if not isinstance(node.func, ast.Name):
        return
    words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if node.func.id in {"setattr", "delattr"} and node.args:
        yield from _patched(node.args[0], modules)
        if set(words) & _COMPARISONS:
            yield "assigned comparison"
    elif node.func.id == "getattr":
        if set(words) & _FRAME_ATTRIBUTES:
            yield "frames"
        origin = _dotted(node.args[0], modules) if node.args else None
        for word in words:
            yield from _listed(f"{origin}.{word}")
    elif node.func.id == "type" and len(node.args) == 3:
        keys = node.args[2].keys if isinstance(node.args[2], ast.Dict) else []
        if any(isinstance(key, ast.Constant) and key.value in _COMPARISONS for key in keys):
            yield "assigned comparison"
    elif node.func.id == "__import__":
        for word in words:
            if word.split(".")[0] in _FOREIGN_CODE | {"gc", "inspect", "builtins"}:
                yield "foreign code" if word.split(".")[0] in _FOREIGN_CODE else "hidden import"


def _of_assignment(
    node: ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete, modules: dict[str, str]
) -> Iterator[str]:
    targets = node.targets if isinstance(node, ast.Assign | ast.Delete) else [node.target]
    for target in targets:
        while isinstance(target, ast.Subscript):
            target = target.value
        if isinstance(target, ast.Attribute):
            yield from _patched(target.value, modules)
            if target.attr in _COMPARISONS:
                yield "assigned comparison"
            if target.attr in {"__class__", "__code__", "__defaults__", "__globals__"}:
                yield "patched function"


def _patched(node: ast.expr, modules: dict[str, str]) -> Iterator[str]:
    """Grade an assignment to an attribute of `node`."""
    name = _dotted(node, modules)
    if name is not None:
        yield "patched builtins" if name.startswith("builtins") else "patched module"
    elif isinstance(node, ast.Name) and node.id == "__builtins__":
        yield "patched builtins"
