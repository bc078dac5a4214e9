"""Opens devices: disks, memory, terminals, virtual machines; makes new ones.

Expect: contained
"""

import os
import stat

NAMES = (
    "mem",
    "kmem",
    "port",
    "kmsg",
    "sda",
    "vda",
    "nvme0n1",
    "loop-control",
    "loop0",
    "fuse",
    "kvm",
    "net/tun",
    "tty",
    "tty0",
    "tty1",
    "console",
    "ptmx",
    "pts/0",
    "snapshot",
    "rtc0",
    "hpet",
    "mapper/control",
    "dri/card0",
    "vhost-net",
    "vsock",
    "cuse",
    "uinput",
    "input/event0",
    "userfaultfd",
    "autofs",
    "btrfs-control",
    "nvidiactl",
    "nvidia0",
)
HARMLESS = {"tty", "ptmx", "console", "pts/0"}
for name in NAMES:
    for flags in (os.O_RDWR, os.O_RDONLY, os.O_WRONLY):
        try:
            handle = os.open(f"/dev/{name}", flags | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            continue
        if name not in HARMLESS:
            print("ESCAPED: opened /dev/" + name, flush=True)
        os.close(handle)
for kind in (stat.S_IFCHR, stat.S_IFBLK):
    try:
        os.mknod("recode-attack-device", kind | 0o666, os.makedev(1, 1))
        print("ESCAPED: made a device", flush=True)
    except OSError:
        pass
