"""Faults of the machine: the pool recovers, or says so in time; no program fails because of them.

None of these tests touches the machine's own Docker daemon: those that kill or restart one start a
second, those that hang one put a socket in front of it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from daemons import Proxy, SecondDaemon, children
from waiting import wait_for

from recode_eval.sandbox import (
    Limits,
    Program,
    Status,
    Test,
    docker,
    landlock,
    open_sandbox,
    pool,
    worker,
)
from recode_eval.sandbox.base import SandboxCrashError, SandboxUnavailableError
from recode_eval.sandbox.environments import ensure_image, get_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from recode_eval.sandbox import Execution, Sandbox
    from recode_eval.sandbox.environments import ImageInfo
    from recode_eval.sandbox.pool import Pool

OK = Program("", "x = 1", (Test("t", "assert x == 1"),))
WRONG = Program("", "x = 1", (Test("t", "assert x == 2"),))
SLEEP = Program("", "import time", (Test("t", "time.sleep(2)"),))
LONG = Program("", "import time", (Test("t", "time.sleep(15)"),))
WITHOUT_NAME = Program("import numpy", "", OK.tests)
FILL = Program("", "", (Test("t", "\n".join((
    "for n in range(20):",
    "    with open(str(n), 'wb') as file:",
    "        file.write(bytes(60 << 20))",
))),))  # fmt: skip
WRITE = Program("", "", (Test("t", "open('x', 'wb').write(bytes(50 << 20))"),))
LIMITS = Limits(cpu_s=5, wall_s=20)

on_docker = [pytest.mark.docker, pytest.mark.slow]


IN_NODE = {
    program: Program("", candidate, (Test("t", code),), language="javascript")
    for program, candidate, code in (
        (OK, "const x = 1", "assert.equal(x, 1)"),
        (WRONG, "const x = 1", "assert.equal(x, 2)"),
        (SLEEP, "", "await new Promise((done) => setTimeout(done, 2000))"),
        (LONG, "", "await new Promise((done) => setTimeout(done, 15_000))"),
        (WITHOUT_NAME, "", "assert.equal(x, 1)"),
        (
            FILL,
            "const { writeFileSync } = require('node:fs')",
            "for (let n = 0; n < 20; n += 1) writeFileSync(`${n}`, Buffer.alloc(60 << 20))",
        ),
        (
            WRITE,
            "const { writeFileSync } = require('node:fs')",
            "writeFileSync('x', Buffer.alloc(50 << 20))",
        ),
    )
}
"""The same programs for a sandbox whose environment is one of JavaScript."""
in_both = pytest.mark.parametrize("image", ["mini", "node"], indirect=True)


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest) -> ImageInfo:
    return ensure_image(get_environment(getattr(request, "param", "mini")))


class InNode(pool.Pool):
    """A pool that runs the program of JavaScript that stands for one of Python."""

    def submit(self, program: Program, limits: Limits) -> Future[Execution]:
        return super().submit(IN_NODE[program], limits)


@pytest.fixture(scope="module")
def second(image: ImageInfo) -> Iterator[SecondDaemon]:
    reason = SecondDaemon.reason_against()
    if reason:
        pytest.skip(reason)
    daemon = SecondDaemon()
    try:
        daemon.start()
        daemon.load(image)
        yield daemon
    finally:
        daemon.close()


@pytest.fixture
def daemon(second: SecondDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecondDaemon]:
    """The second daemon, running, and the one that this test's sandboxes use."""
    monkeypatch.setenv("DOCKER_HOST", second.url)
    yield second
    if second.docker("version", check=False).returncode:
        second.start()


