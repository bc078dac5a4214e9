"""Decide, before any program runs, how programs are confined here.

The supervisor refuses to start if it is not enough for the tier that the evaluator asked for.
"""

from __future__ import annotations

import dataclasses
import errno
import os
from typing import Any

from recode_program import confine, linux, seccomp

from recode_supervisor import disk, node_execution, visible

_SYSTEM = (
    "/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/localtime", "/etc/timezone", "/etc/mime.types", "/etc/alternatives",
    "/etc/nsswitch.conf", "/etc/ssl", "/etc/os-release",
)  # fmt: skip
_FACTS_OF_THE_MACHINE = (
    "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version",
    "/sys/devices/system/cpu", "/sys/kernel/mm/transparent_hugepage",
)  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")
_RANDOM = ("/dev/random", "/dev/urandom")


def decide(config: dict[str, Any]) -> tuple[confine.Settings, dict[str, Any]]:
    """Turn the evaluator's configuration into settings; also return what was found.

    What depends on where an interpreter lies comes later, with `rule_files`.

    Raises:
        OSError: a protection that the configuration requires cannot be had here.
    """
    settings = confine.Settings(work=config["work"], other_processes=config.get("processes", 0))
    settings.disk_bytes = int(config.get("disk_bytes", 0))
    settings.disk_files = int(config.get("disk_files", 0))
    settings.own_disk = bool(config.get("own_disk"))
    if config["tier"] == "none":
        settings.seccomp = False
        return settings, {"tier": "none"}
    seccomp.zygote_filter()  # raises where there is no table for this machine
    capabilities = linux.effective_capabilities()
    may_change_user = all(capabilities >> bit & 1 for bit in (linux.CAP_SETUID, linux.CAP_SETGID))
    if config.get("uid") is not None and may_change_user:
        settings.uid = int(config["uid"])
        settings.guard_uid = int(config["guard_uid"])
    elif config.get("uid_required"):
        raise OSError(errno.EPERM, "the sandbox may not change the user id of programs")
    if config.get("private_disk"):
        _make_private_disk(settings, capabilities, config)
    elif config.get("own_shm"):
        settings.shm, settings.shm_files = disk.SHM, int(config.get("shm_files", 0))
    if settings.uid is not None:
        _own_work(settings, capabilities, config["work"])
    abi = linux.landlock_abi()
    if config.get("landlock_files") and abi < 1:
        raise OSError(errno.ENOSYS, "this kernel offers no Landlock")
    settings.guard_signals = settings.uid is None and abi < 6
    facts = {"own_uid": settings.uid is not None, "own_disk": settings.own_disk}
    return settings, {"landlock": abi, **facts}


def rule_files(
    settings: confine.Settings, config: dict[str, Any], folders: list[str]
) -> tuple[confine.Settings, int]:
    """The settings of programs that need to read `folders`, and their Landlock ruleset.

    The ruleset is a descriptor, or -1 where none is used; programs of one language have one.

    Raises:
        OSError: programs cannot read the folders, or the kernel refuses the ruleset.
    """
    settings = dataclasses.replace(settings)
    if config["tier"] == "none":
        return settings, -1
    abi = linux.landlock_abi()
    if config.get("landlock_files"):
        settings.guard_files = True
        if settings.uid is not None and not _readable_by_others(folders):
            # Programs lose root's right to look into private folders like /root, where their
            # interpreter lives. They keep this one right; Landlock limits what they can use it on.
            settings.keep_capabilities = 1 << linux.CAP_DAC_READ_SEARCH
            if not linux.effective_capabilities() & settings.keep_capabilities:
                raise OSError(errno.EACCES, f"other users cannot read {folders[0]}")
        return settings, linux.landlock_ruleset(abi, _rules(settings, folders, config))
    if abi >= 6:
        settings.only_beside_tests = settings.uid is not None
        return settings, linux.landlock_ruleset(abi, None)
    return settings, -1


def _make_private_disk(
    settings: confine.Settings, capabilities: int, config: dict[str, Any]
) -> None:
    """Let the kernel limit what programs write, where it lets us mount; else it is watched.

    Where it does, programs also get a `/dev/shm` and, later (`show_work`), a `/tmp` of their own.
    """
    as_root = bool(capabilities >> linux.CAP_SYS_ADMIN & 1)
    if settings.uid is not None and not as_root:
        return  # a user namespace made without root's rights has no user ids for programs
    if not disk.private(settings.work, settings.disk_bytes, settings.disk_files, as_root=as_root):
        return
    settings.own_disk = True
    settings.disk_bytes = settings.disk_files = 0
    settings.own_users = not as_root
    if settings.own_users:  # the kernel counts its processes apart from the user's others
        settings.other_processes = disk.OWN_TASKS
    if disk.private_shm(int(config["shm_bytes"]), int(config["shm_files"])):
        settings.shm = disk.SHM
    if not _below_tmp(config) and disk.show_as_tmp(settings.work):
        disk.unmount(disk.TMP)  # a trial: what is below /tmp is still needed
        settings.work = disk.TMP
        os.environ.update(HOME=disk.TMP, TMPDIR=disk.TMP)


def show_work(settings: confine.Settings, config: dict[str, Any]) -> None:
    """Put the work directory where programs see it; all code of the sandbox's own is loaded.

    Raises:
        OSError: the kernel refuses what it has granted before.
    """
    if settings.work != config["work"] and not disk.show_as_tmp(config["work"]):
        raise OSError(errno.EPERM, "the work directory cannot be shown as /tmp")


def _below_tmp(config: dict[str, Any]) -> bool:
    """Whether an interpreter, or what else programs need, lies where the work directory will be."""
    needed = [config["interpreter"][0]]
    for runtime in config["runtimes"].values():
        needed += [runtime[key][0] for key in ("command", "argv") if key in runtime]
        needed += runtime.get("folders", [])
        needed += [node_execution.RUNNER] if runtime["kind"] == "node" else []
    paths = (one for path in needed for one in (path, os.path.realpath(path)))
    return any(path.startswith(f"{disk.TMP}/") for path in paths)


def _own_work(settings: confine.Settings, capabilities: int, work: str) -> None:
    """Make the work directory usable for the slot's user id."""
    if capabilities & 1:  # CAP_CHOWN
        os.chown(work, settings.uid or 0, settings.uid or 0)
        os.chmod(work, 0o700)  # noqa: PTH101
    else:  # a tmpfs of its own that root of the container made
        os.chmod(work, 0o1777)  # noqa: PTH101, S103


def _rules(
    settings: confine.Settings, folders: list[str], config: dict[str, Any]
) -> dict[str, int]:
    hidden = visible.hidden_below(
        (*_SYSTEM, *folders), config.get("packages", []), config.get("hidden", [])
    )
    rules = visible.rules((*_SYSTEM, *folders), hidden)
    rules.update(dict.fromkeys((*_FACTS_OF_THE_MACHINE, *_RANDOM), linux.READ))
    rules.update(dict.fromkeys(_DEVICES, linux.READ | (1 << 1)))
    for writable in filter(None, (config["work"], settings.shm)):
        rules[writable] = linux.READ | linux.WRITE
    return rules


def _readable_by_others(folders: list[str]) -> bool:
    """True if everybody may enter the folders, as far as they exist."""
    for folder in filter(os.path.lexists, folders):
        path = folder
        while path not in {"/", ""}:
            try:
                if not os.stat(path).st_mode & 0o001:  # noqa: PTH116
                    return False
            except OSError:
                return False
            path = os.path.dirname(path)  # noqa: PTH120
    return True
