"""The part of the sandbox that runs inside it; Python's standard library only.

`main` (owns the verdicts, talks to the evaluator) -> `nursery` (clean process that starts zygotes)
-> `zygote` (has a set of libraries loaded, forks one process per program) -> `runner` (that
process: confines itself, runs set-up, candidate and tests).
"""
