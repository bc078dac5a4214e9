"""Run by harbor: containers by the plain `docker` command, and an agent that writes an answer.

harbor's own Docker environment needs the plug-in for compose, and for a container without a network
an image from a registry. This one does the same with `docker build`, `run --network none`, `exec`
and `cp`; trial, agents, artifacts and verifier are harbor's own.
"""

import asyncio
import json
import os
import shlex
from pathlib import Path, PurePosixPath

from harbor.agents.base import BaseAgent
from harbor.environments.base import BaseEnvironment, ExecResult
from harbor.environments.capabilities import EnvironmentCapabilities
from harbor.models.task.config import NetworkMode
from image_builds import BUILD, lost_a_step


class PlainDocker(BaseEnvironment):
    """One container."""

    @staticmethod
    def type() -> str:
        return "plain-docker"

    @property
    def capabilities(self) -> EnvironmentCapabilities:
        return EnvironmentCapabilities(disable_internet=True)

    @property
    def _name(self) -> str:
        return f"recode-eval-harbor-{self.session_id.lower()}"

    def _validate_definition(self) -> None:
        if not (self.environment_dir / "Dockerfile").is_file():
            raise FileNotFoundError(self.environment_dir / "Dockerfile")

    async def start(self, force_build: bool) -> None:
        label = f"recode-eval-harbor={os.environ['RECODE_HARBOR_LABEL']}"
        words = [*BUILD, "--label", label, str(self.environment_dir)]
        built = await self._run(*words, check=False)
        if lost_a_step(built.stderr):
            built = await self._run(*words)
        assert built.return_code == 0, built.stderr
        assert self.network_policy.network_mode is NetworkMode.NO_NETWORK
        await self._docker(
            "run", "--detach", "--init", "--network", "none", "--name", self._name,
            "--label", label,
            built.stdout.strip(), "sleep", "100000",
        )  # fmt: skip
        await self.ensure_dirs(self._mount_targets(writable_only=True))

    async def stop(self, delete: bool) -> None:
        await self._docker("rm", "--force", "--volumes", self._name, check=False)

    async def upload_file(self, source_path, target_path) -> None:
        await self._docker("cp", str(source_path), f"{self._name}:{target_path}")

    async def upload_dir(self, source_dir, target_dir) -> None:
        await self.exec(f"mkdir -p {shlex.quote(target_dir)}")
        await self._docker("cp", f"{source_dir}/.", f"{self._name}:{target_dir}")

    async def download_file(self, source_path, target_path) -> None:
        await self._docker("cp", f"{self._name}:{source_path}", str(target_path))

    async def download_dir(self, source_dir, target_dir) -> None:
        Path(target_dir).mkdir(parents=True, exist_ok=True)
        await self._docker("cp", f"{self._name}:{source_dir}/.", str(target_dir))

    async def exec(self, command, cwd=None, env=None, timeout_sec=None, user=None) -> ExecResult:
        words = ["exec"]
        for key, value in (self._merge_env(env) or {}).items():
            words += ["--env", f"{key}={value}"]
        chosen = self._resolve_user(user)
        words += [] if chosen is None else ["--user", str(chosen)]
        words += [] if cwd is None else ["--workdir", cwd]
        waited = self._docker(*words, self._name, "bash", "-c", command, check=False)
        return await asyncio.wait_for(waited, timeout_sec)

    async def _docker(self, *words: str, check: bool = True) -> ExecResult:
        return await self._run("docker", *words, check=check)

    async def _run(self, *words: str, check: bool = True) -> ExecResult:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            out, err = await process.communicate()
        except BaseException:
            process.kill()
            raise
        done = ExecResult(stdout=out.decode(errors="replace"), stderr=err.decode(errors="replace"),
                          return_code=process.returncode or 0)  # fmt: skip
        if check and done.return_code != 0:
            raise RuntimeError(
                f"{shlex.join(words[:4])}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
            )
        return done


class Writer(BaseAgent):
    """Runs, as root, what a file says for its task (`RECODE_HARBOR_SCRIPTS`)."""

    @staticmethod
    def name() -> str:
        return "writer"

    def version(self) -> str:
        return "1"

    async def setup(self, environment) -> None:
        pass

    async def run(self, instruction, environment, context) -> None:
        scripts = json.loads(Path(os.environ["RECODE_HARBOR_SCRIPTS"]).read_text())
        script = next(text for mark, text in scripts.items() if mark in instruction)
        found = self.logs_dir / "script.sh"
        found.write_text(script)
        await environment.upload_file(found, str(PurePosixPath("/root/script.sh")))
        await environment.exec("bash /root/script.sh")
