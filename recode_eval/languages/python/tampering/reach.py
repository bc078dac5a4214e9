"""What reaches out of an answer: names of the standard library, attributes and files, by reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = {
    "frames": {
        "sys._getframe", "sys._current_frames", "sys._current_exceptions", "sys.exc_info",
        "sys._getframemodulename", "inspect.stack", "inspect.currentframe", "inspect.trace",
        "inspect.getouterframes", "inspect.getinnerframes", "inspect.getframeinfo",
        "logging.currentframe", "traceback.walk_stack", "traceback.walk_tb",
        "traceback.extract_stack", "threading._current_frames", "sys.last_traceback",
    },
    "reads code": {
        "dis", "inspect.getsource", "inspect.getsourcelines", "inspect.getmodule",
        "inspect.getclosurevars", "inspect.getmembers", "inspect.getblock", "linecache.cache",
        "inspect.getmembers_static",
    },
    "garbage collector": {
        "gc.get_objects", "gc.get_referrers", "gc.get_referents", "gc.callbacks", "gc.garbage",
        "gc.set_debug",
    },
    "tracing": {
        "sys.settrace", "sys.setprofile", "sys.addaudithook", "sys.monitoring",
        "threading.settrace", "threading.setprofile", "threading.settrace_all_threads",
        "threading.setprofile_all_threads", "bdb", "pdb",
    },
    "ends the process": {"os._exit", "os.abort", "os.kill", "os.killpg", "signal.raise_signal",
                         "signal.pthread_kill"},
    "signals": {"signal.signal", "signal.setitimer", "signal.alarm", "signal.sigwait",
                "signal.set_wakeup_fd", "faulthandler.register"},
    "processes": {
        "os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp", "os.execv", "os.execve",
        "os.execvp", "os.execvpe", "os.execl", "os.execle", "os.execlp", "os.execlpe",
        "os.spawnv", "os.spawnve", "os.spawnvp", "os.spawnvpe", "os.spawnl", "os.spawnle",
        "os.spawnlp", "os.spawnlpe", "os.system", "os.popen", "pty.spawn", "pty.fork",
        "multiprocessing.Process", "subprocess.Popen", "subprocess.run", "subprocess.call",
        "subprocess.check_call", "subprocess.check_output", "subprocess.getoutput",
        "subprocess.getstatusoutput", "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell", "posix", "_posixsubprocess",
    },
    "file descriptors": {
        "os.write", "os.read", "os.readv", "os.writev", "os.preadv", "os.pwritev", "os.splice",
        "os.copy_file_range", "os.dup", "os.dup2", "os.close", "os.closerange", "os.fdopen",
        "os.open", "os.pread", "os.pwrite", "os.sendfile", "os.ftruncate", "os.lseek",
        "os.set_inheritable", "os.pidfd_open", "socket.fromfd", "socket.fromshare",
        "socket.socketpair", "socket.send_fds", "socket.recv_fds", "fcntl", "mmap.mmap", "_socket",
        "multiprocessing.reduction", "io.open_code",
    },
    "import system": {
        "sys.meta_path", "sys.path_hooks", "sys.path_importer_cache", "sys.modules",
        "importlib.reload", "imp.reload",
    },
    "exit hooks": {"atexit.register", "sys.excepthook", "sys.unraisablehook", "sys.displayhook",
                   "threading.excepthook", "weakref.finalize", "atexit._run_exitfuncs"},
    "mocks": {"unittest.mock", "mock", "test.support", "test", "_pytest", "pytest.MonkeyPatch",
              "pytest_mock"},
    "always-equal objects": {"unittest.mock.ANY", "dirty_equals", "hamcrest", "callee",
                             "pytest.approx"},
    "foreign code": {"ctypes", "_ctypes", "cffi", "_cffi_backend", "_testcapi",
                     "_testinternalcapi", "_xxsubinterpreters", "numpy.ctypeslib"},
    "hidden code": {"marshal", "types.FunctionType", "types.CodeType", "runpy", "code.interact",
                    "code.InteractiveInterpreter", "code.InteractiveConsole", "codeop"},
    "the tests' namespace": {"__main__"},
    "the judge's registries": {"copyreg", "codecs.register", "codecs.register_error",
                               "encodings._cache"},
}  # fmt: skip
_REASONS = {name: reason for reason, names in _NAMES.items() for name in names}
_HEADS = {name.partition(".")[0] for name in _REASONS}

_ATTRIBUTES = {
    "frames": {
        "f_back", "f_globals", "f_locals", "f_builtins", "f_code", "f_trace", "f_lineno",
        "tb_frame", "tb_next", "gi_frame", "cr_frame", "ag_frame", "__traceback__", "_getframe",
        "_current_frames", "currentframe",
    },
    "reads code": {"co_consts", "co_code", "co_names", "__code__", "__closure__", "cell_contents",
                   "__kwdefaults__"},
    "garbage collector": {"get_referrers", "get_referents"},
    "reaches through an object": {"__globals__", "__builtins__", "__subclasses__", "__self__",
                                  "__loader__", "__spec__", "__reduce_ex__"},
    "array protocols": {"__array_interface__", "__array_struct__"},
    "foreign code": {"ctypes"},
}  # fmt: skip
_BY_ATTRIBUTE = {name: reason for reason, names in _ATTRIBUTES.items() for name in names}

DANGEROUS = frozenset({
    "sys", "os", "gc", "inspect", "builtins", "threading", "importlib", "signal", "posix",
    "traceback", "faulthandler", "subprocess", "types", "logging", "unittest",
})  # fmt: skip
"""Modules of which an answer must say by name what it takes; no honest one computes it."""

_SYSTEM_FILES = re.compile(r"^/(proc|sys|dev/fd|dev/shm|dev/mem)(/|$)")

_CONFIGURATION = frozenset(
    {"environ", "rcParams", "options", "backends", "config", "settings", "api_key"}
)
"""Attributes of modules that exist to be assigned."""
_SET_WHOLE = frozenset({
    "flask.g", "flask.session", "flask.current_app", "flask.request", "flask._app_ctx_stack",
    "flask._request_ctx_stack", "flask.globals",
    "sys.stdout", "sys.stderr", "sys.stdin", "sys.argv",
    "PIL.Image.MAX_IMAGE_PIXELS", "PIL.ImageFile.LOAD_TRUNCATED_IMAGES",
})  # fmt: skip
"""Objects that live in a module, and values in one, that honest programs set."""


def of_name(name: str) -> Iterator[str]:
    """Yield why a dotted name stands out; also where a module leads there (`logging.sys.x`)."""
    parts = name.split(".")
    for start, part in enumerate(parts):
        # Modules import others under a name with an underscore: `random._os`.
        head = part if part in _HEADS else part.lstrip("_")
        if head not in _HEADS or (start and head not in DANGEROUS):
            continue
        for end in range(len(parts), start, -1):
            reason = _REASONS.get(".".join([head, *parts[start + 1 : end]]))
            if reason is not None:
                yield reason


def of_attribute(name: str) -> str | None:
    """Return why an attribute stands out, whatever it belongs to."""
    return _BY_ATTRIBUTE.get(name)


def is_system_file(text: str) -> bool:
    """Whether a text is a path into the system's own files."""
    return _SYSTEM_FILES.match(text) is not None


def is_configuration(name: str) -> bool:
    """Whether a module's attribute is there to be set: `os.environ`, `matplotlib.rcParams`."""
    parts = name.split(".")
    if any(".".join(parts[:end]) in _SET_WHOLE for end in range(1, len(parts) + 1)):
        return "__" not in name
    for index, part in enumerate(parts):
        if index and part in _CONFIGURATION:
            # `torch.backends.cuda.torch.equal` leads back to what is no configuration.
            beyond = parts[index + 1 :]
            return not any(p == parts[0] or p in DANGEROUS or p.startswith("__") for p in beyond)
    return False
