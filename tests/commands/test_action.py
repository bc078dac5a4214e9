"""The GitHub Action: its steps, run with bash on real stored runs, and the examples for CI."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from action_runner import ACTION, ROOT, Job
from hypothesis import given
from hypothesis import strategies as st
from stored_runs import edit_results, store_run

pytestmark = pytest.mark.slow

VERDICTS = {"pass": 0, "regress": 1, "inconclusive": 3, "invalid": 4, "error": 65}
POLICY = "version: 1\nmargins: {default: {pass@1: 30}}\n"
MARKER = "<!-- recode-eval gate: recode-eval -->"
EXAMPLES = ROOT / "examples" / "ci"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The baseline, and a candidate for each verdict; the folders' names are hostile."""
    out = tmp_path_factory.mktemp('it\'s $(touch pwned) `touch pwned` "x"; touch pwned')

    def half(problem: int, sample: int) -> bool:
        return sample < 2 + problem % 3

    small = {"problems": 24, "n": 4}
    made = {
        "baseline": store_run(out, "baseline", half, **small),
        "pass": store_run(out, "same", half, **small),
        "regress": store_run(out, "worse", lambda p, s: False, **small),
        "inconclusive": store_run(out, "mixed", lambda p, s: p % 4 < 2, **small),
        "invalid": store_run(out, "colder", half, temperature=0.1, **small),
    }
    made["error"] = out / "nothing"
    made["error"].mkdir()
    made["policy"] = out / "policy.yaml"
    made["policy"].write_text(POLICY)
    return made


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which this package is the recode-eval on PATH."""
    folder = tmp_path_factory.mktemp("bin")
    script(folder / "recode-eval", f'exec "{sys.executable}" -m recode_eval "$@"')
    script(folder / "python3", f'exec "{sys.executable}" "$@"')
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def script(file: Path, text: str) -> Path:
    file.write_text(f"#!/bin/bash\n{text}\n")
    file.chmod(0o755)
    return file


def inputs(runs: dict[str, Path], name: str, **more: str) -> dict[str, str]:
    return {
        "baseline": str(runs["baseline"]), "candidate": str(runs[name]),
        "policy": str(runs["policy"]), "version": "installed", **more,
    }  # fmt: skip


@pytest.fixture(scope="module")
def jobs(
    runs: dict[str, Path], installed: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Job]:
    """A job for every verdict, with all steps done."""
    found = {}
    for name in VERDICTS:
        found[name] = Job(tmp_path_factory.mktemp(name), installed)
        found[name].run(**inputs(runs, name))
    return found


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize(
    "fail_on",
    ["", "never", "regress", "inconclusive", "invalid", "inconclusive, invalid\nregress"],
)
def test_what_fails_the_step(jobs: dict[str, Job], verdict: str, fail_on: str) -> None:
    """Every verdict with every choice; where there is no verdict the step always fails."""
    job = jobs[verdict]
    given_ = {"fail_on": fail_on} if fail_on else {}
    result = job.step(ACTION["runs"]["steps"][-1], given_)
    default = ["regress", "invalid"]
    failing = [*(re.findall(r"[a-z]+", fail_on) or default), "error"]
    assert result.returncode == (VERDICTS[verdict] if verdict in failing else 0), result.stdout
    assert ("::error title=recode-eval gate::" in result.stdout) is (verdict in failing)


def test_the_outputs(jobs: dict[str, Job]) -> None:
    for verdict, job in jobs.items():
        result = job.result
        assert result["verdict"] == verdict
        assert (job.workspace / result["report-path"]).is_dir()
        assert (job.workspace / result["comment-path"]).read_text().startswith(f"{MARKER}\n")
    assert jobs["pass"].result["delta"] == "+0.0000"
    assert jobs["regress"].result["delta"] == "-0.7500"
    assert jobs["invalid"].result["delta"] == jobs["error"].result["delta"] == ""
    verdict = jobs["inconclusive"].workspace / "gate/verdict.json"
    stored = json.loads(verdict.read_text())
    delta = float(jobs["inconclusive"].result["delta"])
    assert delta == pytest.approx(stored["checks"][0]["difference"], abs=1e-4)


def test_the_comment_and_the_summary(jobs: dict[str, Job]) -> None:
    job = jobs["regress"]
    comment = (job.workspace / "gate/comment.md").read_text()
    summary = (job.workspace / "gate/summary.md").read_text()
    link = "\n[The job](https://github.example/owner/project/actions/runs/77)\n"
    assert comment == f"{MARKER}\n{summary}{link}"
    assert "## recode-eval gate: regress" in job.summary.read_text()
    assert "no verdict" in jobs["error"].summary.read_text()
    assert "exit code 65" in (jobs["error"].workspace / "gate/comment.md").read_text()


def test_names_of_files_run_nothing(jobs: dict[str, Job]) -> None:
    """The runs lie in a folder called `$(touch pwned)`, which a pasted input would run."""
    for job in jobs.values():
        assert not list(job.folder.rglob("pwned"))


HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    "'; touch pwned; '",
    '"; touch pwned; "',
    "a\nverdict=pass\nend",
    "x\n::error::pwned",
    "--policy=/etc/passwd",
    "-rf",
    "* ? [a-z] {a,b} ~ $HOME",
    "\\",
    "ünïcødé \U0001f600",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_inputs_are_arguments_and_nothing_else(tmp_path: Path, text: str) -> None:
    """A recorder in place of the program shows which arguments come through."""
    log = tmp_path / "log"
    recorder = script(
        tmp_path / "recorder", f'printf "%s\\0" "$@" > "{log}"; printf "::error::forged"; exit 70'
    )
    job = Job(tmp_path / "job")
    job.outputs["install"] = {"command": str(recorder)}
    compare = ACTION["runs"]["steps"][1]
    names = ("baseline", "candidate", "model", "tasks", "policy", "arguments")
    result = job.step(compare, {**dict.fromkeys(names, text), "python": sys.executable})
    assert result.returncode == 0, result.stdout
    lines = text.split("\n")
    paths = [f"./{line}" if line.startswith("-") else line for line in lines]
    assert log.read_text().split("\0")[:-1] == [
        "gate", "--baseline", *paths, "--candidate", *paths,
        f"--model={text}", f"--tasks={text}", f"--policy={text}", *lines, "--out=gate",
    ]  # fmt: skip
    assert job.result["verdict"] == "error"
    assert not list(tmp_path.rglob("pwned"))
    assert "::error::forged" in muted(result.stdout)[0]


def muted(printed: str) -> tuple[str, str]:
    """Return what was printed while the runner took no commands, and what came after it."""
    token = re.search(r"^::stop-commands::([0-9a-f]{32})$", printed, re.MULTILINE)
    assert token
    inside, end, after = printed[token.end() :].partition(f"\n::{token[1]}::\n")
    assert end
    return inside, after


def test_a_model_gives_no_command_to_the_runner(
    runs: dict[str, Path], installed: dict[str, str], tmp_path: Path
) -> None:
    """A model called `::add-mask::a` would hide every `a` of the log."""
    copies = {}
    for name in ("baseline", "regress"):
        copies[name] = tmp_path / name
        copies[name].mkdir()
        (copies[name] / "results.json").write_bytes((runs[name] / "results.json").read_bytes())
        edit_results(copies[name], lambda r: r["model"].update(name="::add-mask::a"))
    job = Job(tmp_path / "job", installed)
    printed = job.run(**inputs(runs | copies, "regress")).stdout
    inside, after = muted(printed)
    assert re.search(r"^::add-mask::a against", inside, re.MULTILINE)
    assert re.findall(r"^::[a-z-]+", after, re.MULTILINE) == ["::error"]
    assert "`::add-mask::a`" in (job.workspace / "gate/comment.md").read_text()


def test_an_old_verdict_does_not_count(
    runs: dict[str, Path], installed: dict[str, str], tmp_path: Path
) -> None:
    """A branch could bring a `gate/verdict.json` that passes, and a link in place of a report."""
    job = Job(tmp_path, installed)
    report = job.workspace / "-my gate"
    report.mkdir()
    (report / "verdict.json").write_text('{"verdict": "pass", "exit_code": 65, "checks": []}')
    precious = tmp_path / "precious"
    precious.write_text("as it was")
    (report / "comment.md").symlink_to(precious)
    result = job.run(**inputs(runs, "error", report="-my gate", fail_on="never"))
    assert result.returncode == 65
    assert job.result["verdict"] == "error"
    assert precious.read_text() == "as it was"
    assert (job.workspace / job.result["comment-path"]).is_file()


def test_several_baselines_and_further_arguments(
    runs: dict[str, Path], installed: dict[str, str], tmp_path: Path
) -> None:
    job = Job(tmp_path, installed)
    twice = f"{runs['baseline']}\n\n{runs['pass']}\n"
    result = job.run(**inputs(runs, "pass", baseline=twice))
    assert result.returncode == 2
    assert "Two runs of the task arena" in result.stdout
    result = job.run(**inputs(runs, "pass", arguments="--quiet\n--json\n"))
    assert result.returncode == 0
    assert '"verdict": "pass"' in result.stdout
    # Done without a verdict is no pass either.
    result = job.run(**inputs(runs, "pass", arguments="--print-policy", fail_on="never"))
    assert result.returncode == 1
    assert job.result["verdict"] == "error"


def test_a_model_in_place_of_a_run(
    runs: dict[str, Path], installed: dict[str, str], tmp_path: Path
) -> None:
    """The gate gets as far as refusing a baseline of one sample, before it draws any."""
    single = store_run(tmp_path / "runs", "single", lambda p, s: True, problems=4, n=1)
    job = Job(tmp_path / "job", installed)
    template = tmp_path / "my template.jinja2"
    template.write_text("{{ problem }} {{ docstring }}")
    more = f"--data=arena={tmp_path}/runs/single.jsonl\n--prompt={template}\n--sandbox=none\n"
    asked = inputs(
        runs, "pass", baseline=str(single), model=f"replay:{single}/completions.jsonl",
        tasks="arena", arguments=f"{more}--i-know-this-is-unsafe",
    )  # fmt: skip
    result = job.run(**{**asked, "candidate": ""})
    assert result.returncode == 4, result.stdout
    assert "too few samples" in result.stdout
    assert job.result["verdict"] == "invalid"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fail_on", "regress,pass"),
        ("fail_on", "never,regress"),
        ("fail_on", ","),
        ("name", "x --> <script>"),
        ("name", "a--b"),
        ("version", "--index-url=https://example.com"),
        ("version", "1 ; touch pwned"),
        ("extras", "vllm] @ https://example.com/x.zip #"),
    ],
)
def test_refused_inputs(tmp_path: Path, name: str, value: str) -> None:
    """Nothing is installed or run for an input that makes no sense."""
    python = script(
        tmp_path / "python",
        f'[[ $2 == check ]] || echo "$@" > "{tmp_path}/ran"; exec "{sys.executable}" "$@"',
    )
    job = Job(tmp_path / "job")
    given_ = {"baseline": "a", "candidate": "b", "python": str(python), name: value}
    result = job.run(**given_)
    assert result.returncode == 2
    assert result.stdout.startswith("::error title=recode-eval gate::")
    assert result.stdout.count("\n") == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("given_", "requirement"),
    [
        ({}, "{action}"),
        ({"extras": "vllm,hub"}, "{action}[vllm,hub]"),
        ({"version": "0.1.0"}, "recode-eval==0.1.0"),
        ({"version": "1.0rc1", "extras": "vllm"}, "recode-eval[vllm]==1.0rc1"),
    ],
)
def test_what_is_installed(tmp_path: Path, given_: dict[str, str], requirement: str) -> None:
    """A recorder in place of Python shows what pip is asked for."""
    log = tmp_path / "log"
    recorder = script(tmp_path / "pip", f'printf "%s\\n" "$@" > "{log}"')
    python = script(
        tmp_path / "python",
        f'[[ $2 == check ]] && exec "{sys.executable}" "$@"\n'
        f'mkdir -p "$3/bin" && cp "{recorder}" "$3/bin/python"',
    )
    job = Job(tmp_path / "job")
    result = job.step(ACTION["runs"]["steps"][0], {"python": str(python), **given_})
    assert result.returncode == 0, result.stdout
    asked = log.read_text().splitlines()
    assert asked[:3] == ["-m", "pip", "install"]
    assert asked[-2:] == ["--", requirement.format(action=ROOT)]
    command = Path(job.outputs["install"]["command"])
    assert command == tmp_path / "job/temp/recode-eval/bin/recode-eval"


def test_a_release_is_installed_and_used(runs: dict[str, Path], tmp_path: Path) -> None:
    """The whole action with a real pip; the wheel only hands on to the package under test."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    code = (
        f"import os, sys\n\nPYTHON = {sys.executable!r}\n\ndef main():\n"
        "    os.execv(PYTHON, [PYTHON, '-m', 'recode_eval', *sys.argv[1:]])\n"
    )
    info = "recode_eval-7.0.dist-info"
    files = {
        "recode_eval.py": code,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: recode-eval\nVersion: 7.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nrecode-eval = recode_eval:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in files)
    with zipfile.ZipFile(wheels / "recode_eval-7.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_CONFIG_FILE": os.devnull}
    job = Job(tmp_path / "job", pip)
    result = job.run(**inputs(runs, "regress", version="7.0", python=sys.executable))
    assert result.returncode == 1, result.stdout
    assert job.result["verdict"] == "regress"
    result = job.run(**inputs(runs, "regress", version="8.0", python=sys.executable))
    assert result.returncode == 1
    assert "No matching distribution" in result.stdout


