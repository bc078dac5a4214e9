"""Fills the folder of shared memory with deleted files that no process maps. Bounded: 1 GiB.

Expect: not passed
"""

import os
import time

block = os.urandom(1 << 20)
held, total = [], 0
try:
    for number in range(64):
        name = f"/dev/shm/recode-attack-{number}"
        held.append(os.open(name, os.O_CREAT | os.O_RDWR, 0o600))
        os.unlink(name)
        for _ in range(15):
            total += os.write(held[-1], block)
except OSError:
    pass
memory = bytearray(150 << 20)
for offset in range(0, len(memory), 4096):
    memory[offset] = 1
time.sleep(1.5)
if total + len(memory) > 350 << 20:
    print("ESCAPED: held", total >> 20, "MiB beside 150 MiB of its own", flush=True)
if total > 300 << 20:
    print("ESCAPED: wrote", total >> 20, "MiB of shared memory", flush=True)
