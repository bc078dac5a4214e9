"""Nothing private is published: a run made with paths, users, hosts and secrets, and a property."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_runs import make_run

from recode_eval.leaderboard.publishing import looks_secret, public, public_command
from recode_eval.leaderboard.site import build

PRIVATE = (
    "/home/ada", "ada@", "hunter2", "sk-abcdefghijklmnop1234", "gpu7.internal", "10.1.2.3",
    "/mnt/secret-project", "C:\\Users\\ada", "hf_abcdefghijklmnop1234",
)  # fmt: skip


def test_a_run_made_with_private_words_publishes_none(tmp_path: Path) -> None:
    """Pages held absolute paths, the server's address and whole command lines with keys."""
    run = make_run(
        tmp_path / "runs", "model", 0.5, n=1,
        identity={
            "path": "/home/ada/models/final", "base_url": "http://ada@gpu7.internal:8000/v1?key=1",
            "adapter": "C:\\Users\\ada\\adapter", "other": "http://10.1.2.3:8000/v1",
        },
    )  # fmt: skip
    manifest = json.loads((run / "manifest.json").read_text())
    results = json.loads((run / "results.json").read_text())
    command = [
        "/home/ada/.venv/bin/recode-eval", "--model", "/mnt/secret-project/final",
        "--base-url", "http://ada:hunter2@gpu7.internal:8000/v1", "--api-key", "hunter2",
        "--request", "api_key=hunter2", "--engine-arg=token=hunter2", "--header", "x",
        "sk-abcdefghijklmnop1234", "hf_abcdefghijklmnop1234",
    ]  # fmt: skip
    for content in (manifest, results):
        content["invocations"][-1]["command"] = command
    results["task"]["source"] = "/mnt/secret-project/rows.jsonl"
    (run / "manifest.json").write_text(json.dumps(manifest))
    (run / "results.json").write_text(json.dumps(results))
    broken = make_run(tmp_path / "runs", "broken", 0.5, n=1)
    (broken / "results.json").write_text("{")
    built = build([tmp_path / "runs"], tmp_path / "site")
    assert built.runs == 1
    found = [
        (file.relative_to(tmp_path / "site").as_posix(), word)
        for file in (tmp_path / "site").rglob("*")
        if file.is_file()
        for word in (*PRIVATE, str(tmp_path))
        if word in file.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []
    page = next((tmp_path / "site" / "models").glob("*.html")).read_text()
    assert "recode-eval --model …/final --base-url http://(private)/v1 --api-key ***" in page


@pytest.mark.parametrize(
    "text",
    [
        "hf-internal-testing/tiny-random-LlamaForCausalLM", "skt-kogpt-base-v-large",
        "pd.read_csv(f, skipinitialspace=True)", "decode(x, skip_special_tokens=True)",
        "pkg_resources_and_more", "hf_hub_download_file",
    ],
)  # fmt: skip
def test_names_that_begin_like_a_token_are_none(text: str) -> None:
    """`submit` refused runs of hf-internal-testing, and took pandas' skipinitialspace for a key."""
    assert public(text) == text
    assert not looks_secret(text)


@pytest.mark.parametrize(
    "token",
    [
        "sk-proj-abc123def456ghi789", "sk_live_abc123def456", "ASIAIOSFODNN7EXAMPLE",
        "AKIAIOSFODNN7EXAMPLE", "AIza" + "Sy1" * 12, "r8_" + "a1" * 17, "gsk_" + "a1" * 20,
        "ghp_" + "a1" * 18, "github_pat_" + "a1_" * 12, "glpat-" + "a-1" * 7, "xoxb-" + "1-2a" * 6,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN",
    ],
)  # fmt: skip
def test_tokens_of_known_services_are_masked(token: str) -> None:
    """Google's, Groq's, Replicate's, temporary AWS keys and JSON Web Tokens were published."""
    assert public(f"Bearer {token}, then") == "Bearer ***, then"
    assert looks_secret(f"key = '{token}'")


def test_search_engines_are_asked_not_to_list_a_site(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "model", 0.5, n=1)
    build([tmp_path / "runs"], tmp_path / "site")
    assert "Disallow: /" in (tmp_path / "site" / "robots.txt").read_text()
    assert 'content="noindex"' in (tmp_path / "site" / "index.html").read_text()
    build([tmp_path / "runs"], tmp_path / "site", indexed=True)
    assert not (tmp_path / "site" / "robots.txt").exists()
    assert "noindex" not in (tmp_path / "site" / "index.html").read_text()


NAMES = st.from_regex(r"[A-Za-z0-9_.-]{1,12}", fullmatch=True).filter(lambda x: x.strip("."))


@given(st.lists(NAMES, min_size=2, max_size=5), st.sampled_from(["", " ", "'", '"', "=", "file ("]))
def test_of_a_path_only_the_last_part_is_left(parts: list[str], before: str) -> None:
    path = "/" + "/".join(parts)
    shown = public(f"{before}{path}")
    assert path not in shown
    assert shown.endswith(f"…/{parts[-1]}")


@given(st.text(max_size=60))
def test_any_text_is_taken(text: str) -> None:
    public(text)
    public_command([text, text])


@pytest.mark.parametrize(
    "text",
    ["pass/fail", "1/2", "n = 3/4", "a, b", "/v1", "temperature 0.8", "https://example.org/a/b.html",
     "Qwen/Qwen2.5-Coder-7B-Instruct", "--max-tokens 20", "x // y", "pandas 2.2.3",
     "types-requests==2.31.0.6", "a.b.c", "version 1.2.3.4.5"],
)  # fmt: skip
def test_what_is_public_stays(text: str) -> None:
    assert public(text) == text


@pytest.mark.parametrize(
    "text",
    ["10.0.0.7", "10.0.0.7:8000", "ada@10.0.0.7", "gpu01.corp", "gpu01.cluster.local:8000",
     "8.8.8.8:80", "127.0.0.1", "--host=192.168.1.5"],
)  # fmt: skip
def test_a_private_host_is_left_out_without_a_scheme_too(text: str) -> None:
    """Only those in addresses with a scheme were."""
    shown = public(f"served by {text}, twice")
    assert (
        shown == f"served by {text.partition('=')[0] + '=' if '=' in text else ''}(private), twice"
    )
