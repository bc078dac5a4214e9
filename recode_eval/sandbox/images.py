"""Docker images of the sandbox: found by content, or built without a network in the container.

Two layers of images: the libraries (expensive; `sandbox/Dockerfile`) and the same with the
supervisor (`sandbox/Dockerfile.supervisor`; a second). Both are tagged with the hash of what they
are made from, so an image is rebuilt exactly when something in it would be different.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.resources import resource_dir
from recode_eval.sandbox.base_images import BaseImage
from recode_eval.sandbox.buildlog import (
    BuildLog,
    StepError,
    alone_with_images,
    building_images,
    cache_dir,
    last_line,
    locked,
    temporary_dir,
)
from recode_eval.sandbox.daemon import cause_of
from recode_eval.sandbox.daemon import docker_client as docker_client
from recode_eval.sandbox.node import node_identity
from recode_eval.sandbox.npm_environments import copy_node
from recode_eval.sandbox.requirements import (
    PYTHONS,
    get_environment,
    has_environment,
)
from recode_eval.sandbox.sdists import find_links
from recode_eval.sandbox.wheelhouse import Target, download

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import docker

    from recode_eval.sandbox.requirements import Environment

SUPERVISOR_NEEDS = (3, 11)
"""The oldest Python that the supervisor runs on; images with an older one get a copy of another."""
REPOSITORY = "recode-eval-sandbox"
LIBRARIES_REPOSITORY = "recode-eval-libraries"
LABEL = "recode-eval.environment"
"""Every image made here carries this label; nothing without it is ever removed."""
STAGE_LABEL = "recode-eval.stage=build"
_CONFLICT = 409
_TRIES = 3
"""Builds of an image whose parts somebody else removes."""
_LOST = re.compile(
    r"no such image|image .* not found|unknown parent image|failed to get digest sha256:|"
    rf"(pull access denied|manifest).*{LIBRARIES_REPOSITORY}",
    re.I,
)
_ON_OWN_PYTHON = "Dockerfile.supervisor"
_WITH_PYTHON = "Dockerfile.supervisor-python"
_LIBRARIES_FILE = "Dockerfile"
_NODE_FILE = "Dockerfile.node"
_BUNDLER = "bundle_python.py"
_RECIPE = "recode-eval.recipe"
_BASE = "recode-eval.base"
_BASE_ID = "recode-eval.base-id"
_SUPERVISOR = "recode-eval.supervisor"
_PYTHON = "recode-eval.python"
_LIBRARIES = "recode-eval.libraries"
_NODE = "recode-eval.node"

IMAGE_PYTHON = "/opt/recode-eval/python/bin/python"
IMAGE_NODE = "/opt/recode-eval/node/bin/node"
IMAGE_ENVIRONMENT = "/opt/recode-eval/environment"
IMAGE_SUPERVISOR = "/opt/recode-eval/supervisor"
_BUNDLE = "/opt/recode-eval/supervisor-python"

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_DOCKERS_OWN = re.compile(r"\s*(Step \d+/\d+ :|--->|Removing intermediate|Removed intermediate)")

_PROBE = """
import json, os, platform, sys
try:
    import pip, venv
    pip_version = pip.__version__
except ImportError:
    pip_version = None
print(json.dumps({
    "python": platform.python_version(), "implementation": sys.implementation.name,
    "machine": platform.machine(), "libc": os.confstr("CS_GNU_LIBC_VERSION"), "pip": pip_version,
}))
"""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """An image that is ready to run. It has no entry point and sets no user: name both."""

    tag: str
    digest: str
    """The image's content id (`sha256:...`): covers libraries, base and supervisor."""
    python: str
    """Path of the interpreter in the image."""
    version: str
    """Its version, e.g. `3.11.2`."""
    libraries: Mapping[str, str]
    supervisor: str = IMAGE_SUPERVISOR
    """Folder in the image with the content of `sandbox/supervisor`."""
    supervisor_python: tuple[str, ...] = (IMAGE_PYTHON,)
    """The command line of the interpreter in the image that the supervisor runs on."""
    node: str = ""
    """The version of the Node at `IMAGE_NODE`, for programs of JavaScript; empty: it has none."""


