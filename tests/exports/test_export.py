"""`recode-eval export`: every format is read back by what reads it elsewhere."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import re
from pathlib import Path
from typing import Any

import huggingface_hub
import jsonschema
import junitparser
import pytest
import yaml
from command_line import failed, recode_eval
from every_eval_ever_contract import RECORD
from hypothesis import given
from hypothesis import strategies as st
from stored_runs import edit_results, store_run

from recode_eval import __version__, cli
from recode_eval.errors import ExitCode
from recode_eval.exports import FORMATS
from recode_eval.exports.common import piece
from recode_eval.exports.tables import cell

HOSTILE = [
    '=HYPERLINK("https://example.com","x")',
    "</testcase><testcase name='forged'/>]]>\x00\x1b[31m\ud800\ufffe",
    "a: b\n- !!python/object/apply:os.system [true]\n...\n---",
    "../../../etc/passwd",
    "@someone, &id001 *id001 | tail `x` <script>",
]


def right(problem: int, sample: int) -> bool | None:
    """Clusters differ; of problem 5 no sample is there."""
    return None if problem == 5 else sample < problem % 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = store_run(tmp_path_factory.mktemp("export"), "base", right, n=4, problems=12)

    def name(results: dict) -> None:
        results["model"]["name"] = "org/base"

    return edit_results(folder, name)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_run(tmp_path_factory.mktemp("other"), "other", right, n=4, problems=12)


@pytest.fixture
def exported(capsys: pytest.CaptureFixture[str]) -> Any:
    def export(*words: object) -> str:
        code = cli.run(["export", *map(str, words)])
        found = capsys.readouterr()
        assert code == ExitCode.OK, found.err
        return found.out

    return export


def estimates(run: Path) -> dict[str, dict[str, Any]]:
    metrics = json.loads((run / "results.json").read_text())["metrics"]
    return {name: found for name, found in metrics.items() if found is not None}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_csv_of_metrics_has_the_stored_figures(run: Path, exported: Any) -> None:
    found = {
        row["metric"]: row for row in rows(exported(run, "--format", "csv", "--table", "metrics"))
    }
    stored = estimates(run)
    assert set(found) == set(stored)
    for name, estimate in stored.items():
        for key in ("value", "low", "high", "standard_error"):
            expected = "" if estimate[key] is None else str(estimate[key])
            assert found[name][key] == expected
    assert found["pass@1"]["clusters"] == "6"
    assert found["pass@1"]["confidence"] == "0.95"


def test_csv_of_problems(run: Path, other: Path, exported: Any) -> None:
    found = rows(exported(run, other, "--format", "csv"))
    assert len(found) == 24
    assert {row["model"] for row in found} == {"org/base", "other"}
    first = found[:12]
    assert [row["passed"] for row in first[:5]] == ["0", "1", "2", "3", "0"]
    assert [row["pass@1"] for row in first[:4]] == ["0.0", "0.25", "0.5", "0.75"]
    assert (first[5]["samples"], first[5]["pass@1"]) == ("0", "")
    assert len({row["cluster"] for row in first}) == 6


def test_csv_of_samples(run: Path, exported: Any, tmp_path: Path) -> None:
    found = rows(exported(run, "--format", "csv", "--table", "samples"))
    assert len(found) == 44
    assert sum(int(row["with_update"]) for row in found) == sum(
        problem % 4 for problem in range(12) if problem != 5
    )
    assert found[0]["tests with_update"] == "0 of 2"
    assert len({(row["problem"], row["sample"]) for row in found}) == 44
    alone = tmp_path / "results.json"
    alone.write_bytes((run / "results.json").read_bytes())
    result = recode_eval("export", str(alone), "--format", "csv", "--table", "samples")
    failed(result, ExitCode.USAGE, "are in the run's folder")


def test_the_model_card_is_read_back_by_the_hub(run: Path, exported: Any) -> None:
    text = exported(
        run,
        "--format",
        "model-index",
        "--dataset-id",
        "owner/data",
        "--source-url",
        "https://x.org",
    )
    card = huggingface_hub.ModelCard(f"---\nlicense: mit\n{text}---\n# A model\n")
    assert card.data.model_name == "org/base"
    found = {entry.metric_type: entry for entry in card.data.eval_results}
    stored = estimates(run)
    assert {name: entry.metric_value for name, entry in found.items()} == {
        name: estimate["value"] for name, estimate in stored.items()
    }
    entry = found["pass@1"]
    assert (entry.dataset_type, entry.dataset_name) == ("owner/data", "arena")
    assert entry.metric_args == {"n": 4, "temperature": 0.8, "top_p": 0.95, "max_tokens": 1024}
    assert (entry.source_name, entry.source_url) == (
        f"recode-eval {__version__}",
        "https://x.org",
    )
    # Written by the hub's library again, nothing is lost.
    again = yaml.safe_load(card.data.to_yaml())["model-index"]
    assert again == yaml.safe_load(text)["model-index"]


def test_eval_results_are_read_back_by_the_hub(run: Path, exported: Any) -> None:
    words = ["--format", "eval-results", "--dataset-id", "owner/data", "--task-id", "main"]
    text = exported(run, *words, "--source-url", "https://x.org")
    [entry] = huggingface_hub.parse_eval_result_entries(yaml.safe_load(text))
    pass_1 = estimates(run)["pass@1"]
    assert (entry.dataset_id, entry.task_id) == ("owner/data", "main")
    assert entry.value == pytest.approx(pass_1["value"], abs=1e-6)
    low, high = (f"{100 * pass_1[key]:.1f}" for key in ("low", "high"))
    assert f"[{low}, {high}] (95 % interval over 6 clusters); n = 4" in entry.notes
    assert huggingface_hub.eval_result_entries_to_yaml([entry]) == yaml.safe_load(text)
    [entry] = yaml.safe_load(exported(run, *words, "--percent", "--metrics", "upass@1"))
    assert entry["value"] == pytest.approx(100 * estimates(run)["upass@1"]["value"], abs=1e-6)
    failed(recode_eval("export", str(run), *words[:2]), ExitCode.USAGE, "--dataset-id OWNER/NAME")


def test_the_data_set_of_the_hub_is_known(run: Path, exported: Any, tmp_path: Path) -> None:
    copy = tmp_path / "results.json"
    copy.write_bytes((run / "results.json").read_bytes())

    def source(results: dict) -> None:
        results["task"]["source"] = "owner/from-the-hub"

    edit_results(tmp_path, source)
    [entry] = yaml.safe_load(exported(copy, "--format", "eval-results"))
    assert entry["dataset"] == {"id": "owner/from-the-hub", "task_id": "arena"}


def test_every_eval_ever(run: Path, other: Path, exported: Any, tmp_path: Path) -> None:
    words = [run, other, "--format", "every-eval-ever"]
    failed(recode_eval("export", *map(str, words)), ExitCode.USAGE, "2 files", "--out")
    exported(*words, "--out", tmp_path, "--organization", "We", "--relationship", "first_party")
    files = sorted(tmp_path.rglob("*.json"))
    names = [file.relative_to(tmp_path).parts[:-1] for file in files]
    assert names == [("data", "arena", "org", "base"), ("data", "arena", "unknown", "other")]
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert all(re.fullmatch(uuid, file.stem) for file in files)
    record = json.loads(files[0].read_text())
    for content in (record, json.loads(files[1].read_text())):
        jsonschema.Draft7Validator(RECORD).validate(content)
    stored = estimates(run)
    results = {
        item["evaluation_result_id"].partition("/")[2]: item
        for item in record["evaluation_results"]
    }
    assert set(results) == set(stored)
    assert results["pass@1"]["metric_config"]["metric_id"] == "pass_at_k"
    assert results["upass@1"]["metric_config"]["metric_id"] == "recode_eval.upass@1"
    for item in results.values():
        config, score = item["metric_config"], item["score_details"]["score"]
        assert config["min_score"] <= score <= config["max_score"]
    details = results["pass@1"]["score_details"]
    assert details["score"] == stored["pass@1"]["value"]
    assert details["uncertainty"]["confidence_interval"]["lower"] == stored["pass@1"]["low"]
    assert details["uncertainty"]["standard_error"]["value"] == stored["pass@1"]["standard_error"]
    assert results["es_star"]["metric_config"]["min_score"] == -2
    assert results["no_code"]["metric_config"]["lower_is_better"]
    assert record["source_metadata"]["evaluator_relationship"] == "first_party"
    exported(*words, "--out", tmp_path)
    assert sorted(tmp_path.rglob("*.json")) == files


def test_every_eval_ever_by_its_own_schema(run: Path, exported: Any) -> None:
    """The contract above is this project's reading of the schema; here is the schema itself."""
    spec = importlib.util.find_spec("every_eval_ever")
    if spec is None or spec.origin is None:
        pytest.skip("the package every-eval-ever is not installed")
    schema = Path(spec.origin).parent / "schemas" / "eval.schema.json"
    record = json.loads(exported(run, "--format", "every-eval-ever"))
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(record)


