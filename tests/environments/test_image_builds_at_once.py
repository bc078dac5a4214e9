"""Builds of images beside each other, in one store of images: none may lose what it needs."""

from __future__ import annotations

import multiprocessing
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from recode_eval.sandbox import images
from recode_eval.sandbox.base_images import BaseImage
from recode_eval.sandbox.buildlog import StepError, alone_with_images, building_images
from recode_eval.sandbox.daemon import docker_client
from recode_eval.sandbox.environments import ensure_image, get_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

    from recode_eval.sandbox.environments import Environment

pytestmark = [pytest.mark.alone, pytest.mark.docker]


@pytest.fixture
def client() -> Iterator[DockerClient]:
    client = docker_client()
    yield client
    client.close()


@pytest.fixture
def fresh(client: DockerClient) -> Iterator[list[Environment]]:
    """Yield two environments of one small library that nobody built before."""
    mini = get_environment("mini")
    made = [
        replace(
            mini,
            name=f"at-once-{uuid.uuid4().hex[:8]}",
            key=uuid.uuid4().hex,
            pins=tuple(pin for pin in mini.pins if pin.name == "six"),
            check=f"import six  # {uuid.uuid4().hex}\n",
        )
        for _ in range(2)
    ]
    yield made
    tags = [tag for image in client.images.list() for tag in image.tags]
    ours = [tag for tag in tags if any(one.name in tag for one in made)]
    for tag in sorted(ours, key=lambda tag: images.LIBRARIES_REPOSITORY in tag):
        client.images.remove(tag)


def _build(environment: Environment) -> str:
    return ensure_image(environment).tag


def test_two_processes_build_at_once(client: DockerClient, fresh: list[Environment]) -> None:
    """One ended and pruned the other's first stage: "COPY --from: No such image", unscored."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        tags = pool.map(_build, fresh)
    for tag, environment in zip(tags, fresh, strict=True):
        assert environment.name in tag
        assert client.images.get(tag).labels[images._LIBRARIES]


def test_nothing_is_pruned_while_another_build_goes_on(client: DockerClient) -> None:
    build = f"FROM {BaseImage().name(has_local=True)}\nLABEL {images.STAGE_LABEL}\n"
    build += f"LABEL recode-eval.test={uuid.uuid4().hex}\n"
    import io

    made, _ = client.images.build(fileobj=io.BytesIO(build.encode()))

    def is_there() -> bool:
        return images._image_id(client, str(made.id)) is not None

    with building_images(), building_images():
        images.prune_stages(client)
        assert is_there()
    images.prune_stages(client)
    assert not is_there()


def test_a_build_waits_for_a_prune_and_a_prune_for_no_build() -> None:
    with building_images(), alone_with_images() as alone:
        assert not alone
    with alone_with_images() as alone:
        assert alone


@pytest.mark.parametrize(
    "message",
    [
        "COPY failed: unable to find image: No such image: sha256:0123",
        "failed to set parent sha256:0123: unknown parent image ID sha256:0123",
        "failed to get digest sha256:0123: open imagedb/content/sha256/0123: no such file",
        f"pull access denied for {images.LIBRARIES_REPOSITORY}, repository does not exist",
    ],
)
def test_a_build_that_lost_an_image_starts_over(
    fresh: list[Environment], monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    """Another user of the daemon prunes images whenever they like."""
    inner, calls = images._Builder._docker_build, []

    def losing(self: images._Builder, *arguments: object) -> None:
        calls.append(arguments[1])
        if len(calls) == 1:
            raise StepError(message, message)
        inner(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(images._Builder, "_docker_build", losing)
    assert fresh[0].name in ensure_image(fresh[0]).tag
    assert calls == ["Dockerfile", "Dockerfile", "Dockerfile.supervisor"]
