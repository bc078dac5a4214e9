from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recode_eval.errors import InfrastructureError, UsageError
from recode_eval.models.base import (
    Completion,
    FinishReason,
    Message,
    Prompt,
    Request,
    SamplingParameters,
)
from recode_eval.models.options import ModelOptions

pytestmark = pytest.mark.slow

PROMPT = Prompt((Message("user", "write code"),))


def requests(problems: int, samples: int = 3) -> list[Request]:
    return [
        Request(f"p{i}", PROMPT, tuple(range(samples)), tuple(10 * i + s for s in range(samples)))
        for i in range(problems)
    ]


@pytest.fixture
def make(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Makes a loaded `RayModel` of replicas that need no engine."""
    import ray_parts

    from recode_eval.distributed import cluster as module
    from recode_eval.distributed.ray_model import RayModel, Share

    monkeypatch.setattr(module, "Replica", ray_parts.EchoReplica)
    made = []
    notes: list[str] = []

    def build(spec: str, replicas: int = 2) -> Any:
        actors = [cluster.start_replica(cpus=1, gpus=0) for _ in range(replicas)]
        model = RayModel(cluster, actors, Share(1), notes.append)
        made.append(model)
        model.notes = notes
        model.load(spec, "transformers", ModelOptions())
        return model

    yield build
    for model in made:
        model.close()


def answers(completions: Sequence[Completion]) -> dict[tuple[str, int], str]:
    counted = Counter((c.problem_id, c.sample) for c in completions)
    assert not counted or max(counted.values()) == 1, "a sample came twice"
    return {(c.problem_id, c.sample): c.text for c in completions}


def expected(wanted: Sequence[Request]) -> dict[tuple[str, int], str]:
    return {
        (request.problem_id, sample): f"{request.problem_id} {seed}"
        for request in wanted
        for sample, seed in zip(request.samples, request.seeds, strict=True)
    }


def test_all_replicas_work_and_every_sample_comes_once(make: Any, tmp_path: Path) -> None:
    model = make(f"{tmp_path}:0.01")
    for wanted in (requests(40), requests(5, 1), []):
        assert answers(list(model.generate(wanted, SamplingParameters()))) == expected(wanted)
    workers = [file for file in tmp_path.iterdir() if file.name.isdigit()]
    assert len(workers) == 2
    assert len((tmp_path / "loaded").read_text().splitlines()) == 2
    assert model.info.details["replicas"] == 2


def test_a_replica_killed_in_the_middle(make: Any, tmp_path: Path) -> None:
    """What it had not delivered is generated elsewhere, and nothing comes twice."""
    model, wanted = make(f"{tmp_path}:0.03"), requests(60)
    stream = model.generate(wanted, SamplingParameters())
    found = [next(stream) for _ in range(5)]
    pid = int((tmp_path / "loaded").read_text().splitlines()[0].split()[1])
    os.kill(pid, signal.SIGKILL)
    found += stream
    assert answers(found) == expected(wanted)
    assert any("is lost" in note for note in model.notes)
    assert len((tmp_path / "loaded").read_text().splitlines()) == 3


def test_replicas_that_are_lost_again_and_again(make: Any, tmp_path: Path) -> None:
    model = make(f"{tmp_path}:0.05", replicas=1)
    stream = model.generate(requests(400), SamplingParameters())
    killed: set[str] = set()

    def kill_whatever_answers() -> None:
        for _ in stream:
            (*_, last) = (tmp_path / "loaded").read_text().splitlines()
            if last not in killed:
                killed.add(last)
                os.kill(int(last.split()[1]), signal.SIGKILL)

    with pytest.raises(InfrastructureError, match="lost too often"):
        kill_whatever_answers()
    assert len(killed) == 4


def test_the_others_go_on_where_there_is_no_room_for_another_replica(
    make: Any, cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One machine lost for good once ended the whole run, although the other replicas worked."""
    model, wanted = make(f"{tmp_path}:0.03"), requests(60)
    stream = model.generate(wanted, SamplingParameters())
    found = [next(stream) for _ in range(5)]

    def no_room(**_: Any) -> Any:
        raise InfrastructureError("no machine has 1 CPUs free")

    monkeypatch.setattr(cluster, "start_replica", no_room)
    pid = int((tmp_path / "loaded").read_text().splitlines()[0].split()[1])
    os.kill(pid, signal.SIGKILL)
    found += stream
    assert answers(found) == expected(wanted)
    assert any("continue without it: no machine" in note for note in model.notes)
    again = requests(5)
    assert answers(list(model.generate(again, SamplingParameters()))) == expected(again)


def test_closing_the_stream_stops_the_replicas(make: Any, tmp_path: Path) -> None:
    """An engine must not go on for nobody: it would hold the GPU against the next task."""
    model = make(f"{tmp_path}:0.05", replicas=1)
    stream = model.generate(requests(2000), SamplingParameters())
    next(stream)
    stream.close()
    again = requests(4)
    assert answers(list(model.generate(again, SamplingParameters()))) == expected(again)
    (log,) = [file for file in tmp_path.iterdir() if file.name.isdigit()]
    assert len(log.read_text().splitlines()) < 1000


def test_a_reader_that_is_slow_holds_the_replicas_back(make: Any, tmp_path: Path) -> None:
    """Without back-pressure all samples of a large run would lie in this process's memory."""
    model = make(f"{tmp_path}:0.0", replicas=1)
    stream = model.generate(requests(3000), SamplingParameters())
    next(stream)
    time.sleep(4)
    (log,) = [file for file in tmp_path.iterdir() if file.name.isdigit()]
    assert len(log.read_text().splitlines()) < 3000
    stream.close()


def test_what_loading_raises_is_told_without_a_traceback(make: Any) -> None:
    with pytest.raises(UsageError) as refused:
        make("broken", replicas=1)
    assert str(refused.value) == "there is no model 'broken'"
    with pytest.raises(InfrastructureError) as failed:
        make("crash", replicas=1)
    assert str(failed.value) == "crash could not be loaded: ZeroDivisionError: by zero"


def test_a_model_that_changes_while_it_is_restarted(make: Any, tmp_path: Path) -> None:
    model = make(f"{tmp_path}:0.03", replicas=1)
    stream = model.generate(requests(60), SamplingParameters())
    next(stream)
    (tmp_path / "identity").write_text("other weights")
    os.kill(int((tmp_path / "loaded").read_text().split()[1]), signal.SIGKILL)
    with pytest.raises(UsageError, match="have changed"):
        list(stream)


def test_more_replicas_than_there_is_room_for(cluster: Any) -> None:
    with pytest.raises(InfrastructureError, match="needs 1 CPUs and 4 GPUs on one machine"):
        cluster.start_replica(cpus=1, gpus=4, wait_s=3)


def test_the_samples_of_a_real_checkpoint_are_those_of_the_local_model(
    cluster: Any, tmp_path: Path
) -> None:
    pytest.importorskip("torch", reason="needs pip install 'recode-eval[transformers]'")
    from models import tiny_model

    from recode_eval.distributed.ray_executor import RayExecutor
    from recode_eval.models import create_model

    checkpoint = str(tiny_model.build_checkpoint(tmp_path / "tiny"))
    wanted = [replace(r, problem_id=f"q{i}") for i, r in enumerate(requests(12, 2))]
    parameters = SamplingParameters(temperature=0.8, max_tokens=12)
    options = ModelOptions(device="cpu")
    local = create_model(checkpoint, backend="transformers", options=options)
    executor = RayExecutor(replicas=2)
    executor.prepare("transformers", options)
    remote = executor.create_model(checkpoint, "transformers", options, {})
    try:
        here = answers(list(local.generate(wanted, parameters)))
        assert answers(list(remote.generate(wanted, parameters))) == here
        assert remote.info.identity == local.info.identity
        assert {c.finish_reason for c in remote.generate(wanted[:1], parameters)} <= set(
            FinishReason
        )
    finally:
        remote.close()
        local.close()
