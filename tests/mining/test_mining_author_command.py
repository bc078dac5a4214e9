"""`mine --author` from the command line, with a server that answers, refuses and goes away."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from local_wheels import make_archive, make_wheel, use_links

from recode_eval import cli

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
from protocol_server import ProtocolServer, answer, fail

pytest.importorskip("griffe")
pytest.importorskip("openai")

OLD = '''"""A library."""

def joined(words, glue="-"):
    """Join."""
    return glue.join(words)
'''
NEW = OLD.replace("joined", "linked")
OLD_PROGRAM = """import tinyjoin

def route(stops):
    if not stops:
        return "nowhere"
    return tinyjoin.joined(stops, " > ").upper()
"""
DRAFT = f"""### Description
route(stops) gives the stops of a journey in capitals, with an arrow between two; none: nowhere.
### Note
joined is called linked now; its arguments stayed the same.
### Old program
```python
{OLD_PROGRAM}```
### New program
```python
{OLD_PROGRAM.replace("joined", "linked")}```
### Tests
```python
def test_two():
    assert route(["Rome", "Paris"]) == "ROME > PARIS"

def test_one():
    assert route(["Oslo"]) == "OSLO"

def test_none():
    assert route([]) == "nowhere"
```
### Patterns
old: tinyjoin.joined
new: tinyjoin.linked
"""


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two releases of a library in a folder of wheels."""
    links = tmp_path / "links"
    links.mkdir()
    notes = "# Changes\n\n## 2.0\n\n- `joined` is removed; use `linked`.\n\n## 1.0\n\n- First.\n"
    for version, text in (("1.0", OLD), ("2.0", NEW)):
        make_wheel(links, "tinyjoin", version, {"tinyjoin/__init__.py": text})
        make_archive(links, "tinyjoin", version, {"CHANGES.md": notes})
    use_links(links, tmp_path / "cache", monkeypatch)
    return tmp_path / "mined"


def mined(folder: Path, server: ProtocolServer, *more: str) -> int:
    words = ["mine", "tinyjoin", "1.0", "2.0", "--out", str(folder), "--sandbox", "landlock"]
    words += ["--author", "tiny", "--base-url", server.url, "--max-retries", "0", "--quiet"]
    return cli.run([*words, *more])


@pytest.mark.slow
def test_a_served_model_writes_pairs_and_a_broken_off_call_goes_on(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ProtocolServer() as server:
        server.always = fail(500)
        assert mined(library, server) == 69
        server.always = lambda handler, body: answer(handler, body, text=DRAFT)
        capsys.readouterr()
        assert mined(library, server, "--json") == 0
        asked = len(server.requests)
        content = json.loads(capsys.readouterr().out)["authored"]
        assert content["kept"] == 1
        assert mined(library, server) == 0
        assert len(server.requests) == asked
    shown = "\n".join(message["content"] for message in server.requests[-1]["messages"])
    assert "tinyjoin.joined" in shown
    [row] = [json.loads(line) for line in (Path(content["folder"]) / "pairs.jsonl").open()]
    assert row["apis"] == ["tinyjoin.joined"]
    words = ["validate", "--tasks", "migration", "--data", f"migration={content['folder']}"]
    words[-1] += "/pairs.jsonl"
    assert cli.run([*words, "--sandbox", "landlock", "--quiet"]) == 0


@pytest.mark.parametrize(
    "words",
    [
        ["mine", "tinyjoin", "1.0", "2.0", "--limit", "3"],
        ["mine", "tinyjoin", "1.0", "2.0", "--attempts", "3"],
        ["mine", "tinyjoin", "1.0", "2.0", "--split", "train"],
        ["mine", "tinyjoin", "1.0", "2.0", "--base-url", "http://127.0.0.1:1/v1"],
        ["mine", "npm:tiny", "1.0.0", "2.0.0", "--author", "tiny"],
        ["mine", "tinyjoin", "1.0", "2.0", "--author", ""],
    ],
)
def test_what_cannot_be_right_is_refused_before_mining(
    words: list[str], library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([*words, "--out", str(library)]) == 2
    assert not library.exists()
    assert "--author" in capsys.readouterr().err
