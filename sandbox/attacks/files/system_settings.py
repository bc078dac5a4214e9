"""Opens the kernel's settings for writing: /proc/sys, sysrq, /sys, control groups, debugging.

Expect: contained
"""

import glob
import os

PATTERNS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/vm/*",
    "/proc/sys/kernel/*",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sysrq-trigger",
    "/proc/sys/net/ipv4/*",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/*/*",
    "/sys/fs/cgroup/*",
    "/sys/fs/cgroup/*/*",
    "/sys/power/*",
    "/sys/module/*/parameters/*",
    "/sys/kernel/debug/*",
    "/sys/class/*/*/uevent",
    "/proc/irq/*",
    "/proc/bus/pci/*",
    "/proc/acpi/*",
    "/proc/timer_list",
    "/proc/kcore",
    "/proc/kmsg",
    "/proc/keys",
)
CHECKED_WHEN_WRITTEN = {"ns_last_pid"}  # anybody may open it
for pattern in PATTERNS:
    for path in glob.glob(pattern)[:200]:
        try:
            if os.path.isfile(path):
                handle = os.open(path, os.O_WRONLY)
                if os.path.basename(path) in CHECKED_WHEN_WRITTEN:
                    with open(path, "rb") as file:
                        os.write(handle, file.read())
                print("ESCAPED: opened for writing", path, flush=True)
        except OSError:
            pass
for path in ("/proc/kcore", "/proc/kmsg", "/proc/1/mem", "/proc/1/environ", "/sys/kernel/debug"):
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        if os.read(handle, 64):
            print("ESCAPED: read", path, flush=True)
    except OSError:
        pass
