"""Docker images: made without a network, keyed by content, fit for a read-only root."""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from recode_eval.resources import resource_dir
from recode_eval.sandbox import environments, images
from recode_eval.sandbox.base import SandboxBuildError, SandboxUnavailableError
from recode_eval.sandbox.base_images import BASE_IMAGE_VARIABLE, DEFAULT_BASE_IMAGE, BaseImage
from recode_eval.sandbox.daemon import docker_client
from recode_eval.sandbox.environments import ImageInfo, ensure_image, get_environment, prune
from recode_eval.sandbox.images import supervisor_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module")
def client() -> Iterator[DockerClient]:
    client = docker_client()
    yield client
    client.close()


@pytest.fixture(scope="module")
def mini() -> ImageInfo:
    return ensure_image(get_environment("mini"))


@pytest.fixture
def own_label(monkeypatch: pytest.MonkeyPatch) -> str:
    """Makes this test's images strangers to everybody else's, and theirs to it."""
    label = f"recode-eval.test-{uuid.uuid4().hex}"
    monkeypatch.setattr(images, "LABEL", label)
    monkeypatch.setattr(environments, "LABEL", label)
    return label


def in_image(client: DockerClient, info: ImageInfo, *command: str, user: str = "1000:1000") -> str:
    """What a command prints in a container as the sandbox would set it up."""
    output: bytes = client.containers.run(
        info.digest,
        list(command),
        remove=True,
        read_only=True,
        network_mode="none",
        user=user,
        cap_drop=["ALL"],
        tmpfs={"/tmp": "size=16m"},
    )
    return output.decode()


@pytest.mark.docker
def test_the_image_holds_the_pinned_libraries(client: DockerClient, mini: ImageInfo) -> None:
    code = (
        "import importlib.metadata as m, json, platform;"
        "found = {d.metadata['Name'].lower(): d.version for d in m.distributions()};"
        "print(json.dumps([platform.python_version(), found]))"
    )
    version, found = json.loads(in_image(client, mini, mini.python, "-I", "-c", code))
    assert version == mini.version
    assert found == dict(mini.libraries)


@pytest.mark.docker
def test_the_libraries_work_read_only_and_unprivileged(
    client: DockerClient, mini: ImageInfo
) -> None:
    code = (
        "import numpy, pandas, sympy; x = sympy.Symbol('x');"
        "print(numpy.linalg.det(numpy.eye(2)), pandas.Series([1, 2]).sum(), sympy.diff(x**2))"
    )
    assert in_image(client, mini, mini.python, "-I", "-c", code) == "1.0 3 2*x\n"


@pytest.mark.docker
def test_nothing_in_the_image_helps_a_candidate(client: DockerClient, mini: ImageInfo) -> None:
    """No set-uid program, no folder for everybody; a tmpfs on /tmp takes over the mode below it."""
    code = (
        r"find / -xdev \( -type f -perm /6000 -o -type d -perm -0002 \) 2>/dev/null; "
        "stat -c %a /tmp /work"
    )
    assert in_image(client, mini, "sh", "-c", code).split() == ["755", "755"]


@pytest.mark.docker
def test_no_wheel_is_left_and_everything_is_compiled(client: DockerClient, mini: ImageInfo) -> None:
    """Without .pyc files every start would compile the libraries again: the root is read-only."""
    code = """
import importlib.util, os, sysconfig
roots = ["/opt/recode-eval", sysconfig.get_path("stdlib")]
skipped = ("/test/", "/tests/", "/lib2to3/", "/site-packages/", "/dist-packages/")
for root in roots:
    for folder, _, files in os.walk(root):
        for name in files:
            path = os.path.join(folder, name)
            if name.endswith(".whl"):
                print("wheel", path)
            if not name.endswith(".py") or (root != roots[0] and any(s in path for s in skipped)):
                continue
            if not os.path.exists(importlib.util.cache_from_source(path)):
                try:
                    compile(open(path, "rb").read(), path, "exec")
                except SyntaxError:
                    continue
                print("not compiled", path)
"""
    assert in_image(client, mini, mini.python, "-I", "-W", "ignore", "-c", code) == ""