@pytest.fixture
def proxy(daemon: SecondDaemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """In front of that daemon, for this test's sandboxes; calls that hang end soon."""
    monkeypatch.setattr(docker, "_REMOVE_S", 2)
    proxy = Proxy(daemon.folder, f"{daemon.folder}/docker.sock")
    monkeypatch.setenv("DOCKER_HOST", proxy.url)
    yield proxy
    proxy.close()


@pytest.fixture
def attached(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is said goes through the daemon, as with one that runs on another machine."""
    monkeypatch.setattr(docker, "_doorway", lambda _: None)


def open_pool(image: ImageInfo, workers: int = 2, restart_for_s: float = 60) -> Pool:
    launcher = docker.DockerLauncher(image)
    for runtime in launcher._runtimes.values():
        runtime["standby"] = False  # these tests count processes
    made = InNode if image.node else pool.Pool
    return made(
        launcher, workers=workers, isolation="program", restart_for_s=restart_for_s
    )  # fmt: skip


def outcomes(futures: list[Future[Execution]], seconds: float) -> list[object]:
    """What became of programs: a status (all have one test), or the exception of the future."""
    deadline = time.monotonic() + seconds
    found: list[object] = []
    for future in futures:
        error = future.exception(timeout=max(0.1, deadline - time.monotonic()))
        found.append(error or future.result().verdicts[0].status)
    return found


def running(daemon: SecondDaemon, count: int) -> Callable[[], bool]:
    """True when `count` workers have a program: supervisor, spawner, zygote, program, and shim."""
    return lambda: len(daemon.processes()) >= 5 * count


def busy(daemon: SecondDaemon) -> set[str]:
    """The containers in which a program runs.

    Told by each one's own line of descent, not by how many processes there are: those of a killed
    container are still there for a while when the next one is up already, and idle.
    """
    found = set()
    for container in daemon.docker("ps", "-q").stdout.split():
        state = daemon.docker("inspect", "-f", "{{.State.Pid}}", container, check=False)
        processes = [int(state.stdout)] if state.stdout.strip() not in {"", "0"} else []
        for _ in ("spawner", "zygote", "program"):
            processes = [child for pid in processes for child in children(pid)]
        if processes:
            found.add(container)
    return found


@in_both
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.docker
@pytest.mark.slow
def test_daemon_restarted_in_the_middle(
    daemon: SecondDaemon, image: ImageInfo, number: signal.Signals
) -> None:
    with open_pool(image) as sandbox:
        futures = [sandbox.submit(SLEEP, LIMITS) for _ in range(3)]
        futures += [sandbox.submit(WRONG, LIMITS), sandbox.submit(OK, LIMITS)]
        wait_for(running(daemon, 2))
        start = time.monotonic()
        daemon.end(number)
        assert time.monotonic() - start < 8, "the daemon had to wait for the supervisors"
        time.sleep(1)
        daemon.start()
        expected = [*[Status.PASSED] * 3, Status.FAILED, Status.PASSED]
        assert outcomes(futures, 90) == expected
    wait_for(lambda: not daemon.containers() and not daemon.processes())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("attached")
@pytest.mark.docker
@pytest.mark.slow
def test_daemon_gone_for_good(
    daemon: SecondDaemon, image: ImageInfo, number: signal.Signals
) -> None:
    """Nothing hangs and nothing fails: what waits is given up with the reason."""
    with open_pool(image, restart_for_s=5) as sandbox:
        futures = [sandbox.submit(SLEEP, LIMITS) for _ in range(6)]
        wait_for(running(daemon, 2))
        daemon.end(number)
        start = time.monotonic()
        found = outcomes(futures, 60)
        assert time.monotonic() - start < 30
        assert {type(error) for error in found} == {SandboxUnavailableError}
        assert "no Docker daemon answers" in str(found[0])
        (late,) = outcomes([sandbox.submit(OK, LIMITS)], 1)
        assert isinstance(late, SandboxUnavailableError)
        closing = time.monotonic()
    assert time.monotonic() - closing < 30


@pytest.mark.docker
@pytest.mark.slow
def test_running_workers_need_no_daemon(daemon: SecondDaemon, image: ImageInfo) -> None:
    """Whatever becomes of the daemon, containers that live go on, and end with the evaluator.

    Only what needs a new container is given up.
    """
    with open_pool(image, restart_for_s=2) as sandbox:
        futures = [sandbox.submit(SLEEP, LIMITS) for _ in range(6)]
        wait_for(running(daemon, 2))
        daemon.end(signal.SIGKILL)
        assert outcomes(futures, 60) == [Status.PASSED] * 6
        inside = daemon.inside()
        assert len(inside) >= 2
        for pid in inside:
            with contextlib.suppress(ProcessLookupError):  # it went with its supervisor
                os.kill(pid, signal.SIGKILL)
        (late,) = outcomes([sandbox.submit(OK, LIMITS)], 30)
        assert isinstance(late, SandboxUnavailableError)
        assert "no Docker daemon answers" in str(late)
    wait_for(lambda: not daemon.inside())


@pytest.mark.docker
@pytest.mark.slow
def test_containers_end_with_the_evaluator(daemon: SecondDaemon, image: ImageInfo) -> None:
    """Also where no daemon is left that could remove them; no need to wait for the lease."""
    with open_pool(image) as sandbox:
        assert outcomes([sandbox.submit(OK, LIMITS)], 60) == [Status.PASSED]
        daemon.end(signal.SIGKILL)
        assert daemon.inside()
    wait_for(lambda: not daemon.inside())


@pytest.mark.usefixtures("attached")
@pytest.mark.docker
@pytest.mark.slow
def test_containers_end_without_evaluator_and_daemon(
    daemon: SecondDaemon, image: ImageInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed daemon leaves the containers' input open: they lived for ever."""
    monkeypatch.setattr(worker, "LEASE_S", 5.0)
    with open_pool(image, restart_for_s=2) as sandbox:
        future = sandbox.submit(SLEEP, LIMITS)
        wait_for(running(daemon, 1))
        daemon.end(signal.SIGKILL)
        assert isinstance(outcomes([future], 30)[0], SandboxUnavailableError)
    assert daemon.inside()
    wait_for(lambda: not daemon.inside(), 30)


@pytest.mark.docker
@pytest.mark.slow
def test_an_idle_container_is_kept(
    daemon: SecondDaemon, image: ImageInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers wait for a slow model longer than supervisors wait for a word: pings keep them."""
    monkeypatch.setattr(pool, "PING_S", 0.2)
    monkeypatch.setattr(worker, "LEASE_S", 1.0)
    with open_pool(image, workers=1) as sandbox:
        assert outcomes([sandbox.submit(OK, LIMITS)], 30) == [Status.PASSED]
        before = daemon.containers()
        time.sleep(2)
        assert outcomes([sandbox.submit(OK, LIMITS)], 30) == [Status.PASSED]
        assert daemon.containers() == before
        daemon.docker("kill", *before)
        time.sleep(1)  # an idle worker that is lost is noticed, and replaced for the next program
        assert outcomes([sandbox.submit(OK, LIMITS)], 30) == [Status.PASSED]


@in_both
@pytest.mark.docker
@pytest.mark.slow
def test_container_killed_in_the_middle(daemon: SecondDaemon, image: ImageInfo) -> None:
    with open_pool(image) as sandbox:
        futures = [sandbox.submit(SLEEP, LIMITS) for _ in range(4)]
        wait_for(running(daemon, 2))
        daemon.docker("kill", *daemon.containers())
        assert outcomes(futures, 60) == [Status.PASSED] * 4
    wait_for(lambda: not daemon.containers() and not daemon.processes())


@in_both
@pytest.mark.docker
@pytest.mark.slow
def test_container_killed_three_times_is_a_crash(daemon: SecondDaemon, image: ImageInfo) -> None:
    """Each kill hits a container that has the program, and the honest one between is unharmed."""
    with open_pool(image, workers=1) as sandbox:
        future, waiting = sandbox.submit(LONG, LIMITS), sandbox.submit(OK, LIMITS)
        killed: list[str] = []
        for _ in range(3):
            wait_for(lambda: busy(daemon) - set(killed))
            (container,) = busy(daemon) - set(killed)
            daemon.docker("kill", container)
            killed.append(container)
        assert outcomes([future], 30) == [Status.CRASHED]
        assert len(set(killed)) == 3
        assert outcomes([waiting], 30) == [Status.PASSED]
    wait_for(lambda: not daemon.containers())


@pytest.mark.docker
@pytest.mark.slow
def test_container_out_of_memory_as_a_whole(
    daemon: SecondDaemon, image: ImageInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel kills a zygote or the supervisor: the programs did nothing wrong."""
    limits = Limits(cpu_s=5, wall_s=20, memory_bytes=1 << 20)
    heavy = Program("import numpy", "", (Test("t", "assert numpy.sum([1]) == 1"),))
    with open_pool(image, workers=1) as sandbox:
        assert outcomes([sandbox.submit(heavy, LIMITS)], 60) == [Status.PASSED]
        create = docker.ContainerLink._create

        def small(self: docker.ContainerLink, *arguments: object) -> str:
            self._memory = (32 << 20) - docker._OWN_MEMORY  # too little for numpy
            return create(self, *arguments)

        monkeypatch.setattr(docker.ContainerLink, "_create", small)
        monkeypatch.setattr(docker.ContainerLink, "need_memory", lambda *_: None)
        daemon.docker("kill", *daemon.containers())
        lost, alive = outcomes([sandbox.submit(one, limits) for one in (heavy, OK)], 60)
        assert isinstance(lost, SandboxCrashError)
        assert alive is Status.PASSED or isinstance(alive, SandboxCrashError)
        monkeypatch.undo()
        monkeypatch.setenv("DOCKER_HOST", daemon.url)
        daemon.docker("kill", *daemon.containers(), check=False)
        assert outcomes([sandbox.submit(heavy, LIMITS)], 60) == [Status.PASSED]
    wait_for(lambda: not daemon.containers() and not daemon.processes())


@in_both
@pytest.mark.docker
@pytest.mark.slow
def test_supervisor_and_zygote_killed_by_the_kernel(daemon: SecondDaemon, image: ImageInfo) -> None:
    """What the out-of-memory killer does to them, one after the other."""
    with open_pool(image, workers=1) as sandbox:
        for depth in (1, 2, 3):  # supervisor, spawner, zygote
            future = sandbox.submit(SLEEP, LIMITS)
            wait_for(running(daemon, 1))
            os.kill(daemon.processes()[depth], signal.SIGKILL)
            after = sandbox.submit(WITHOUT_NAME, LIMITS)
            assert outcomes([future], 60) == [Status.PASSED]
            assert outcomes([after], 60) == [Status.FAILED]  # a name that is not defined
    wait_for(lambda: not daemon.containers() and not daemon.processes())


@pytest.mark.docker
@pytest.mark.slow
def test_image_removed_while_running(daemon: SecondDaemon, image: ImageInfo) -> None:
    """Its name may go: a container keeps the content, which a new worker starts from."""
    try:
        with open_pool(image) as sandbox:
            daemon.docker("rmi", "--force", image.tag)
            first = daemon.containers()[0]
            daemon.docker("kill", first)
            futures = [sandbox.submit(SLEEP, LIMITS) for _ in range(4)]
            assert outcomes(futures, 60) == [Status.PASSED] * 4
            start = time.monotonic()
            killed = daemon.containers()
            daemon.docker("kill", *killed)
            wait_for(lambda: not daemon.containers())
            daemon.docker("rmi", "--force", *daemon.docker("images", "-aq").stdout.split())
            (error,) = outcomes([sandbox.submit(OK, LIMITS)], 60)
            assert isinstance(error, SandboxUnavailableError)
            assert "was removed" in str(error)
            assert time.monotonic() - start < 30
        with pytest.raises(SandboxUnavailableError, match="was removed"):
            open_pool(image)
    finally:
        daemon.load(image)
    wait_for(lambda: not daemon.containers() and not daemon.processes())


@in_both
@pytest.mark.docker
@pytest.mark.slow
def test_disk_full_in_the_container(daemon: SecondDaemon, image: ImageInfo) -> None:
    """A program that fills its directory fails by itself, and the next one has room."""
    with open_pool(image, workers=1) as sandbox:
        found = outcomes([sandbox.submit(one, LIMITS) for one in (FILL, WRITE, FILL, OK)], 60)
        assert found == [Status.FAILED, Status.PASSED, Status.FAILED, Status.PASSED]


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a small disk needs root")
@pytest.mark.slow
def test_disk_full_below_the_work_folder(
    public_folder: Path, monkeypatch: pytest.MonkeyPatch, opener: Callable[..., Sandbox]
) -> None:
    """Programs failed with `No space left on device` because others had filled the disk."""
    disk = public_folder / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow mounts")
    opener("landlock", workers=1).close()
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    monkeypatch.setattr(landlock, "PRIVATE_DISK", False)
    write = Program("", "", (Test("t", "open('x', 'wb').write(bytes(10 << 20))"),))
    try:
        with open_sandbox("landlock", workers=1) as sandbox:
            assert outcomes([sandbox.submit(write, LIMITS)], 60) == [Status.PASSED]
            with contextlib.suppress(OSError), (disk / "other").open("wb") as file:
                file.write(bytes(60 << 20))
            (error,) = outcomes([sandbox.submit(write, LIMITS)], 60)
            assert isinstance(error, SandboxCrashError)
            assert "no space left" in str(error)
            (disk / "other").unlink(missing_ok=True)
            assert outcomes([sandbox.submit(write, LIMITS)], 60) == [Status.PASSED]
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_work_folder_that_cannot_be_made_is_the_machines_fault(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, opener: Callable[..., Sandbox]
) -> None:
    opener("landlock", workers=1).close()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(SandboxUnavailableError, match="TMPDIR"):
        open_sandbox("landlock", workers=1)


@pytest.mark.docker
def test_a_daemon_that_never_answers_is_no_daemon(
    public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking took ten minutes: the time that a build may take."""
    monkeypatch.setattr("recode_eval.sandbox.daemon.CONTACT_S", 3)
    proxy = Proxy(public_folder, None)
    monkeypatch.setenv("DOCKER_HOST", proxy.url)
    start = time.monotonic()
    try:
        with pytest.raises(SandboxUnavailableError, match="no Docker daemon answers"):
            open_sandbox("docker", workers=1)
        said: list[str] = []
        with open_sandbox("auto", workers=1, log=said.append) as sandbox:
            assert sandbox.info.tier in {"bubblewrap", "landlock"}
        assert "'docker' cannot be used: no Docker daemon answers" in said[0]
    finally:
        proxy.close()
    assert time.monotonic() - start < 30


@pytest.mark.docker
@pytest.mark.slow
def test_a_daemon_that_hangs_holds_nothing_up(
    daemon: SecondDaemon, image: ImageInfo, proxy: Proxy
) -> None:
    """Programs waited for it, and were run twice, although their containers were well."""
    with open_pool(image) as sandbox:
        futures = [sandbox.submit(SLEEP, LIMITS) for _ in range(4)]
        wait_for(running(daemon, 2))
        before = daemon.containers()
        proxy.frozen.set()
        assert outcomes(futures, 60) == [Status.PASSED] * 4
        assert daemon.containers() == before
        closing = time.monotonic()
    assert time.monotonic() - closing < 30
    proxy.frozen.clear()
    wait_for(lambda: not daemon.containers(), 30)


@pytest.mark.usefixtures("attached")
@pytest.mark.docker
@pytest.mark.slow
def test_daemon_hangs_in_the_middle(
    daemon: SecondDaemon, image: ImageInfo, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls that are never answered end; after the daemon's recovery the run goes on."""
    monkeypatch.setattr(worker, "SILENCE_S", 6.0)
    monkeypatch.setattr("recode_eval.sandbox.daemon.CONTACT_S", 2)
    with open_pool(image, restart_for_s=60) as sandbox:
        futures = [sandbox.submit(SLEEP, LIMITS) for _ in range(4)]
        wait_for(running(daemon, 2))
        proxy.frozen.set()
        time.sleep(10)
        assert not [future for future in futures if future.done()]
        proxy.frozen.clear()
        assert outcomes(futures, 90) == [Status.PASSED] * 4
        proxy.frozen.set()
        start = time.monotonic()
        future = sandbox.submit(OK, LIMITS)
        sandbox._restart_for_s = 4
        assert isinstance(outcomes([future], 60)[0], SandboxUnavailableError)
        assert time.monotonic() - start < 30
        closing = time.monotonic()
    assert time.monotonic() - closing < 20
    proxy.frozen.clear()
    wait_for(lambda: not daemon.containers(), 30)
