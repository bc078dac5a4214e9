"""Find the user's Docker daemon, and summarise its errors in one line."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Any

from recode_eval.sandbox.base import SandboxUnavailableError

if TYPE_CHECKING:
    import docker


CONTACT_S = 20
"""A daemon that takes longer for the first word hangs; what follows may take `timeout_s`."""


def docker_client(timeout_s: float = 60) -> docker.DockerClient:
    """A client of the daemon that the `docker` command would talk to (DOCKER_HOST, contexts).

    Raises:
        SandboxUnavailableError: no daemon answers.
    """
    import docker
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    contact_s = int(min(timeout_s, CONTACT_S))
    try:
        if os.environ.get("DOCKER_HOST"):
            client = docker.from_env(timeout=contact_s)
        else:
            client = docker.DockerClient(base_url=_context_host(), timeout=contact_s)
        client.ping()
        client.api.timeout = int(timeout_s)
    except (DockerException, RequestException, OSError) as error:
        raise SandboxUnavailableError(
            f"no Docker daemon answers ({cause_of(error)}); install and start it (Debian/Ubuntu: "
            "apt-get install docker.io), or, if it runs, join the 'docker' group and log in "
            "again; or choose another --sandbox"
        ) from error
    return client


def _context_host() -> str | None:
    """The address in the docker command's current context; None means the usual socket."""
    from docker.context import ContextAPI

    with contextlib.suppress(Exception):  # a broken context file is not worth failing for
        context: Any = ContextAPI.get_current_context()
        if context is not None and context.Host:
            return str(context.Host)
    return None


def cause_of(error: BaseException) -> str:
    """One line of an exception of Docker's client, which nests them deeply."""
    explanation = getattr(error, "explanation", None) or getattr(error, "stderr", None)
    if isinstance(explanation, bytes):
        explanation = explanation.decode(errors="replace")
    lines = str(explanation or error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