@pytest.mark.docker
def test_the_supervisor_is_part_of_the_image(client: DockerClient, mini: ImageInfo) -> None:
    code = (
        "import json, pathlib, sys; root = pathlib.Path(sys.argv[1]);"
        "print(json.dumps({str(p.relative_to(root)): p.read_bytes().hex()"
        " for p in root.rglob('*') if p.is_file() and p.suffix != '.pyc'}))"
    )
    found = json.loads(in_image(client, mini, mini.python, "-I", "-c", code, mini.supervisor))
    assert found == {name: content.hex() for name, content in supervisor_files().items()}
    assert found


@pytest.mark.docker
def test_a_finished_image_is_found_at_once(mini: ImageInfo) -> None:
    messages: list[str] = []
    started = time.monotonic()
    assert ensure_image(get_environment("mini"), log=messages.append) == mini
    assert time.monotonic() - started < 20
    assert messages == []


@pytest.mark.docker
def test_another_supervisor_makes_another_digest(
    client: DockerClient, mini: ImageInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest in the results must cover the code that gave the verdicts."""
    files = supervisor_files() | {f"extra_{uuid.uuid4().hex}.py": b"pass\n"}
    monkeypatch.setattr(images, "supervisor_files", lambda: files)
    started = time.monotonic()
    other = ensure_image(get_environment("mini"))
    try:
        assert other.digest != mini.digest
        assert other.tag != mini.tag
        assert time.monotonic() - started < 60  # the libraries are not installed again
    finally:
        client.images.remove(other.tag)


@pytest.mark.docker
@pytest.mark.usefixtures("own_label")
def test_prune_removes_outdated_images_and_keeps_current_ones(
    client: DockerClient, mini: ImageInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    labels = client.images.get(mini.tag).labels
    mine = {name: value for name, value in labels.items() if name.startswith("recode-eval.")}

    def derive(tag: str, **changed: str) -> None:
        content = {**mine, **{f"recode-eval.{key}": value for key, value in changed.items()}}
        client.images.build(
            fileobj=io.BytesIO(f"FROM {mini.tag}\n".encode()),
            tag=tag,
            rm=True,
            labels={**content, images.LABEL: "mini"},
        )

    stem = f"recode-eval-sandbox:test-{uuid.uuid4().hex[:8]}"
    derive(f"{stem}-current")
    derive(f"{stem}-recipe", recipe="0" * 64)
    derive(f"{stem}-supervisor", supervisor="0" * 64)
    derive(f"{stem}-base", **{"base-id": "sha256:0"})
    try:
        assert {use.name for use in environments.environment_disk_use() if use.current} == {
            f"{stem}-current"
        }
        removed = {use.name for use in prune()}
        assert removed == {f"{stem}-recipe", f"{stem}-supervisor", f"{stem}-base"}
        assert {use.name for use in prune(everything=True)} == {f"{stem}-current"}
        assert client.images.get(mini.tag).id == mini.digest
    finally:
        for image in client.images.list(filters={"label": images.LABEL}):
            client.images.remove(image.id, force=True)


@pytest.mark.docker
def test_a_base_image_that_cannot_be_fetched_names_the_way_without_a_registry() -> None:
    name = "localhost:1/no-such-registry/python:3.11"
    with pytest.raises(SandboxBuildError) as caught:
        ensure_image(get_environment("mini"), base_image=name)
    assert name in str(caught.value)
    assert str(resource_dir("sandbox") / "base-image") in str(caught.value)
    assert BASE_IMAGE_VARIABLE in str(caught.value)


@pytest.mark.docker
def test_a_base_image_without_python_is_refused(client: DockerClient) -> None:
    empty = io.BytesIO()
    with tarfile.open(fileobj=empty, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("nothing"))
    name = f"recode-eval-test-{uuid.uuid4().hex[:8]}"
    client.api.import_image_from_data(empty.getvalue(), repository=name, tag="latest")
    try:
        with pytest.raises(SandboxBuildError, match="python3 does not run in the base image"):
            ensure_image(get_environment("mini"), base_image=f"{name}:latest")
        assert client.containers.list(all=True, filters={"ancestor": f"{name}:latest"}) == []
    finally:
        client.images.remove(f"{name}:latest")


@pytest.mark.docker
def test_a_failing_build_tells_why_and_leaves_no_image(client: DockerClient) -> None:
    """Docker's last line only says that a command returned 1; the cause is the line above it."""
    environment = replace(
        get_environment("mini"),
        key=uuid.uuid4().hex,
        pins=tuple(pin for pin in get_environment("mini").pins if pin.name == "six"),
        check="import six, no_such_library\n",
    )
    before = {image.id for image in client.images.list()}
    with pytest.raises(SandboxBuildError, match="No module named 'no_such_library'"):
        ensure_image(environment)
    tags = {tag for image in client.images.list() for tag in image.tags}
    assert {tag for tag in tags if environment.key[:12] in tag} == set()
    client.images.prune(filters={"dangling": True, "label": images.STAGE_LABEL})
    assert {image.id for image in client.images.list()} <= before


def test_no_daemon_is_an_error_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(SandboxUnavailableError, match=r"apt-get install docker\.io"):
        ensure_image(get_environment("mini"))


def test_the_argument_comes_before_the_variable_and_that_before_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    usual = BaseImage()
    monkeypatch.delenv(BASE_IMAGE_VARIABLE, raising=False)
    assert usual.name() == DEFAULT_BASE_IMAGE
    assert usual.name(has_local=True) == "recode-eval-base:bookworm"
    monkeypatch.setenv(BASE_IMAGE_VARIABLE, "mine:1")
    assert usual.name() == "mine:1"
    assert usual.name("other:2", has_local=True) == "other:2"


def test_another_python_has_another_base_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable that names an image with Python 3.11 must not be used for Python 3.9."""
    monkeypatch.setenv(BASE_IMAGE_VARIABLE, "mine:1")
    old = BaseImage((3, 9))
    assert BaseImage((3, 11)).name() == "mine:1"
    assert old.name() == "python:3.9-slim-bullseye"
    assert BaseImage((3, 10)).name() == "python:3.10-slim"
    assert old.name(has_local=True) == "recode-eval-base:bullseye"
    monkeypatch.setenv("RECODE_EVAL_BASE_IMAGE_PYTHON3_9", "mine:2")
    assert old.name(has_local=True) == "mine:2"
    assert old.name("other:2") == "other:2"


def test_a_compiler_has_a_base_image_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """No official image has both Python and rustc, so the message must say how to make one."""
    monkeypatch.setenv(BASE_IMAGE_VARIABLE, "mine:1")
    rust = BaseImage(toolchain=get_environment("rust").toolchain)
    assert rust.name() == "recode-eval-base:rust"
    script = rust.script(resource_dir("sandbox"))
    assert script.startswith("DEBIAN_PACKAGES='rustc-web gcc libc6-dev' sh ")
    assert script.endswith("/base-image recode-eval-base:rust")
    monkeypatch.setenv("RECODE_EVAL_BASE_IMAGE_RUST", "mine:3")
    assert rust.name() == "mine:3"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("python:3.11", ("python", "3.11")),
        ("python", ("python", "latest")),
        ("localhost:5000/python", ("localhost:5000/python", "latest")),
        ("localhost:5000/python:3.11", ("localhost:5000/python", "3.11")),
        ("python@sha256:00", ("python@sha256:00", None)),
    ],
)
def test_a_pull_never_asks_for_every_tag(name: str, parts: tuple[str, str | None]) -> None:
    assert images._reference(name) == parts
