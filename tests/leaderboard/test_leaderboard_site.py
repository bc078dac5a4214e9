from __future__ import annotations

import csv
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command_line import failed, recode_eval

from recode_eval.errors import DataError, ExitCode, UsageError
from recode_eval.leaderboard.boards import boards
from recode_eval.leaderboard.comparing import board_index
from recode_eval.leaderboard.loading import load_runs
from recode_eval.leaderboard.site import build

from hostile import CORPUS, MARK  # isort: skip
from made_runs import make_run  # isort: skip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    make_run(folder, "Strong-7B", 0.95)
    make_run(folder, "Middling-7B", 0.5)
    make_run(folder, "Weak-1.5B", 0.05)
    make_run(folder, "Strong-7B", 0.9, temperature=0.2)
    make_run(folder, "Broken-server", 0.9, unscored=20)
    return folder


@pytest.fixture(scope="module")
def site(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "site"
    build([runs], out)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows_of(site: Path) -> list[dict[str, object]]:
    return json.loads((site / "data" / "leaderboard.json").read_text())["rows"]


class Page(HTMLParser):
    """Elements, attributes, and text outside of data, of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.data = ""
        self._script: dict[str, str | None] | None = None
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = dict(attrs) if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._script is not None and self._script.get("type") == "application/json":
            self.data += data
        else:
            self.text.append(data)


def pages(site: Path) -> dict[str, Page]:
    return {
        path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
    }


def test_every_link_and_file_of_a_page_is_there(site: Path) -> None:
    for name, page in pages(site).items():
        for tag, attributes in page.tags:
            for key in ("href", "src"):
                target = attributes.get(key)
                if target is None or target.startswith(("https://", "data:,")):
                    continue
                path, _, anchor = target.partition("#")
                file = ((site / name).parent / path).resolve() if path else site / name
                assert file.is_file(), (name, tag, target)
                if anchor and "=" not in anchor:
                    assert f'id="{anchor}"' in file.read_text(encoding="utf-8"), (name, target)


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    """A link to a source is a link; everything that is fetched by itself is the site's own."""
    for page in pages(site).values():
        for tag, attributes in page.tags:
            assert "style" not in attributes
            assert not any(key.startswith("on") for key in attributes)
            if tag in {"script", "link", "img", "iframe", "object", "embed", "audio", "video"}:
                assert not (attributes.get("src") or attributes.get("href") or "").startswith(
                    ("http", "//")
                )
        policy = next(a["content"] for t, a in page.tags if "http-equiv" in a and t == "meta")
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_two_builds_are_byte_identical(runs: Path, site: Path, tmp_path: Path) -> None:
    build([runs], tmp_path / "again")
    assert files(tmp_path / "again") == files(site)


def test_the_order_of_folders_does_not_matter(runs: Path, site: Path, tmp_path: Path) -> None:
    """Runs collected one by one, in another order and place, make the same ranking."""
    folders = sorted((p.parent for p in runs.rglob("manifest.json")), reverse=True)
    build(folders, tmp_path / "again")
    assert (tmp_path / "again" / "index.html").read_bytes() == (site / "index.html").read_bytes()


def test_a_new_build_replaces_the_site_and_its_old_pages(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    build([runs], out)
    only = next(p.parent for p in runs.rglob("manifest.json") if "Weak" in str(p))
    build([only], out)
    assert len(list((out / "models").iterdir())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["site"]


def test_what_is_no_site_is_never_replaced(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(UsageError, match="not a leaderboard"):
        build([runs], tmp_path)
    with pytest.raises(UsageError, match="would replace the runs"):
        build([runs], runs)
    with pytest.raises(UsageError, match="would replace the runs"):
        build([runs], runs.parent)
    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_runs_under_other_conditions_are_on_another_board(site: Path) -> None:
    """The run at temperature 0.2 is alone on its board: first, whatever it scores."""
    found = [row for row in rows_of(site) if row["source"] == "measured"]
    boards = {row["board"] for row in found}
    assert len(boards) == 2
    alone = [b for b in boards if sum(row["board"] == b for row in found) == 1]
    assert len(alone) == 1
    assert next(row["rank"] for row in found if row["board"] == alone[0]) == "1"


def test_ranks_and_runs_with_unscored_samples(site: Path) -> None:
    """The largest board comes first, its runs from best to worst, those without a rank last."""
    board = rows_of(site)[0]["board"]
    found = [
        (row["model"], row["rank"], "unscored" in str(row["unranked"]))
        for row in rows_of(site)
        if row["board"] == board
    ]
    assert found == [
        ("Strong-7B", "1", False),
        ("Middling-7B", "2", False),
        ("Weak-1.5B", "3", False),
        ("Broken-server", "-", True),
    ]


def test_reported_rows_are_marked_and_never_ranked(site: Path, runs: Path, tmp_path: Path) -> None:
    reported = [row for row in rows_of(site) if row["source"] == "reported"]
    assert len(reported) == 18
    for row in reported:
        assert row["rank_best"] is None
        assert "arXiv" in str(row["citation"])
        assert row["run"] is None
    build([runs], tmp_path / "site", reported=False)
    assert all(row["source"] == "measured" for row in rows_of(tmp_path / "site"))


def test_csv_and_json_agree(site: Path) -> None:
    with (site / "data" / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows_of(site))
    for line, row in zip(table, rows_of(site), strict=True):
        estimate = row["metrics"].get("pass@1")  # type: ignore[attr-defined]
        assert line["model"] == row["model"]
        assert (float(line["pass@1"]) if line["pass@1"] else None) == (
            estimate["value"] if estimate else None
        )


def test_numbers_on_the_page_are_those_of_the_results(site: Path, runs: Path) -> None:
    results = json.loads(next(runs.glob("Weak*/*/results.json")).read_text())
    estimate = results["metrics"]["pass@1"]
    expected = f"{100 * estimate['value']:.1f}"
    interval = f"[{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"
    text = (site / "index.html").read_text()
    row = re.search(r"<tr[^>]*>(?:(?!</tr>).)*Weak-1\.5B.*?</tr>", text, re.DOTALL)
    assert row is not None
    assert f">{expected} <span" in row[0]
    assert interval in row[0]


def answers(site: Path, page: str, data: str) -> dict[str, dict[str, object]]:
    """Return per run the file of answers that a problem's page loads, read as JSON."""
    found = {}
    for key, name in json.loads(data)["files"].items():
        text = (site / page).with_name(name).read_text(encoding="utf-8")
        start = f'(window.answers ??= {{}})["{name}"] = '
        assert text.startswith(start)
        found[key] = json.loads(text.removeprefix(start).removesuffix(";\n"))
        assert key in found[key]["runs"]
    return found


def test_a_problem_page_has_prompt_reference_and_every_sample(site: Path) -> None:
    name, page = next((n, p) for n, p in pages(site).items() if n.startswith("problems/"))
    files = answers(site, name, page.data)
    assert len(files) == 5
    assert all(len(file["runs"][key]) == 4 for key, file in files.items())
    assert json.loads(page.data)["reference"] is not None
    text = "".join(page.text)
    assert "What was asked" in text
    assert "Known solution: reference" in text
    assert "not on the machine" not in text, name


def test_prompts_of_rows_that_are_not_bundled_need_the_very_rows(
    rows: Path, tmp_path: Path
) -> None:
    """Without them, and with others, the page says why; nothing is fetched."""
    make_run(tmp_path / "runs", "m", 0.5, n=1, task_name="arena", rows=rows)
    lines = rows.read_text().splitlines(keepends=True)
    (tmp_path / "fewer.jsonl").write_text("".join(lines[1:]))
    shown = {}
    for name, data in (
        ("none", {}),
        ("fewer", {"arena": str(tmp_path / "fewer.jsonl")}),
        ("gone", {"arena": str(tmp_path / "gone.jsonl")}),
        ("right", {"arena": str(rows)}),
    ):
        build([tmp_path / "runs"], tmp_path / name, data=data)
        found = pages(tmp_path / name)
        shown[name] = "".join(next(p.text for n, p in found.items() if n.startswith("problems/")))
    assert "--data arena=FILE" in shown["none"]
    assert "differ from the run's" in shown["fewer"]
    assert "Prompt, reference and tests are not shown" in shown["gone"]
    assert "Known solution: reference" in shown["right"]
    assert "not on the machine" not in shown["right"]
    for name in ("none", "fewer", "gone"):
        assert "Known solution" not in shown[name]


def test_a_template_in_a_runs_folder_is_never_executed(tmp_path: Path) -> None:
    """A stranger's template could run for ever, and its hash would fit: both are the stranger's."""
    folder = make_run(tmp_path / "runs", "m", 0.5, n=1)
    (folder / "prompt.jinja2").write_text("{% for i in range(99999) %}" * 9 + "{% endfor %}" * 9)
    assert build([tmp_path / "runs"], tmp_path / "site").runs == 1


def test_tables_have_captions_and_charts_words(site: Path) -> None:
    for name, page in pages(site).items():
        kinds = [tag for tag, _ in page.tags]
        assert kinds.count("table") == kinds.count("caption"), name
        charts = 0
        for tag, attributes in page.tags:
            if tag == "svg" and attributes.get("aria-hidden") != "true":  # a bar beside its number
                assert attributes["role"] == "img"
                charts += "aria-labelledby" in attributes
                assert attributes.get("aria-labelledby") or attributes["aria-label"]
        assert kinds.count("desc") == charts


def test_no_id_is_used_twice(site: Path) -> None:
    for name, page in pages(site).items():
        ids = [a["id"] for _, a in page.tags if "id" in a]
        assert len(ids) == len(set(ids)), name


# Hostile runs ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    for index, text in enumerate(CORPUS):
        make_run(folder, f"{text[:300]}{index}", 0.5, n=1, texts=CORPUS,
                 created=CORPUS[0] if index == 3 else "2026-01-01T00:00:00+00:00",
                 backend=text[:300], faulty=text[:300])  # fmt: skip
    out = tmp_path_factory.mktemp("hostile-site") / "site"
    built = build([folder], out)
    assert not built.broken
    return out


def test_hostile_text_makes_no_element_and_no_attribute(hostile: Path, site: Path) -> None:
    """Script tags, handlers, javascript: links in names, completions, test details, versions."""
    allowed = {tag for page in pages(site).values() for tag, _ in page.tags}
    for name, page in pages(hostile).items():
        for tag, attributes in page.tags:
            assert tag in allowed | {"ul", "li"}, (name, tag)
            assert not any(key.startswith("on") or key == "autofocus" for key in attributes), name
            for key in ("href", "src", "action"):
                assert not (attributes.get(key) or "").lower().startswith("javascript"), name
        scripts = [attributes for tag, attributes in page.tags if tag == "script"]
        data = [one for one in scripts if one.get("type") == "application/json"]
        assert len(data) <= 1, name
        for one in scripts:
            own = re.fullmatch(r"(\.\./)*static/[a-z_]+\.js", one.get("src") or "")
            assert one in data or own, (name, one)
    assert any(MARK in "".join(page.text) for page in pages(hostile).values())


def test_hostile_text_in_the_data_survives_as_text(hostile: Path) -> None:
    seen = set()
    for name, page in pages(hostile).items():
        if name.startswith("problems/"):
            for file in answers(hostile, name, page.data).values():
                seen.update(text.split("</think>\n<answer>")[0] for text in file["texts"])
    assert set(CORPUS[:9]) <= seen
    assert "\\x00\\x01\\x1b[31mred" in "".join(seen)


def test_pages_hold_no_control_characters_and_stay_small(hostile: Path) -> None:
    """A million characters on one line, NUL bytes, direction marks, lone surrogates."""
    for path in hostile.rglob("*"):
        if path.is_file() and path.suffix in {".html", ".json", ".csv", ".js"}:
            text = path.read_bytes().decode("utf-8")
            assert path.suffix != ".js" or path.parent.name == "static" or "<" not in text
            assert not re.search(
                r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text
            )
    assert (hostile / "index.html").stat().st_size < 1_000_000


def test_names_make_harmless_paths(hostile: Path) -> None:
    for path in hostile.rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,120}", path.name), path
        assert path.resolve().is_relative_to(hostile)


def test_no_cell_of_the_csv_is_a_formula(hostile: Path) -> None:
    with (hostile / "data" / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.reader(file):
            for cell in line:
                assert not cell.startswith(("=", "+", "@", "\t")), cell


# Broken runs -----------------------------------------------------------------------------------


def _break_results(folder: Path, edit) -> None:  # type: ignore[no-untyped-def]
    path = folder / "results.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def _more_passes(content: dict) -> None:  # type: ignore[type-arg]
    content["problems"][0]["passed"] = 0 if content["problems"][0]["passed"] else 1


BREAKS = {
    "no results": (lambda f: (f / "results.json").unlink(), "no results yet"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "no manifest.json"),
    "no scores": (lambda f: (f / "scores.jsonl").unlink(), "no scores.jsonl"),
    "half a file": (lambda f: (f / "results.json").write_text('{"a": '), "Cannot read"),
    "not an object": (lambda f: (f / "results.json").write_text("[]"), "object is expected"),
    "deep": (lambda f: (f / "results.json").write_text("[" * 100_000), "Cannot read"),
    "a damaged line": (
        lambda f: (f / "scores.jsonl").write_bytes(b"{}\n" + (f / "scores.jsonl").read_bytes()),
        "line 1 is damaged",
    ),
    "a missing field": (lambda f: _break_results(f, lambda c: c.pop("counts")), "schema"),
    "infinity": (
        lambda f: _break_results(f, lambda c: c["counts"].update(scored=float("inf"))),
        "not finite",
    ),
    "not a number": (
        lambda f: _break_results(f, lambda c: c["metrics"]["pass@1"].update(value=float("nan"))),
        "not finite",
    ),
    "a huge number": (
        lambda f: _break_results(f, lambda c: c["metrics"]["pass@1"].update(value=10**400)),
        "far too large",
    ),
    "invented passes": (lambda f: _break_results(f, _more_passes), "samples of"),
    "another identity": (
        lambda f: _break_results(f, lambda c: c["identity"].update(data="0" * 64)),
        "does not match `identity`",
    ),
    "another model's file": (
        lambda f: _break_results(f, lambda c: c["sampling"].update(temperature=0.1)),
        "sampling",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BREAKS)
def test_a_corrupt_run_is_named_and_left_out(name: str, tmp_path: Path) -> None:
    damage, expected = BREAKS[name]
    make_run(tmp_path / "runs", "good", 0.5, n=1)
    bad = make_run(tmp_path / "runs", "bad", 0.5, n=1)
    damage(bad)
    built = build([tmp_path / "runs"], tmp_path / "site")
    assert built.runs == 1
    [broken] = built.broken
    assert broken.unfinished == (name == "no results")
    assert broken.where.startswith("bad/")
    assert expected in broken.reason
    page = "".join(Page((tmp_path / "site" / "index.html").read_text()).text)
    assert broken.where in page
    assert str(tmp_path) not in page


@pytest.mark.parametrize("name", ["results.json", "manifest.json", "scores.jsonl"])
def test_links_and_pipes_of_a_stranger_are_not_followed(name: str, tmp_path: Path) -> None:
    """A link could put any file of the machine on the site, a pipe would wait for ever."""
    make_run(tmp_path / "runs", "good", 0.5, n=1)
    linked = make_run(tmp_path / "runs", "linked", 0.5, n=1)
    piped = make_run(tmp_path / "runs", "piped", 0.5, n=1)
    (linked / name).rename(tmp_path / name)
    (linked / name).symlink_to(tmp_path / name)
    (piped / name).unlink()
    os.mkfifo(piped / name)
    built = build([tmp_path / "runs"], tmp_path / "site")
    assert built.runs == 1
    assert [b.reason for b in built.broken] == [f"{name} is not a plain file."] * 2


def test_the_same_run_twice_counts_once(tmp_path: Path) -> None:
    """A copied folder would compare a model with itself and change everyone's ranks."""
    folder = make_run(tmp_path / "runs", "twin", 0.5, n=1)
    shutil.copytree(folder, tmp_path / "runs" / "z-copy")
    built = build([tmp_path / "runs"], tmp_path / "site")
    assert built.runs == 1
    assert "a copy of the run twin" in built.broken[0].reason
    page = "".join(Page((tmp_path / "site" / "index.html").read_text()).text)
    assert "a copy of the run twin" in page
    assert str(tmp_path) not in page


def test_copies_are_named_by_full_paths(tmp_path: Path) -> None:
    """Two folders of runs gave `m/RUN: a copy of the run m/RUN`, which named neither of them."""
    folder = make_run(tmp_path / "one", "twin", 0.5, n=1)
    copy = tmp_path / "two" / folder.relative_to(tmp_path / "one")
    shutil.copytree(folder, copy)
    pack = tmp_path / "packs" / "twin.tar.zst"
    pack.parent.mkdir()
    assert recode_eval("pack", str(folder), "--out", str(pack)).returncode == ExitCode.OK
    roots = [str(tmp_path / "one"), str(tmp_path / "two"), str(pack.parent)]
    done = recode_eval("leaderboard", "build", *roots, "--out", str(tmp_path / "site"))
    assert done.returncode == ExitCode.DATA
    left_out = [line for line in done.stderr.splitlines() if line.startswith("left out: ")]
    assert sorted(left_out) == sorted(
        f"left out: {place}: a copy of the run {pack}, graded by the same rules"
        for place in (folder, copy)
    )


@pytest.mark.parametrize("order", [1, -1])
def test_two_gradings_of_the_same_answers_are_on_two_boards(order: int, tmp_path: Path) -> None:
    """One was left out as a copy, and the one that stayed was that in which a cheat passes."""
    cheat = {"n": 1, "texts": ["ctypes"]}
    folders = [
        make_run(tmp_path / isolation, "cheat", chance, isolation=isolation, **cheat)
        for isolation, chance in (("split", 0.0), ("program", 1.0))
    ]
    assert folders[0].name == folders[1].name
    problems = len(json.loads((folders[0] / "results.json").read_text())["problems"])
    built = build([tmp_path / "program", tmp_path / "split"][::order], tmp_path / "site")
    assert (built.runs, built.broken) == (2, ())
    rows = [row for row in rows_of(tmp_path / "site") if row["model"] == "cheat"]
    assert len({row["run"] for row in rows}) == len({row["board"] for row in rows}) == 2
    assert {str(row["isolation"]): row["suspicious_passed"] for row in rows} == {
        "program": problems,
        "split": 0,
    }
    found = pages(tmp_path / "site")
    for name, page in found.items():
        named = [attributes["id"] for _, attributes in page.tags if attributes.get("id")]
        assert len(named) == len(set(named)), name
    text = "".join(found[str(next(n for n in found if n.startswith("tasks/")))].text)
    one, two = [b["conditions"] for b in board_index(boards(load_runs([tmp_path])[0]))]
    assert {name for name in one | two if one.get(name) != two.get(name)} == {
        "isolation", "rules of grading",
    }  # fmt: skip
    assert "program: tests share one process with the answer" in text
    assert "split: tests run in another process than the answer" in text


def test_a_row_counts_unsplit_samples_and_suspicious_ones_that_pass(tmp_path: Path) -> None:
    """Both could have reached their tests, so that a reader must see how many there are."""
    make_run(
        tmp_path / "runs", "some", 1.0, n=2, isolation="split", unsplit=1, texts=["", "ctypes"]
    )
    build([tmp_path / "runs"], tmp_path / "site")
    [row] = [row for row in rows_of(tmp_path / "site") if row["source"] == "measured"]
    assert (row["unsplit"], row["isolation"]) == (1, "split")
    html = next((tmp_path / "site" / "tasks").glob("arena-mini*.html")).read_text()
    [table] = re.findall('<table id="r-.*?</table>', html, re.DOTALL)
    heads = [re.sub("<.*?>", "", cell) for cell in re.findall("<th scope=.col.*?</th>", table)]
    cells = [re.sub("<.*?>", "", cell) for cell in re.findall("<td.*?</td>", table, re.DOTALL)]
    shown = dict(zip(heads[1:], cells, strict=True))
    assert (shown["Unsplit"], shown["Suspicious passed"]) == ("1", str(row["suspicious_passed"]))


def test_no_sound_run_is_an_error_and_leaves_the_old_site(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs", "only", 0.5, n=1)
    build([tmp_path / "runs"], tmp_path / "site")
    before = files(tmp_path / "site")
    (folder / "results.json").write_text("{")
    with pytest.raises(DataError, match="None of the 1 runs is sound"):
        build([tmp_path / "runs"], tmp_path / "site")
    assert files(tmp_path / "site") == before


def test_the_commands_exit_code_says_that_a_run_was_left_out(tmp_path: Path) -> None:
    make_run(tmp_path / "runs", "good", 0.5, n=1)
    command = ("leaderboard", "build", str(tmp_path / "runs"), "--out", str(tmp_path / "site"))
    result = recode_eval(*command)
    assert result.returncode == ExitCode.OK, result.stderr
    assert result.stdout.strip() == str(tmp_path / "site" / "index.html")
    (make_run(tmp_path / "runs", "bad", 0.5, n=1) / "scores.jsonl").unlink()
    result = recode_eval(*command)
    assert result.returncode == ExitCode.DATA
    assert "left out: bad/" in result.stderr
    assert result.stdout.strip().endswith("index.html")


def test_a_folder_without_runs_is_wrong_usage(tmp_path: Path) -> None:
    result = recode_eval("leaderboard", "build", str(tmp_path), "--out", str(tmp_path / "site"))
    failed(result, ExitCode.USAGE, "No run in")
    result = recode_eval("leaderboard", "build", str(tmp_path / "none"))
    failed(result, ExitCode.USAGE, "is not a folder")
