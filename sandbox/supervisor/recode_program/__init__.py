"""The part of the sandbox that runs inside the interpreter of the programs.

`spawner` (started by the supervisor under that interpreter) -> `zygote` (has a set of libraries
loaded, forks one process per program) -> `runner` (that process: runs set-up, candidate and tests)
or `command` (it writes the program into a file and becomes another program, e.g. `node`).

Standard library only, and no syntax or function newer than Python 3.7: an environment decides which
Python it has. The supervisor imports `linux`, `seccomp`, `confine` and `protocol` from here.
"""