def supervisor_files() -> dict[str, bytes]:
    """What goes into the supervisor's folder of the image: relative path -> content."""
    top = resource_dir("sandbox") / "supervisor"
    return {
        str(path.relative_to(top)): path.read_bytes()
        for path in sorted(p for p in top.rglob("*") if p.is_file())
        if "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def recipe_digest(environment: Environment) -> str:
    """SHA-256 (hex) of what decides the libraries in an image, apart from the base image."""
    if environment.npm is None:
        return _digest(environment.key, _recipe(_LIBRARIES_FILE))
    return _digest(environment.key, _recipe(_NODE_FILE), str(node_identity()))


def supervisor_digest(files: Mapping[str, bytes] | None = None) -> str:
    """SHA-256 (hex) of what decides the layer with the supervisor."""
    contents = supervisor_files() if files is None else files
    hashes = (f"{name}\0{hashlib.sha256(data).hexdigest()}" for name, data in contents.items())
    recipes = (_recipe(name) for name in (_ON_OWN_PYTHON, _WITH_PYTHON, _BUNDLER))
    return _digest(*recipes, *hashes)


def _recipe(name: str) -> str:
    return (resource_dir("sandbox") / name).read_text(encoding="utf-8")


def ensure_image(
    environment: Environment,
    *,
    base_image: str | None = None,
    log: Callable[[str], None] | None = None,
) -> ImageInfo:
    """Return the image of an environment, building it first if this content was never built.

    A finished image is found in milliseconds. Building takes about a minute for `mini`, a few
    minutes for `arena`. Safe to call from several processes: one builds, the others wait.

    Args:
        environment: the libraries.
        base_image: overrides `RECODE_EVAL_BASE_IMAGE` and the default.
        log: is told in a few words what takes time.

    Raises:
        SandboxUnavailableError: no Docker daemon answers.
        SandboxBuildError: the base image, a wheel or the build failed; names the cause and a fix.
    """
    tell = log or (lambda _message: None)
    client = docker_client(timeout_s=600)
    try:
        kind = BaseImage(environment.python, environment.toolchain)
        has_local = _image_id(client, kind.local) is not None
        base = kind.name(base_image, has_local=has_local)
        builder = _Builder(client, environment, base, tell)
        found = builder.existing()
        if found is not None:
            return found
        with locked(f"image-{environment.name}", tell):
            return builder.existing() or builder.build()
    finally:
        client.close()


class _Builder:
    """One environment on one base image."""

    def __init__(
        self,
        client: docker.DockerClient,
        environment: Environment,
        base: str,
        log: Callable[[str], None],
    ) -> None:
        self._client = client
        self._environment = environment
        self._base = base
        self._log = log
        self._folder = resource_dir("sandbox")
        self._recipe = recipe_digest(environment)
        self._files = supervisor_files()  # read once, so that hash and image cannot differ
        self._supervisor = supervisor_digest(self._files)

    def existing(self) -> ImageInfo | None:
        """The finished image, if it is there; needs the base image only if it still exists."""
        base_id = _image_id(self._client, self._base)
        labels = [LABEL, f"{_RECIPE}={self._recipe}", f"{_BASE}={self._base}"]
        labels.append(f"{_SUPERVISOR}={self._supervisor}")
        if base_id:
            labels.append(f"{_BASE_ID}={base_id}")
        images = self._client.images.list(name=REPOSITORY, filters={"label": labels})
        return self._info(images[0]) if images else None

    def build(self) -> ImageInfo:
        """Build what is missing; once more if somebody removed an image that the build needed.

        The lock on the image store keeps our own processes from that, but not other users of the
        daemon, who may prune it at any time.
        """
        slug = f"image-{self._environment.name}"
        with BuildLog(f"the image of {self._environment.name!r}", slug) as log:
            for _ in range(_TRIES - 1):
                try:
                    return self._build(log)
                except StepError as error:
                    if not _LOST.search(f"{error.cause}\n{error.output}"):
                        raise
                    self._log(f"an image vanished during the build ({error.cause}); once more")
            return self._build(log)

    def _build(self, log: BuildLog) -> ImageInfo:
        base_id = _image_id(self._client, self._base) or self._pull(log, self._base)
        key = _digest(self._recipe, base_id)
        libraries = f"{LIBRARIES_REPOSITORY}:{self._environment.name}-{key[:12]}"
        if _image_id(self._client, libraries) is None:
            self._build_libraries(libraries, base_id, log)
        key = _digest(key, self._supervisor)
        tag = f"{REPOSITORY}:{self._environment.name}-{key[:12]}"
        self._log(f"building the image {tag}")
        with temporary_dir(cache_dir("tmp")) as context:
            for name, content in self._files.items():
                (context / "supervisor" / name).parent.mkdir(parents=True, exist_ok=True)
                (context / "supervisor" / name).write_bytes(content)
            (context / "supervisor").mkdir(exist_ok=True)
            labels = {_SUPERVISOR: self._supervisor}
            dockerfile, arguments = _ON_OWN_PYTHON, {"LIBRARIES": libraries}
            if _too_old(self._image(libraries).labels[_PYTHON]):
                dockerfile = _WITH_PYTHON
                arguments["SUPERVISOR_BASE"] = self._supervisor_base(log)
                shutil.copyfile(self._folder / _BUNDLER, context / _BUNDLER)
            self._docker_build(context, dockerfile, tag, arguments, labels, log)
        return self._info(self._image(tag))

    def _image(self, tag: str) -> Any:
        """Return an image that was just built; raises `StepError` if it is gone again."""
        from docker.errors import ImageNotFound

        try:
            return self._client.images.get(tag)
        except ImageNotFound as error:
            raise StepError(f"No such image: {tag}", "") from error

    def _supervisor_base(self, log: BuildLog) -> str:
        """An image with a Python that the supervisor runs on."""
        kind = BaseImage()
        base = kind.name(has_local=_image_id(self._client, kind.local) is not None)
        if _image_id(self._client, base) is None:
            self._pull(log, base)
        return base

    def _build_libraries(self, tag: str, base_id: str, log: BuildLog) -> None:
        target, version = self._probe(log)
        self._require_python(target.python, log)
        wanted = self._environment
        pins = wanted.pins if wanted.npm else wanted.pins_for(target.python)
        with temporary_dir(cache_dir("tmp")) as context:
            if self._environment.npm is None:
                self._log(f"downloading the {len(pins)} libraries of {self._environment.name!r}")
                download(pins, target, context / "wheels", log, find_links(pins))
                lines = [pin.requirement + "\n" for pin in pins]
                (context / "requirements.txt").write_text("".join(lines), encoding="utf-8")
                (context / "check.py").write_text(self._environment.check, encoding="utf-8")
                dockerfile, node = _LIBRARIES_FILE, ""
            else:
                dockerfile, node = _NODE_FILE, copy_node(self._environment, context, self._log)
            self._log(f"building the image {tag} on {self._base}")
            labels = {
                _NODE: node,
                LABEL: self._environment.name,
                _RECIPE: self._recipe,
                _BASE: self._base,
                _BASE_ID: base_id,
                _PYTHON: version,
                _LIBRARIES: json.dumps({pin.name: pin.version for pin in pins}),
            }
            self._docker_build(context, dockerfile, tag, {"BASE_IMAGE": self._base}, labels, log)
        # The first stage holds every wheel; no image refers to it any more.
        prune_stages(self._client)

    def _require_python(self, python: tuple[int, int], log: BuildLog) -> None:
        wanted = self._environment.python
        if wanted is not None and wanted != python:
            need = ".".join(map(str, wanted))
            raise log.error(
                f"its libraries are for Python {need}, and the base image {self._base} has "
                + ".".join(map(str, python)),
                fix=f"choose a base image with Python {need} (--base-image, "
                f"{BaseImage(wanted).variable})",
            )

    def _docker_build(
        self,
        context: Path,
        dockerfile: str,
        tag: str,
        arguments: dict[str, str],
        labels: dict[str, str],
        log: BuildLog,
    ) -> None:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        shutil.copyfile(self._folder / dockerfile, context / dockerfile)
        output: list[str] = []
        try:
            with building_images():
                # The low-level call: the other one keeps quiet until the end.
                events = self._client.api.build(
                    path=str(context),
                    dockerfile=dockerfile,
                    tag=tag,
                    buildargs=arguments,
                    labels=labels,
                    network_mode="none",
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
                for event in events:
                    text = str(event.get("stream") or event.get("error") or "")
                    if text.strip():
                        log.write(text)
                        output.append(text)
                    if "error" in event:
                        raise StepError(_build_cause(output), "".join(output))
        except (DockerException, RequestException) as error:
            raise StepError(cause_of(error), "".join(output)) from error

    def _probe(self, log: BuildLog) -> tuple[Target, str]:
        """Ask the base image which wheels it can run."""
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        try:
            raw = self._run_python(_PROBE)
            facts = json.loads(raw)
            log.write(f"base image {self._base}: {facts}")
        except (DockerException, RequestException, ValueError) as error:
            raise log.error(
                f"python3 does not run in the base image {self._base}: {cause_of(error)}",
                fix="choose a base image with python3, pip and venv",
            ) from error
        python = tuple(int(part) for part in str(facts["python"]).split(".")[:2])
        libc = str(facts["libc"] or "").removeprefix("glibc ").split(".")
        if facts["implementation"] != "cpython" or python < PYTHONS[0] or len(libc) < 2:
            raise log.error(
                f"the base image {self._base} has {facts['implementation']} {facts['python']} on "
                f"{facts['libc'] or 'no glibc'}",
                fix=f"choose one with CPython {'.'.join(map(str, PYTHONS[0]))} or newer on "
                "glibc (Debian, Ubuntu; not Alpine)",
            )
        if not facts["pip"]:
            raise log.error(
                f"the base image {self._base} has no pip or no venv",
                fix="install python3-pip and python3-venv in it, or choose another",
            )
        glibc = (int(libc[0]), int(libc[1]))
        target = Target((python[0], python[1]), str(facts["machine"]), glibc)
        return target, str(facts["python"])

    def _run_python(self, code: str) -> bytes:
        """What the base image's own Python prints."""
        # Not `containers.run(remove=True)`: if the start fails, the container remains.
        container = self._client.containers.create(
            self._base, ["python3", "-c", code], entrypoint=[], network_mode="none"
        )
        try:
            container.start()
            if container.wait(timeout=120)["StatusCode"] != 0:
                raise ValueError(container.logs(stdout=False).decode(errors="replace"))
            output: bytes = container.logs(stderr=False)
            return output
        finally:
            container.remove(force=True)

    def _pull(self, log: BuildLog, image: str) -> str:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        self._log(f"fetching the base image {image}")
        try:
            self._client.images.pull(*_reference(image))
        except (DockerException, RequestException) as error:
            own = image == self._base
            kind = BaseImage(self._environment.python, self._environment.toolchain)
            kind = kind if own else BaseImage()
            raise log.error(
                f"the base image {image} is missing and cannot be fetched: {cause_of(error)}",
                fix=f"without a registry, make one: `{kind.script(self._folder)}` (it is used "
                f"unless {kind.variable} or --base-image names another)",
            ) from error
        image_id = _image_id(self._client, image)
        if image_id is None:
            raise log.error(f"the base image {image} was fetched but is missing")
        return image_id

    def _info(self, image: Any) -> ImageInfo:
        labels: dict[str, str] = image.labels
        tag = next(tag for tag in image.tags if tag.startswith(f"{REPOSITORY}:"))
        return ImageInfo(
            tag=tag,
            digest=str(image.id),
            python=IMAGE_PYTHON,
            version=labels[_PYTHON],
            libraries=json.loads(labels[_LIBRARIES]),
            supervisor_python=_BUNDLED if _too_old(labels[_PYTHON]) else (IMAGE_PYTHON,),
            node=labels.get(_NODE, ""),
        )


_BUNDLED = (
    f"{_BUNDLE}/loader", "--library-path", f"{_BUNDLE}/shared", f"{_BUNDLE}/bin/python3",
)  # fmt: skip


def _too_old(version: str) -> bool:
    """Whether the supervisor cannot run on this Python."""
    return tuple(int(part) for part in version.split(".")[:2]) < SUPERVISOR_NEEDS


def is_current(client: docker.DockerClient, labels: Mapping[str, str]) -> bool:
    """True if `ensure_image` would use an image with these labels, or build on it."""
    name = labels.get(LABEL, "")
    if not has_environment(name) or labels.get(_RECIPE) != recipe_digest(get_environment(name)):
        return False
    if labels.get(_SUPERVISOR, supervisor_digest()) != supervisor_digest():
        return False
    base_id = _image_id(client, labels.get(_BASE, "unknown"))
    return base_id is None or base_id == labels.get(_BASE_ID)


def _image_id(client: docker.DockerClient, name: str) -> str | None:
    from docker.errors import ImageNotFound

    try:
        return str(client.images.get(name).id)
    except ImageNotFound:
        return None


def _reference(name: str) -> tuple[str, str | None]:
    """Repository and tag (without a tag, Docker would fetch every tag there is)."""
    if "@" in name:
        return name, None
    repository, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        return repository, tag
    return name, "latest"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0\0".join(parts).encode()).hexdigest()


def _build_cause(output: list[str]) -> str:
    """What the failed command printed; Docker's own last line only says that it failed."""
    text = _ESCAPES.sub("", "".join(output[:-1]))
    lines = [line for line in text.splitlines() if not _DOCKERS_OWN.match(line)]
    return last_line("\n".join(lines)) or last_line("".join(output))


def prune_stages(client: docker.DockerClient) -> None:
    """Remove what builds of images left behind, unless another build goes on.

    The first stage of a build has no name until the second copies from it: removed in between, the
    build fails ("COPY --from: No such image"). Whoever ends last removes what all left.
    """
    from docker.errors import APIError

    with alone_with_images() as alone:
        if not alone:
            return
        try:
            client.images.prune(filters={"dangling": True, "label": STAGE_LABEL})
        except APIError as error:
            if error.status_code != _CONFLICT:  # Another prune is under way, and does the same.
                raise
