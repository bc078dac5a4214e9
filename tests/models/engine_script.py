"""Run in the Python of another environment: create models, serve some calls, print the answers.

Reads a JSON list of jobs from standard input: `spec`, `backend`, `options`, and `calls`, each with
`requests`, `parameters` and, to close the stream early, `take`. With `kill` the engine's processes
are killed after the first completion. Writes a list of objects: `info` and `answers`, a list of
completions per call, or `error` and `message`.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
from dataclasses import asdict
from itertools import islice
from typing import Any


def main() -> None:
    json.dump([do(job) for job in json.load(sys.stdin)], sys.stdout)


def do(job: dict[str, Any]) -> dict[str, Any]:
    from recode_eval.errors import RecodeError
    from recode_eval.models import ModelOptions, SamplingParameters, create_model

    answers: list[list[dict[str, Any]]] = []
    try:
        model = create_model(
            job["spec"], backend=job["backend"], options=ModelOptions(**job["options"])
        )
    except RecodeError as error:
        return {"error": type(error).__name__, "message": str(error)}
    try:
        for call in job["calls"]:
            parameters = SamplingParameters(**call["parameters"])
            stream = model.generate([load_request(raw) for raw in call["requests"]], parameters)
            answers.append([])
            for completion in islice(stream, call.get("take")):
                answers[-1].append(asdict(completion))
                if call.get("kill"):
                    for child in multiprocessing.active_children():
                        child.kill()
            stream.close()
        return {"info": asdict(model.info), "answers": answers}
    except RecodeError as error:
        return {"error": type(error).__name__, "message": str(error), "answers": answers}
    finally:
        model.close()
        model.close()


def load_request(raw: dict[str, Any]) -> Any:
    from recode_eval.models import Message, Prompt, Request

    messages = tuple(Message(**message) for message in raw["prompt"]["messages"])
    return Request(
        raw["problem_id"],
        Prompt(messages, raw["prompt"]["prefill"]),
        tuple(raw["samples"]),
        tuple(raw["seeds"]),
    )


if __name__ == "__main__":
    main()