def test_a_long_summary_is_cut_at_a_line(
    jobs: dict[str, Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitHub refuses a comment of more than 65,536 characters, and the summary may have 1 MiB."""
    report = report_module()
    for name, value in (("NAME", "gate"), ("GITHUB_REPOSITORY", ""), ("GITHUB_RUN_ID", "")):
        monkeypatch.setenv(name, value)
    line = "- `ä`\n"
    (tmp_path / "summary.md").write_text("## x\n" + 50_000 * line)
    text = report.comment_text(tmp_path, "pass", 0)
    assert len(text.encode()) <= report.COMMENT_LIMIT
    assert text.endswith(
        "- `ä`\n\n(cut: the job's summary and verdict.json have everything)\n"[-60:]
    )
    lines = set(text.removeprefix("<!-- recode-eval gate: gate -->\n## x\n").splitlines())
    assert lines == {"- `ä`", "", "(cut: the job's summary and verdict.json have everything)"}


def report_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("action_report", ROOT / "action/report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(["pass"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["verdict", "exit_code", "checks", "difference"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_no_damaged_verdict_is_a_verdict(content: object) -> None:
    """Only a verdict that agrees with the exit code counts; nothing else raises either."""
    report = report_module()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(content, file)
        file.flush()
        verdict, delta = report.read_verdict(Path(file.name), 0)
    assert verdict in {"error", "pass"}
    assert re.fullmatch(r"([+-]\d+\.\d{4})?", delta)
    if verdict == "pass":
        assert content["verdict"] == "pass"
        assert content["exit_code"] == 0


def test_the_action_follows_the_published_schemas() -> None:
    """The schemas of GitHub and GitLab, which come with check-jsonschema."""
    from check_jsonschema.cli.main_command import main
    from click.testing import CliRunner

    for words in (
        ["--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml")],
        ["--builtin-schema", "vendor.github-workflows", str(EXAMPLES / "github.yml")],
        ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci",
         str(EXAMPLES / "gitlab.yml")],
    ):  # fmt: skip
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output


def test_no_expression_stands_in_a_script() -> None:
    """`run: echo ${{ inputs.name }}` pastes the input into the script before bash reads it."""
    workflow = yaml.safe_load((EXAMPLES / "github.yml").read_text())
    steps = [*ACTION["runs"]["steps"], *workflow["jobs"]["gate"]["steps"]]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) == 4
    assert not any("${{" in text for text in scripts)


def test_the_example_fits_the_action() -> None:
    workflow = yaml.safe_load((EXAMPLES / "github.yml").read_text())
    steps = workflow["jobs"]["gate"]["steps"]
    gate = next(step for step in steps if step.get("id") == "gate")
    required = {name for name, raw in ACTION["inputs"].items() if raw.get("required")}
    assert required <= set(gate["with"]) <= set(ACTION["inputs"])
    used = re.findall(r"steps\.gate\.outputs\.([a-z-]+)", (EXAMPLES / "github.yml").read_text())
    assert set(used) <= set(ACTION["outputs"])


def test_the_docs_name_every_input_and_output() -> None:
    section = (ROOT / "docs/ci.md").read_text().partition("## In GitHub")[2]
    named = set(re.findall(r"`([a-z-]+)`", section))
    assert {*ACTION["inputs"], *ACTION["outputs"]} <= named


@pytest.mark.parametrize("known", ["", "12\n34\n"])
def test_the_example_keeps_one_comment(jobs: dict[str, Job], tmp_path: Path, known: str) -> None:
    """The first run adds a comment, later ones replace it."""
    workflow = yaml.safe_load((EXAMPLES / "github.yml").read_text())
    text = workflow["jobs"]["gate"]["steps"][-1]["run"]
    log = tmp_path / "log"
    script(
        tmp_path / "gh",
        f'printf "%s\\n" "$MARKER" "$@" >> "{log}"; [[ $2 != --paginate ]] || printf "{known}"',
    )
    job = Job(tmp_path / "job", {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    comment = jobs["pass"].workspace / "gate/comment.md"
    result, _ = job.script(text, {"COMMENT": str(comment), "NUMBER": "5"})
    assert result.returncode == 0, result.stdout
    words = log.read_text().splitlines()
    assert words[0] == MARKER
    comments = "repos/owner/project/issues"
    last = ["PATCH", f"{comments}/comments/12"] if known else ["POST", f"{comments}/5/comments"]
    assert words[-4:] == [*last, "--field", f"body=@{comment}"]


def test_the_gitlab_example_lets_inconclusive_pass() -> None:
    job = yaml.safe_load((EXAMPLES / "gitlab.yml").read_text())["gate"]
    assert job["allow_failure"]["exit_codes"] == [VERDICTS["inconclusive"]]
    assert job["artifacts"]["reports"]["junit"] == "gate/junit.xml"
    [line] = job["script"]
    assert '--baseline "$BASELINE" --candidate "$CANDIDATE"' in line