def test_lm_eval(run: Path, exported: Any, tmp_path: Path) -> None:
    """What its `make_table`, loggers and converters look up in a results file."""
    out = exported(run, "--format", "lm-eval", "--out", tmp_path).strip()
    path = Path(out).relative_to(tmp_path)
    assert path.parent.name == "org__base"
    assert re.fullmatch(r"results_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.json", path.name)
    content = json.loads(Path(out).read_text())
    metrics = dict(content["results"]["arena"])
    assert metrics.pop("alias") == metrics.pop("name") == "arena"
    assert metrics.pop("sample_len") == 11
    stored = estimates(run)
    seen = {}
    for key, value in metrics.items():
        name, _, filter_name = key.partition(",")
        assert filter_name == "none"
        if name.endswith("_stderr"):
            assert value == "N/A" or value >= 0
            assert f"{name.removesuffix('_stderr')},none" in metrics
        else:
            seen[name] = value
    assert seen == {name: estimate["value"] for name, estimate in stored.items()}
    assert metrics["pass@1_stderr,none"] == stored["pass@1"]["standard_error"]
    assert content["higher_is_better"]["arena"]["no_code"] is False
    for key in ("versions", "n-shot", "group_subtasks", "configs", "n-samples"):
        assert list(content[key]) == ["arena"]
    assert content["n-samples"]["arena"] == {"original": 12, "effective": 11}
    assert content["config"]["gen_kwargs"]["temperature"] == 0.8


