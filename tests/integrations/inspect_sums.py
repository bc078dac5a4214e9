"""Run by the Python of inspect_ai: writes one log of a small task with its mock model."""

import random
import sys

import inspect_ai
from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, match, mean, scorer, stderr
from inspect_ai.solver import generate


@scorer(metrics=[mean(), stderr()])
def share():
    async def score(state, target):
        return Score(value=0.5 if target.text in state.output.completion else 0.25)

    return score


def main(folder: str, form: str, chance: float, seed: int, clusters: bool, problems: int) -> None:
    luck = random.Random(seed)
    samples = [
        Sample(
            id=f"q{i}",
            input=f"{i}+{i}",
            target=str(2 * i),
            metadata={"cluster": f"c{i // 3}"} if clusters else {},
        )
        for i in range(problems)
    ]
    outputs = []
    for _ in range(2):
        for i in range(problems):
            text = str(2 * i) if luck.random() < chance else "no"
            output = ModelOutput.from_content("mockllm/model", text)
            output.usage = ModelUsage(input_tokens=5, output_tokens=2, total_tokens=7)
            outputs.append(output)
    task = Task(
        dataset=MemoryDataset(samples, name="sums"),
        solver=generate(),
        scorer=[match(), share()],
        epochs=2,
        name="sums",
    )
    model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
    inspect_ai.eval(
        task, model=model, log_dir=folder, log_format=form, display="none",
        max_connections=1, max_samples=1,
    )  # fmt: skip


main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), sys.argv[5] == "yes",
     int(sys.argv[6]))  # fmt: skip
