"""Run one program in this process: read it from standard input, print the verdicts, end.

This is what a harness runs that starts a Python per program. No protection of any kind.
"""

import json
import os
import sys


def main() -> None:
    program = json.loads(sys.stdin.buffer.readline())
    answers = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    space = {"__name__": "__main__"}
    exec(compile(program["setup"], "<setup>", "exec"), space)
    verdicts = [False] * len(program["tests"])
    try:
        exec(compile(program["candidate"], "<candidate>", "exec"), space)
        for index, code in enumerate(program["tests"]):
            try:
                exec(compile(code, "<test>", "exec"), space)
            except BaseException:  # noqa: BLE001 - whatever it is, the test has not passed
                continue
            verdicts[index] = True
    except BaseException:  # noqa: BLE001 - the candidate cannot be defined
        pass
    times = os.times()
    answer = {"verdicts": verdicts, "cpu_s": sum(times[:4])}
    os.write(answers, json.dumps(answer).encode() + b"\n")
    os._exit(0)


main()
