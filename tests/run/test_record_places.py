"""Where `compare`, `gate` and `watch` find runs: packs, and the hub (a server of our own)."""

from __future__ import annotations

import errno
import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import failed, recode_eval
from stored_runs import store_run

from recode_eval import cli
from recode_eval.errors import ExitCode, is_disk_trouble
from recode_eval.models.hub import fetch_snapshot
from recode_eval.run import hub as hub_files
from recode_eval.run.archive import pack
from recode_eval.run.store import RESULTS

pytestmark = pytest.mark.slow

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("places")
    a = store_run(out, "a", lambda p, s: s < 2, n=4, problems=12)
    b = store_run(out, "b", lambda p, s: s < 2 + p % 3, n=4, problems=12)
    return a, b


@pytest.fixture(scope="module")
def packs(runs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    out = tmp_path_factory.mktemp("packs")
    for run, name in zip(runs, "ab", strict=True):
        pack(run, out / f"{name}.tar.zst")
    return out / "a.tar.zst", out / "b.tar.zst"


def compared(capsys: pytest.CaptureFixture[str], *places: object) -> list[dict]:
    assert cli.run(["compare", *map(str, places), "--json"]) == 0
    comparisons: list[dict] = json.loads(capsys.readouterr().out)["comparisons"]
    return comparisons


def test_a_pack_says_what_its_run_says(
    runs: tuple[Path, Path], packs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    [plain] = compared(capsys, *runs)
    [packed] = compared(capsys, *packs)
    for role, pack_file, run in zip(("baseline", "candidate"), packs, runs, strict=True):
        assert packed[role].pop("source") == str(pack_file)
        assert plain[role].pop("source") == str(run / RESULTS)
    assert packed == plain


def test_the_gate_takes_packs(
    packs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["gate", "--baseline", str(packs[0]), "--candidate", str(packs[1])]
    code = cli.run([*words, "--out", str(tmp_path / "gate"), "--json"])
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["verdict"] == "pass"
    assert code == verdict["exit_code"] == 0
    assert verdict["tasks"][0]["baseline"]["source"] == str(packs[0])


def test_a_bad_pack_is_named(packs: tuple[Path, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.tar.zst"
    bad.write_bytes(packs[0].read_bytes()[:-1])
    failed(recode_eval("compare", str(packs[1]), str(bad)), ExitCode.DATA, f"{bad} is not a pack")


def test_results_in_a_sound_pack_are_distrusted_too(
    runs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack's hashes are its maker's own; errors name the pack, not a temporary file."""
    from recode_eval.errors import DataError
    from recode_eval.run import archive
    from recode_eval.run.results_file import load_runs

    for name in archive.MEMBERS:
        (tmp_path / name).write_bytes((runs[0] / name).read_bytes())
    (tmp_path / RESULTS).write_text('{"schema_version": 1, "problems": [{}]}')
    monkeypatch.setattr(archive, "_check_whole", lambda run: None)
    pack(tmp_path, tmp_path / "evil.tar.zst")
    with pytest.raises(DataError, match=r"evil\.tar\.zst is damaged") as raised:
        load_runs([tmp_path / "evil.tar.zst"])
    assert "recode-eval-" not in str(raised.value)


class Hub(http.server.BaseHTTPRequestHandler):
    """One repository of a model, and one of data."""

    files: dict[str, bytes]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *arguments: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        repository, found, rest = self.path.lstrip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if not found or repository not in {"me/model", "datasets/me/rows"}:
            return self._send(404, b"", {"X-Error-Code": "RepoNotFound"}, with_body)
        if revision not in {"main", "v1", COMMIT}:
            return self._send(404, b"", {"X-Error-Code": "RevisionNotFound"}, with_body)
        if name not in self.files:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)
        tag = hashlib.sha256(self.files[name]).hexdigest()
        return self._send(200, self.files[name], {"ETag": f'"{tag}"'}, with_body)

    def _send(self, code: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
        self.send_response(code)
        for key, value in {**headers, "X-Repo-Commit": COMMIT}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture
def hub(
    runs: tuple[Path, Path], packs: tuple[Path, Path], tmp_path: Path
) -> Iterator[dict[str, str]]:
    pytest.importorskip("huggingface_hub", reason="needs pip install 'recode-eval[hub]'")
    files = {"evals/results.json": (runs[0] / RESULTS).read_bytes(),
             "evals/b.tar.zst": packs[1].read_bytes()}  # fmt: skip
    handler = type("FilledHub", (Hub,), {"files": files})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hub-home"),
        "HF_HUB_OFFLINE": "0",
    }
    server.shutdown()
    server.server_close()
    thread.join()


def test_runs_on_the_hub_and_in_its_cache(hub: dict[str, str], tmp_path: Path) -> None:
    places = "hub:me/model@v1/evals/results.json", "hub:datasets/me/rows/evals/b.tar.zst"
    result = recode_eval("compare", *places, "--json", env=hub)
    assert result.returncode == 0, result.stderr
    [comparison] = json.loads(result.stdout)["comparisons"]
    assert (comparison["baseline"]["source"], comparison["candidate"]["source"]) == places
    assert (comparison["baseline"]["model"], comparison["candidate"]["model"]) == ("a", "b")
    offline = {**hub, "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    again = recode_eval("compare", *places, "--json", env=offline)
    assert again.stdout == result.stdout
    words = ["--baseline", places[0], "--candidate", places[1], "--out", str(tmp_path / "gate")]
    assert recode_eval("gate", *words, env=offline).returncode == 0


@pytest.mark.parametrize(
    ("place", "code", "text"),
    [
        ("hub:me/other/results.json", ExitCode.USAGE, "no such repository"),
        ("hub:me/model@v9/evals/results.json", ExitCode.USAGE, "no revision v9"),
        ("hub:me/model/results.json", ExitCode.USAGE, "no file results.json"),
        ("hub:me/model", ExitCode.USAGE, "write hub:OWNER/NAME"),
        ("hub:me/model/../../x/results.json", ExitCode.USAGE, "write hub:OWNER/NAME"),
        ("hub:me/mo--del/results.json", ExitCode.USAGE, "hub:me/mo--del"),
    ],
)
def test_what_the_hub_does_not_have(
    hub: dict[str, str], place: str, code: ExitCode, text: str
) -> None:
    failed(recode_eval("compare", place, place, env=hub), code, text)


@pytest.mark.parametrize("offline", ["1", pytest.param("0", marks=pytest.mark.exhaustive)])
def test_no_hub(hub: dict[str, str], offline: str) -> None:
    """When it is not told that it is offline, the hub's client tries for 20 seconds."""
    env = {**hub, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": offline}
    place = "hub:me/model/evals/results.json"
    result = recode_eval("compare", place, place, env=env)
    failed(result, ExitCode.UNAVAILABLE, "cannot be reached", "Download it elsewhere")


@pytest.mark.parametrize(
    ("library_call", "ask"),
    [
        ("hf_hub_download", lambda: hub_files.fetch("hub:me/model/results.json")),
        ("snapshot_download", lambda: fetch_snapshot("me/model", None, "model")),
    ],
)
def test_a_full_disk_is_not_a_hub_out_of_reach(
    library_call: str, ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told as one, and people looked at their network."""
    hub_client = pytest.importorskip("huggingface_hub")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/cache/blob")

    monkeypatch.setattr(hub_client, library_call, full)
    with pytest.raises(OSError, match="No space left") as caught:
        ask()
    assert is_disk_trouble(caught.value)


def test_the_baseline_of_watch_may_be_a_pack(packs: tuple[Path, Path], tmp_path: Path) -> None:
    """Its reference is read at the start, by the same reader; there are no checkpoints here."""
    (tmp_path / "training").mkdir()
    words = ["watch", str(tmp_path / "training"), "--once", "--out", str(tmp_path / "watch")]
    result = recode_eval(
        *words, "--baseline", str(packs[0]), "--tasks", "arena-mini", "--model", "x"
    )
    failed(result, ExitCode.USAGE, "the baseline has no run of this task")
