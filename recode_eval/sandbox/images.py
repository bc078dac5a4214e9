"""Docker images of the sandbox: found by content, or built without a network in the container.

Two layers of images: the libraries (expensive; `sandbox/Dockerfile`) and the same with the
supervisor (`sandbox/Dockerfile.supervisor`; a second). Both are tagged with the hash of what they
are made from, so an image is rebuilt exactly when something in it would be different.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recode_eval.resources import resource_dir
from recode_eval.sandbox.buildlog import (
    BuildLog,
    StepError,
    cache_dir,
    last_line,
    locked,
    temporary_dir,
)
from recode_eval.sandbox.daemon import cause_of
from recode_eval.sandbox.daemon import docker_client as docker_client
from recode_eval.sandbox.requirements import environment_names, get_environment
from recode_eval.sandbox.wheelhouse import Target, download

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import docker

    from recode_eval.sandbox.requirements import Environment

DEFAULT_BASE_IMAGE = "python:3.11-slim-bookworm"
LOCAL_BASE_IMAGE = "recode-eval-base:bookworm"
"""What `sandbox/base-image` makes where no registry can be reached."""
BASE_IMAGE_VARIABLE = "RECODE_EVAL_BASE_IMAGE"
REPOSITORY = "recode-eval-sandbox"
LIBRARIES_REPOSITORY = "recode-eval-libraries"
LABEL = "recode-eval.environment"
"""Every image made here carries this label; nothing without it is ever removed."""
STAGE_LABEL = "recode-eval.stage=build"
_RECIPE = "recode-eval.recipe"
_BASE = "recode-eval.base"
_BASE_ID = "recode-eval.base-id"
_SUPERVISOR = "recode-eval.supervisor"
_PYTHON = "recode-eval.python"
_LIBRARIES = "recode-eval.libraries"

IMAGE_PYTHON = "/opt/recode-eval/python/bin/python"
IMAGE_SUPERVISOR = "/opt/recode-eval/supervisor"

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
    """Folder in the image with the content of `sandbox/supervisor*`."""


def base_image_name(argument: str | None = None, *, has_local: bool = False) -> str:
    """The base image to build on.

    The argument, else the environment variable, else the one that `sandbox/base-image` makes if it
    was made here (`has_local`), else the official image of a registry.
    """
    named = argument or os.environ.get(BASE_IMAGE_VARIABLE)
    return named or (LOCAL_BASE_IMAGE if has_local else DEFAULT_BASE_IMAGE)


def supervisor_files() -> dict[str, bytes]:
    """What goes into the supervisor's folder of the image: relative path -> content."""
    files: dict[str, bytes] = {}
    for top in sorted(resource_dir("sandbox").glob("supervisor*")):
        inside = [top] if top.is_file() else sorted(p for p in top.rglob("*") if p.is_file())
        root = top.parent if top.is_file() else top
        files |= {
            str(path.relative_to(root)): path.read_bytes()
            for path in inside
            if "__pycache__" not in path.parts and path.suffix != ".pyc"
        }
    return files


def recipe_digest(environment: Environment) -> str:
    """SHA-256 (hex) of what decides the libraries in an image, apart from the base image."""
    dockerfile = resource_dir("sandbox") / "Dockerfile"
    return _digest(environment.key, dockerfile.read_text(encoding="utf-8"))


def supervisor_digest(files: Mapping[str, bytes] | None = None) -> str:
    """SHA-256 (hex) of what decides the layer with the supervisor."""
    dockerfile = resource_dir("sandbox") / "Dockerfile.supervisor"
    contents = supervisor_files() if files is None else files
    hashes = (f"{name}\0{hashlib.sha256(data).hexdigest()}" for name, data in contents.items())
    return _digest(dockerfile.read_text(encoding="utf-8"), *hashes)