def test_junit(run: Path, other: Path, exported: Any, tmp_path: Path) -> None:
    exported(run, other, "--format", "junit", "--out", tmp_path)
    suites = list(junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml")))
    assert [suite.name for suite in suites] == ["org/base on arena", "other on arena"]
    suite = suites[0]
    assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (12, 8, 1, 0)
    properties = {item.name: item.value for item in suite.properties()}
    assert properties["temperature"] == "0.8"
    assert re.fullmatch(r"\d+\.\d \[.+\]", properties["pass@1"])
    outcomes = [[type(result).__name__ for result in case.result] for case in suite]
    assert outcomes[2:6] == [["Failure"], [], ["Failure"], ["Skipped"]]
    suite.update_statistics()
    assert (suite.tests, suite.failures, suite.skipped) == (12, 8, 1)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(run: Path, exported: Any, tmp_path: Path, text: str) -> None:
    """A model called `=HYPERLINK(...)` was a live formula, one with `</testcase>` forged a case."""
    (tmp_path / "results.json").write_bytes((run / "results.json").read_bytes())

    def rename(results: dict) -> None:
        results["model"]["name"] = text
        results["problems"][0]["id"] = text
        results["problems"][0]["cluster"] = text
        results["problems"][1]["faulty"] = text
        results["problems"][1]["n"] = results["problems"][1]["passed"] = 0
        results["problems"][1]["passed_without_update"] = 0
        results["problems"][1]["needed_update"] = results["problems"][1]["no_code"] = 0

    edit_results(tmp_path, rename)
    out = tmp_path / "out"
    out.mkdir()
    for name in FORMATS.builtin:
        exported(tmp_path, "--format", name, "--out", out / name, "--dataset-id", "a/b")
    below = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(out in path.parents for path in below - {tmp_path / "results.json"})
    assert len(rows((out / "csv/problems.csv").read_text())) == 12
    for row in csv.reader((out / "csv/problems.csv").open(newline="")):
        assert not any(value.startswith(("=", "+", "@")) for value in row)
    [suite] = junitparser.JUnitXml.fromfile(str(out / "junit/junit.xml"))
    assert len(list(suite)) == 12
    assert suite.errors == 1
    assert not any(case.name == "forged" for case in suite)
    card = yaml.safe_load((out / "model-index/model-index.yaml").read_text())["model-index"]
    assert len(card) == 1
    assert isinstance(card[0]["name"], str)
    [record] = (out / "every-eval-ever").rglob("*.json")
    jsonschema.Draft7Validator(RECORD).validate(json.loads(record.read_text()))


@pytest.mark.slow
def test_what_a_format_cannot_take(run: Path, other: Path, tmp_path: Path) -> None:
    for name in ("model-index", "eval-results", "lm-eval"):
        result = recode_eval("export", str(run), str(other), "--format", name)
        failed(result, ExitCode.USAGE, "one model", "org/base, other")
        result = recode_eval(
            "export", str(run), str(other), "--format", name, "--model-name", "x/y"
        )
        failed(result, ExitCode.USAGE, "each task once", "two of these runs have the task arena")
    result = recode_eval("export", str(run), "--format", "csv", "--metrics", "pass@1,nothing")
    failed(result, ExitCode.USAGE, "no value of nothing", "pass@1")
    failed(
        recode_eval("export", str(run), "--format", "xlsx"), ExitCode.USAGE, "Unknown export format"
    )
    failed(
        recode_eval("export", str(tmp_path), "--format", "csv"), ExitCode.DATA, "has a results.json"
    )


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("created",), "yesterday"),
        (("created",), 7),
        (("created",), "0001-01-01T00:00:00+23:00"),
        (("sampling", "temperature"), float("nan")),
        (("model", "backend"), None),
        (("task", "source"), ["x"]),
        (("prompt", "name"), {}),
    ],
)
def test_damaged_results_are_named(
    run: Path, tmp_path: Path, path: tuple[str, ...], value: object,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "results.json").write_bytes((run / "results.json").read_bytes())

    def damage(results: dict) -> None:
        *above, last = path
        for key in above:
            results = results[key]
        results[last] = value

    edit_results(tmp_path, damage)
    for name in FORMATS.builtin:
        assert cli.run(["export", str(tmp_path), "--format", name]) == ExitCode.DATA
        assert "is damaged" in capsys.readouterr().err


