"""The part of the sandbox that owns the verdicts; Python's standard library only, 3.11 or newer.

`main` talks to the evaluator and runs one program after the other. Each language has a `Runtime`
(`runtimes`): it starts a *spawner* under the interpreter of the programs (`recode_program`, which
has its own rules) and makes a `ProgramExecution` of every program. The supervisor's own interpreter
never runs one.
"""