def ensure_image(
    environment: Environment,
    *,
    base_image: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> ImageInfo:
    """Return the image of an environment, building it first if this content was never built.

    A finished image is found in milliseconds. Building takes about a minute for `mini`, a few
    minutes for `arena`. Safe to call from several processes: one builds, the others wait.

    Args:
        environment: the libraries.
        base_image: overrides `RECODE_EVAL_BASE_IMAGE` and the default.
        notify: is told in a few words what takes time.

    Raises:
        SandboxUnavailableError: no Docker daemon answers.
        SandboxBuildError: the base image, a wheel or the build failed; names the cause and a fix.
    """
    tell = notify or (lambda _message: None)
    client = docker_client(timeout_s=600)
    try:
        has_local = _image_id(client, LOCAL_BASE_IMAGE) is not None
        base = base_image_name(base_image, has_local=has_local)
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
        notify: Callable[[str], None],
    ) -> None:
        self._client = client
        self._environment = environment
        self._base = base
        self._notify = notify
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
        """Build what is missing."""
        slug = f"image-{self._environment.name}"
        with BuildLog(f"the image of {self._environment.name!r}", slug) as log:
            base_id = _image_id(self._client, self._base) or self._pull(log)
            key = _digest(self._recipe, base_id)
            libraries = f"{LIBRARIES_REPOSITORY}:{self._environment.name}-{key[:12]}"
            if _image_id(self._client, libraries) is None:
                self._build_libraries(libraries, base_id, log)
            key = _digest(key, self._supervisor)
            tag = f"{REPOSITORY}:{self._environment.name}-{key[:12]}"
            self._notify(f"building the image {tag}")
            with temporary_dir(cache_dir("tmp")) as context:
                for name, content in self._files.items():
                    (context / "supervisor" / name).parent.mkdir(parents=True, exist_ok=True)
                    (context / "supervisor" / name).write_bytes(content)
                (context / "supervisor").mkdir(exist_ok=True)
                labels = {_SUPERVISOR: self._supervisor}
                self._docker_build(
                    context, "Dockerfile.supervisor", tag, {"LIBRARIES": libraries}, labels, log
                )
            return self._info(self._client.images.get(tag))

    def _build_libraries(self, tag: str, base_id: str, log: BuildLog) -> None:
        target, version = self._probe(log)
        self._require_python(target.python, log)
        pins = self._environment.pins_for(target.python)
        with temporary_dir(cache_dir("tmp")) as context:
            self._notify(f"downloading the {len(pins)} libraries of {self._environment.name!r}")
            download(pins, target, context / "wheels", log)
            lines = [pin.requirement + "\n" for pin in pins]
            (context / "requirements.txt").write_text("".join(lines), encoding="utf-8")
            (context / "check.py").write_text(self._environment.check, encoding="utf-8")
            self._notify(f"building the image {tag} on {self._base}")
            labels = {
                LABEL: self._environment.name,
                _RECIPE: self._recipe,
                _BASE: self._base,
                _BASE_ID: base_id,
                _PYTHON: version,
                _LIBRARIES: json.dumps({pin.name: pin.version for pin in pins}),
            }
            self._docker_build(context, "Dockerfile", tag, {"BASE_IMAGE": self._base}, labels, log)
        # The first stage holds every wheel; no image refers to it any more.
        self._client.images.prune(filters={"dangling": True, "label": STAGE_LABEL})

    def _require_python(self, python: tuple[int, int], log: BuildLog) -> None:
        wanted = self._environment.python
        if wanted is not None and wanted != python:
            need = ".".join(map(str, wanted))
            raise log.error(
                f"its libraries are for Python {need}, and the base image {self._base} has "
                + ".".join(map(str, python)),
                fix=f"choose a base image with Python {need} (--base-image, {BASE_IMAGE_VARIABLE})",
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
        if facts["implementation"] != "cpython" or python < (3, 11) or len(libc) < 2:
            raise log.error(
                f"the base image {self._base} has {facts['implementation']} {facts['python']} on "
                f"{facts['libc'] or 'no glibc'}",
                fix="choose one with CPython 3.11 or newer on glibc (Debian, Ubuntu; not Alpine)",
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
        # Not `containers.run(remove=True)`: if the start fails, it leaves the container behind.
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

    def _pull(self, log: BuildLog) -> str:
        from docker.errors import DockerException
        from requests.exceptions import RequestException

        self._notify(f"fetching the base image {self._base}")
        try:
            self._client.images.pull(*_reference(self._base))
        except (DockerException, RequestException) as error:
            script = self._folder / "base-image"
            raise log.error(
                f"the base image {self._base} is not here and cannot be fetched: {cause_of(error)}",
                fix=f"without a registry, make one: `sh {script}` (it is used unless "
                f"{BASE_IMAGE_VARIABLE} or --base-image names another)",
            ) from error
        image_id = _image_id(self._client, self._base)
        if image_id is None:
            raise log.error(f"the base image {self._base} was fetched and is not there")
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
        )


def is_current(client: docker.DockerClient, labels: Mapping[str, str]) -> bool:
    """True if `ensure_image` would use an image with these labels, or build on it."""
    name = labels.get(LABEL, "")
    if name not in environment_names() or labels.get(_RECIPE) != recipe_digest(
        get_environment(name)
    ):
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
