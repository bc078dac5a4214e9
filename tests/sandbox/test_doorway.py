"""The socket past Docker's daemon: for one caller, for a moment, and never needed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docker import DockerClient

from recode_eval.sandbox import Limits, Program, Test, docker
from recode_eval.sandbox.doorway import INSIDE, Doorway
from recode_eval.sandbox.environments import ensure_image, get_environment
from recode_eval.sandbox.local import sweep_work_folders
from recode_eval.sandbox.pool import Pool

if TYPE_CHECKING:
    from recode_eval.sandbox import Execution
    from recode_eval.sandbox.environments import ImageInfo

LOOK = Program(
    "",
    "import os",
    (Test("t", f"print(os.listdir('{INSIDE}') if os.path.exists('{INSIDE}') else None)"),),
)
LIMITS = Limits(cpu_s=5, wall_s=20)


@pytest.fixture(autouse=True)
def folder(public_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sockets of this test are, and nothing else."""
    monkeypatch.setattr(tempfile, "tempdir", str(public_folder))
    return public_folder


@pytest.fixture(scope="module")
def image() -> ImageInfo:
    return ensure_image(get_environment("mini"))


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> list[docker.ContainerLink]:
    """The links that the test's sandboxes make."""
    made: list[docker.ContainerLink] = []
    initialise = docker.ContainerLink.__init__

    def noted(self: docker.ContainerLink, *arguments: object) -> None:
        made.append(self)
        initialise(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(docker.ContainerLink, "__init__", noted)
    return made


def open_pool(image: ImageInfo) -> Pool:
    return Pool(docker.DockerLauncher(image), workers=1, isolation="program")


def run(image: ImageInfo, program: Program) -> Execution:
    with open_pool(image) as pool:
        return pool.submit(program, LIMITS).result(60)


def call(doorway: Doorway) -> socket.socket:
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(str(doorway.shared / Path(doorway.inside).name))
    return caller


def test_one_caller_and_the_door_is_closed(folder: Path) -> None:
    doorway = Doorway()
    assert doorway.accept() is None
    with call(doorway) as caller, doorway.accept() as accepted:  # type: ignore[union-attr]
        assert list(folder.iterdir()) == []
        assert doorway.fileno() == -1
        caller.sendall(b"x")
        assert accepted.recv(9) == b"x"
        assert not accepted.getblocking()
    assert doorway.accept() is None
    doorway.close()


def test_other_users_cannot_come_near(folder: Path) -> None:
    """The socket itself must be open to any user: that of the container may be any number."""
    before = os.umask(0o077)
    try:
        doorway = Doorway()
    finally:
        os.umask(before)
    (private,) = folder.iterdir()
    assert private.stat().st_mode & 0o777 == 0o700
    assert doorway.shared.stat().st_mode & 0o777 == 0o755
    assert [path.stat().st_mode & 0o777 for path in doorway.shared.iterdir()] == [0o666]
    doorway.close()
    assert list(folder.iterdir()) == []


def test_a_folder_whose_name_is_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's path has 107 characters at most: there is no socket then, and nothing is left."""
    deep = folder / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with pytest.raises(OSError, match="too long"):
        Doorway()
    assert list(deep.iterdir()) == []


def test_what_a_killed_evaluator_left_is_swept(folder: Path) -> None:
    code = (
        "import os, tempfile; from recode_eval.sandbox.doorway import Doorway; "
        f"tempfile.tempdir = {str(folder)!r}; kept = Doorway(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert len(list(folder.iterdir())) == 1
    sweep_work_folders()
    assert list(folder.iterdir()) == []


@pytest.mark.docker
def test_a_worker_is_spoken_to_directly(
    image: ImageInfo, folder: Path, links: list[docker.ContainerLink]
) -> None:
    """Its container sees an empty folder then, and nothing of it is left on this machine."""
    with open_pool(image) as pool:
        assert list(folder.iterdir()) == []
        execution = pool.submit(LOOK, LIMITS).result(60)
        assert execution.output.strip() == "[]"
        assert links[0]._caller is not None
        write = Program("", f"open('{INSIDE}/x', 'w')", (Test("t", "pass"),))
        execution = pool.submit(write, LIMITS).result(60)
        assert "No such file" in execution.verdicts[0].detail  # a removed folder takes none
    assert list(folder.iterdir()) == []


@pytest.mark.docker
@pytest.mark.parametrize("case", ["not seen", "nobody there"])
def test_a_worker_works_without_it(
    case: str,
    image: ImageInfo,
    folder: Path,
    links: list[docker.ContainerLink],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A daemon with other folders than this process; one that lets no socket through."""

    def made() -> Doorway:
        doorway = Doorway()
        if case == "not seen":
            doorway.shared = folder / "missing"
        else:
            (doorway.shared / Path(doorway.inside).name).unlink()
        return doorway

    monkeypatch.setattr(docker, "Doorway", made)
    assert run(image, LOOK).output.strip() == ("None" if case == "not seen" else "[]")
    assert [link._caller for link in links] == [None]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "here"),
    [("unix:///run/docker.sock", True), ("tcp://127.0.0.1:2375", False)],
)
def test_only_a_daemon_of_this_machine_has_one(address: str, here: bool) -> None:
    """A remote one would make the folder anew, on its machine."""
    client = DockerClient(base_url=address, version="1.41")
    doorway = docker._doorway(client)
    assert (doorway is not None) is here
    if doorway is not None:
        doorway.close()
    client.close()
