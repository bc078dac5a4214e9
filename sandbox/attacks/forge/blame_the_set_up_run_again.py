"""Plants modules that break the set-up, then crashes, so that the set-up has to run again.

Expect: not passed
"""

import os
import sys

for name in ("sys", "types", "math", "random", "sitecustomize", "usercustomize", "conftest"):
    with open(f"{name}.py", "w") as file:
        file.write("raise ImportError('the recode-attack module')\n")
sys.path.insert(0, os.getcwd())
os.environ["PYTHONPATH"] = os.getcwd()


def answer(question):
    os.abort()
