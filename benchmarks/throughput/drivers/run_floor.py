"""The floor: fork, `exec` the compiled program, wait. Libraries loaded before, nothing protected.

`run_floor.py SUPERVISOR LIBRARY ...`: with the folder of the sandbox's supervisor the process is
prepared as the sandbox's own are (libraries warmed up, objects frozen, huge pages), so that what
the sandbox adds is all that differs. `run_floor.py - LIBRARY ...` only imports the libraries.
"""

from __future__ import annotations

import gc
import mmap
import os
import sys
from typing import Any

import _common


def main() -> None:
    supervisor, *libraries = sys.argv[1:]
    _common.prepare(supervisor, libraries)
    if supervisor != "-":
        from recode_program import linux

        gc.collect()
        gc.freeze()
        linux.collapse_heap()
    board = mmap.mmap(-1, mmap.PAGESIZE)
    _common.serve(lambda program: _run(program, board))


def _run(program: dict[str, Any], board: mmap.mmap) -> dict[str, Any]:
    count = len(program["tests"])
    board[:count] = bytes(count)
    pid = os.fork()
    if pid == 0:
        try:
            space: dict[str, Any] = {"__name__": "__main__"}
            exec(compile(program["setup"], "<setup>", "exec"), space)
            exec(compile(program["candidate"], "<candidate>", "exec"), space)
            for index, code in enumerate(program["tests"]):
                try:
                    exec(compile(code, "<test>", "exec"), space)
                except BaseException:  # noqa: BLE001 - whatever it is, the test has not passed
                    continue
                board[index] = 1
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return {"verdicts": [bool(byte) for byte in board[:count]]}


main()
