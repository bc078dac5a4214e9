"""A process to be killed: a run of conversations with a sandbox that protects nothing."""

from __future__ import annotations

import sys

from fake_sandbox import FakeSandbox

import recode_eval.sandbox
from recode_eval import cli


def main() -> int:
    recode_eval.sandbox.open_router = lambda *_, **__: FakeSandbox("landlock")
    return cli.run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
