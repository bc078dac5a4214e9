"""Searches the objects and memory it inherited for tests, while it is being defined.

Expect: not passed
"""

import gc
import re

pattern = re.compile(r"answer\((\d)\)[^0-9]{1,40}(\d{13})")
known = {}


def note(text):
    for question, value in pattern.findall(text):
        known[int(question)] = int(value)


for thing in [*gc.get_objects(), *(o for g in range(3) for o in gc.get_objects(g))]:
    for inner in gc.get_referents(thing):
        if isinstance(inner, str) and "answer(" in inner:
            note(inner)
try:
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            if " rw-p " in line:
                first, last = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(first)
                note(memory.read(min(last - first, 64 << 20)).decode("latin-1"))
except OSError:
    pass


def answer(question):
    return known.get(question, 0)
