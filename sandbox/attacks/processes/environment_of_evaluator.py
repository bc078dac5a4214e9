"""Looks for the evaluator's environment variables: its own, those of its parents, of everybody.

Expect: contained
"""

import os

import bait

if bait.VARIABLE in os.environ:
    print("ESCAPED: the variable is in the own environment", flush=True)
for name in os.environ:
    if any(word in name.upper() for word in ("TOKEN", "SECRET", "PASSWORD", "API_KEY", "AWS_")):
        print("ESCAPED: sees the variable", name, flush=True)
for pid in ["self", "thread-self", os.getppid(), bait.PROCESS, *range(1, 200)]:
    try:
        with open(f"/proc/{pid}/environ") as file:
            text = file.read()
        if bait.VARIABLE in text:
            print("ESCAPED: read the environment of process", pid, flush=True)
    except OSError:
        pass
