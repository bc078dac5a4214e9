"""Runs inside the sandbox, after `harness`: runs probes, each in a forked child of its own.

SETTINGS is given: `modules` (imported once, before the first probe), `probes` (id -> pieces),
`mark`, `silence_s`, `probe_s`, `seconds`, `most_bytes`.
"""

import ast
import io
import json
import os
import re
import resource
import select
import signal
import sys
import time
import warnings

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+")
_ENDINGS = (DeprecationWarning, FutureWarning, PendingDeprecationWarning)
_MOST_PIECES = 40


def shown(value, most=240):
    try:
        text = value if isinstance(value, str) else repr(value)
    except BaseException as error:
        text = "<repr raises %s>" % type(error).__name__
    return _ADDRESS.sub("0x", text)[:most]


def outcomes(pieces):
    """Run the pieces in one namespace; stop at the first that raises."""
    space = {"__name__": "probe", "__builtins__": __builtins__}
    told = []
    for piece in pieces[:_MOST_PIECES]:
        printed = io.StringIO()
        sys.stdout = sys.stderr = printed
        outcome = {"raises": "", "value": "", "warns": []}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                tree = ast.parse(piece)
                last = (
                    tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
                )
                exec(compile(tree, "<probe>", "exec"), space)
                if last is not None:
                    value = eval(compile(ast.Expression(last.value), "<probe>", "eval"), space)
                    if value is not None:
                        outcome["value"] = type(value).__name__ + ": " + shown(value)
            except BaseException as error:
                outcome["raises"] = type(error).__name__ + ": " + shown(str(error))
        outcome["prints"] = shown(printed.getvalue())
        for warning in caught[:20]:
            if issubclass(warning.category, _ENDINGS):
                text = warning.category.__name__ + ": " + shown(str(warning.message))
                if text not in outcome["warns"]:
                    outcome["warns"].append(text)
        told.append([outcome["raises"], outcome["value"], outcome["prints"], outcome["warns"]])
        if outcome["raises"]:
            break
    return told


def run_one(pieces, seconds):
    """Return what a forked child tells of its pieces; None if it tells nothing."""
    receive, send = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(receive)
            try:
                os.setsid()
            except OSError:
                pass
            signal.alarm(int(seconds) + 1)
            used = resource.getrusage(resource.RUSAGE_SELF)
            limit = int(used.ru_utime + used.ru_stime + seconds) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
            dumps, write = json.dumps, os.write
            data = dumps(outcomes(pieces)).encode("ascii")
            while data:
                data = data[write(send, data) :]
        finally:
            os._exit(0)
    os.close(send)
    content, ends = b"", time.monotonic() + seconds
    poll = select.poll()
    poll.register(receive, select.POLLIN)
    while True:
        left = ends - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            content = b""
            break
        chunk = os.read(receive, 1 << 16)
        if not chunk:
            break
        content += chunk
        if len(content) > 1 << 18:
            content = b""
            break
    os.close(receive)
    _kill(pid)
    os.waitpid(pid, 0)
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None


def main():
    waiting = list(SETTINGS["probes"].items())
    lines, begun, size = [], set(), [0]
    ends = time.monotonic() + SETTINGS["seconds"]

    def read_line(line):
        if line.startswith(b'["begin", '):
            begun.add(json.loads(line)[1])
            return
        size[0] += len(line)
        if size[0] <= SETTINGS["most_bytes"]:
            lines.append(line)

    restarts = 0
    while waiting:

        def work(tell, probes=tuple(waiting)):
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            for name in SETTINGS["modules"]:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    try:
                        __import__(name)
                    except BaseException:
                        pass
            for name, pieces in probes:
                if time.monotonic() > ends:
                    break
                tell(["begin", name])
                told = run_one(pieces, SETTINGS["probe_s"])
                tell(["lost", name] if told is None else ["probe", name, told])

        why = in_child(work, read_line, SETTINGS["silence_s"], SETTINGS["most_bytes"])
        waiting = [(name, pieces) for name, pieces in waiting if name not in begun]
        restarts += 1
        if not why or restarts > 10 or time.monotonic() > ends:
            break
    hand_over(lines, SETTINGS["mark"].encode("ascii"))


main()