@given(st.text())
def test_no_cell_is_a_formula_or_leaves_its_line(text: str) -> None:
    found = cell(text)
    assert not found.startswith(("=", "+", "-", "@", "\t", "\r", "\n", " "))
    assert not set("\r\n\0") & set(found)
    found.encode()


@given(st.text())
def test_a_name_is_one_harmless_piece_of_a_path(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", piece(text))
    assert Path(piece(text)).name == piece(text)


def test_the_value_that_ranks(run: Path, exported: Any, tmp_path: Path) -> None:
    """A task without tests once got its share of answers without code as the result."""
    words = ["--format", "eval-results", "--dataset-id", "a/b"]
    (tmp_path / "results.json").write_bytes((run / "results.json").read_bytes())

    def untested(results: dict) -> None:
        for problem in results["problems"]:
            names = ("passed", "passed_without_update", "needed_update", "test_rate")
            problem.update(dict.fromkeys(names), passed_groups={})

    edit_results(tmp_path, untested)
    [entry] = yaml.safe_load(exported(tmp_path, *words))
    assert entry["notes"].startswith("es ")
    assert entry["value"] == pytest.approx(estimates(run)["es"]["value"], abs=1e-6)
    [entry] = yaml.safe_load(exported(run, *words, "--metrics", "em,pass@1"))
    assert entry["notes"].startswith("em ")
    failed(
        recode_eval("export", str(tmp_path), "--format", "junit"), ExitCode.USAGE, "has no tests"
    )


@pytest.mark.slow
def test_an_id_of_one_task_for_two(run: Path, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes((run / "results.json").read_bytes())
    edit_results(tmp_path, lambda r: r["task"].update(name="another"))
    for name in ("model-index", "eval-results", "lm-eval", "every-eval-ever"):
        words = ["export", str(run), str(tmp_path), "--format", name, "--dataset-id", "a/b"]
        failed(recode_eval(*words), ExitCode.USAGE, "describe one task")


def test_two_tasks_of_a_model_in_one_file(run: Path, exported: Any, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_bytes((run / "results.json").read_bytes())
    edit_results(tmp_path, lambda r: r["task"].update(name="another"))
    out = exported(run, tmp_path, "--format", "lm-eval", "--out", tmp_path / "out").strip()
    assert list(json.loads(Path(out).read_text())["results"]) == ["arena", "another"]
    card = yaml.safe_load(exported(run, tmp_path, "--format", "model-index"))["model-index"]
    assert [result["dataset"]["name"] for result in card[0]["results"]] == ["arena", "another"]
    edit_results(tmp_path, lambda r: r["sampling"].update(temperature=0.1))
    result = recode_eval("export", str(run), str(tmp_path), "--format", "lm-eval")
    failed(result, ExitCode.USAGE, "different sampling settings")


def test_a_format_of_another_package_is_one_function_and_one_entry_point(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Any
) -> None:
    package = tmp_path / "others"
    (package / "other-1.0.dist-info").mkdir(parents=True)
    (package / "other-1.0.dist-info" / "METADATA").write_text("Name: other\nVersion: 1.0\n")
    (package / "other-1.0.dist-info" / "entry_points.txt").write_text(
        "[recode_eval.exports]\nlines = other_format:documents\n"
    )
    (package / "other_format.py").write_text(
        "from recode_eval.exports.common import Document, all_facts\n\n\n"
        "def documents(runs, about):\n"
        "    text = ''.join(f'{x.model} {x.metrics[0].name}\\n' for x in all_facts(runs, about))\n"
        "    return [Document('lines.txt', text)]\n"
    )
    monkeypatch.syspath_prepend(package)
    assert exported(run, "--format", "lines") == "org/base pass@1\n"


def test_an_unknown_format_has_a_hint(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["export", str(run), "--format", "junitt"]) == ExitCode.USAGE
    assert "Unknown export format 'junitt'. Did you mean junit?" in capsys.readouterr().err
