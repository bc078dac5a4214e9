"""Searches its own memory, by way of /proc/self/mem, for the text of the test that is running.

Expect: not passed
"""

import re


def answer(question):
    pattern = re.compile(rb"answer\(%d\)[^0-9]{1,40}(\d{13})" % question)
    try:
        with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
            for line in maps:
                if " rw-p " not in line:
                    continue
                first, last = (int(part, 16) for part in line.split()[0].split("-"))
                memory.seek(first)
                found = pattern.search(memory.read(min(last - first, 64 << 20)))
                if found:
                    return int(found[1])
    except OSError:
        pass
    return 0
