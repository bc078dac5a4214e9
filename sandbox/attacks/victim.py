"""The honest program that runs after each attack, on the same worker: is the world clean?

It lists what is wrong by itself in `PROBLEMS`. `describe` prints the state of everything that an
earlier program might have changed; the runner compares that with what the first program saw.
"""

import builtins
import decimal
import fcntl
import gc
import hashlib
import json
import locale
import math
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import warnings

SOURCE = os.path.basename(globals().get("__file__", ""))
"""The program's own file: the sandbox lets it find it."""
MARKS = ("recode-attack", "recode_attack")
PLACES = {
    "/",
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/run",
    "/run/lock",
    "/var/lock",
    "/home",
    "/root",
    "/opt",
    "/etc",
    "/usr",
    "/usr/lib",
    "/usr/local/bin",
    os.path.expanduser("~"),
    tempfile.gettempdir(),
    sys.prefix,
    os.path.dirname(os.__file__),
    os.path.dirname(json.__file__),
    os.path.join(os.path.dirname(json.__file__), "__pycache__"),
    *sys.path,
}
PROBLEMS = []


def double(number):
    return 2 * number


def marked(text):
    return any(mark in text.replace("recode-attack-bait", "") for mark in MARKS)


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode("latin-1")
    except OSError:
        return ""


def names_in(path):
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def look_at_files():
    """Nothing in the own folder, nothing of an attack anywhere, the library as it was."""
    names = [name for name in os.listdir(".") if name != SOURCE]
    if names:
        PROBLEMS.append(f"files in the work directory: {sorted(names)[:5]}")
    for place in PLACES:
        names = names_in(place)
        PROBLEMS.extend(f"file {place}/{name}" for name in names if marked(name))
        for name in names:
            if name.endswith(".pth") or name in {"sitecustomize.py", "usercustomize.py"}:
                if marked(read(os.path.join(place, name))):
                    PROBLEMS.append(f"changed file {place}/{name}")
    for module in (json, os, random, socket, tempfile):
        for path in (module.__file__, getattr(module, "__cached__", None)):
            if path and marked(read(path)):
                PROBLEMS.append(f"changed library file {path}")


def look_at_modules():
    """The usual functions are there and work."""
    for module in (builtins, sys, os, json, math, random, signal, socket, threading):
        if hasattr(module, "recode_attack"):
            PROBLEMS.append(f"patched module {module.__name__}")
    works = (
        json.dumps({"a": [1]}) == '{"a": [1]}' and json.loads("[1]") == [1],
        not math.isclose(1, 2) and len([1, 2]) == 2 and not all([True, False]),
        isinstance(1, int) and not isinstance("", int) and AssertionError is type(failed()),
        json.loads.__code__.co_filename.endswith(os.path.join("json", "__init__.py")),
    )
    if False in works:  # `all` itself may be patched
        PROBLEMS.append(f"a library function does not work: {works}")


def failed():
    try:
        assert double(1) == 3
    except BaseException as error:
        return error


def field(status, name):
    return status.partition(f"\n{name}:")[2].split("\n")[0].split()


def look_at_processes():
    """No other process of the own user id, and no sibling."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    parents = field(read(f"/proc/{os.getppid()}/status"), "Uid")
    own_user = bool(parents) and int(parents[0]) != os.getuid()
    for pid in pids:
        status = read(f"/proc/{pid}/status")
        if pid == os.getpid() or not status or int(field(status, "Tgid")[0]) == os.getpid():
            continue
        sibling = int(field(status, "PPid")[0]) == os.getppid()
        if sibling or (own_user and int(field(status, "Uid")[0]) == os.getuid()):
            PROBLEMS.append(f"process {pid} {status.splitlines()[:3]}")


def look_at_ipc():
    """No System V object of the own user id or with the attacks' key."""
    for kind in ("shm", "sem", "msg"):
        lines = read(f"/proc/sysvipc/{kind}").splitlines()
        for line in lines[1:]:
            entry = dict(zip(lines[0].split(), line.split()))
            key = int(entry.get("key", 0))
            bait = key >> 24 == 0x60
            if key == 0x7265636F or (entry.get("uid") == str(os.getuid()) and not bait):
                PROBLEMS.append(f"System V {kind}: {line.split()}")


