"""Leaves pipes, sockets' names, and files with names that break scripts: line ends, bytes, length.

Expect: not passed
"""

import os

os.mkfifo("recode-attack-pipe")
os.makedirs("-rf")
for name in (b"\n", b"\xff\xfe", b"-rf ~", b"*", b" ", b"x" * 255, "\u202e".encode(), b"\x1b[2J"):
    with open(name, "w") as file:
        file.write("x")
    os.link(name, b"-rf/" + name)