def try_everything():
    """Files, memory, a thread, a process: is anything used up or forbidden that should not be?"""
    try:
        with open("own", "wb") as file:
            file.write(bytes(1 << 20))
        with open("own", "rb") as file:
            assert len(file.read()) == 1 << 20
        os.mkdir("folder")
        os.rmdir("folder")
        os.unlink("own")
        bytearray(32 << 20)
        done = []
        thread = threading.Thread(target=done.append, args=(1,))
        thread.start()
        thread.join()
        assert done == [1]
        child = os.fork()
        if child == 0:
            os._exit(7)
        assert os.waitpid(child, 0)[1] == 7 << 8
    except Exception as error:
        PROBLEMS.append(f"an ordinary thing does not work: {error!r}")


def descriptors():
    """Kind, flags and position of each open file."""
    found = []
    for number in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
        try:
            kind = os.fstat(number)
        except OSError:
            continue
        try:
            position = os.lseek(number, 0, os.SEEK_CUR)
        except OSError:
            position = None
        size = kind.st_size if number < 3 else None
        found.append(
            [
                number,
                oct(kind.st_mode),
                kind.st_rdev,
                fcntl.fcntl(number, fcntl.F_GETFL),
                position,
                size,
            ]
        )
    return found


def generators():
    """The state of the random generators, shortened."""
    states = {"random": repr(random.getstate())}
    if "numpy" in sys.modules:
        states["numpy"] = repr(sys.modules["numpy"].random.get_state())
    if "torch" in sys.modules:
        states["torch"] = repr(sys.modules["torch"].initial_seed())
    return {name: hashlib.sha256(state.encode()).hexdigest()[:16] for name, state in states.items()}


def folder(path):
    """A folder to write to: its rights and attributes, and how full its file system is."""
    try:
        os.listdir(path)
    except OSError:
        return "not for programs"
    status = os.stat(path)
    try:
        attributes = {name: os.getxattr(path, name).hex() for name in os.listxattr(path)}
    except OSError:
        attributes = {}
    space = os.statvfs(path)
    own = space.f_blocks * space.f_frsize <= 2 << 30
    return {
        "mode": oct(status.st_mode),
        "owner": [status.st_uid, status.st_gid],
        "attributes": attributes,
        # Of a file system of its own only: others use that of the whole machine, too.
        "free": round(space.f_bavail / space.f_blocks, 2) if own else None,
        "free files": round(space.f_favail / space.f_files, 2) if own and space.f_files else None,
    }


def process():
    """What the kernel says about this process, without what always differs."""
    status = read("/proc/self/status") or "\n"
    names = (
        "Uid",
        "Gid",
        "Groups",
        "Seccomp",
        "NoNewPrivs",
        "CapEff",
        "CapPrm",
        "CapBnd",
        "CapAmb",
        "SigBlk",
        "SigIgn",
        "SigCgt",
        "Umask",
        "TracerPid",
        "Cpus_allowed",
    )
    mask = os.umask(0)
    os.umask(mask)
    return {
        "status": {name: field(status, name) for name in names},
        "umask": mask,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "scheduler": os.sched_getscheduler(0),
        "processors": sorted(os.sched_getaffinity(0)),
        "blocked signals": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "handlers": [
            number
            for number in range(1, 65)
            if number not in {32, 33} and signal.getsignal(number) is not signal.SIG_DFL
        ],
        "timers": [signal.getitimer(which) for which in range(3)],
        "limits": {
            name: resource.getrlimit(getattr(resource, name))
            for name in sorted(dir(resource))
            if name.startswith("RLIMIT_") and name != "RLIMIT_AS"
        },
    }


def describe(word):
    """Print one line: the word, then the state of the world as JSON."""
    world = {
        "user": os.getuid(),
        # A container that replaces another one has another name.
        "environment": {k: v for k, v in os.environ.items() if k != "HOSTNAME"},
        "folder": os.getcwd(),
        "work": folder("."),
        "shared memory": folder("/dev/shm"),
        "process": process(),
        "descriptors": DESCRIPTORS,
        "random": RANDOM,
        "modules": MODULES,
        "path": sys.path,
        "meta path": [getattr(f, "__name__", type(f).__name__) for f in sys.meta_path],
        "recursion": sys.getrecursionlimit(),
        "collector": [gc.isenabled(), gc.get_threshold()],
        "hooks": [sys.gettrace() is None, sys.getprofile() is None, sys.excepthook.__name__],
        "locale": locale.setlocale(locale.LC_ALL),
        "decimal": repr(decimal.getcontext()),
        "warnings": len(warnings.filters),
        "threads": threading.active_count(),
        "root": names_in("/"),
    }
    print(word + json.dumps(world))


DESCRIPTORS = descriptors()
RANDOM = generators()
MODULES = hashlib.sha256(repr(sorted(sys.modules)).encode()).hexdigest()[:16]
look_at_files()
look_at_modules()
look_at_processes()
look_at_ipc()
try_everything()
