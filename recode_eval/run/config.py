"""What a user asks of a run: one frozen, checked value that commands and programs build alike.

`RunConfig` names things (a model, tasks, a prompt); `run.session` turns the names into a model,
data and sandboxes. A value that cannot be right is refused here, before anything is loaded.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from recode_eval.checks import (
    a_day,
    at_least_one,
    named_fields_only,
    numbers,
    of_type,
    one_of,
    path,
    paths,
    texts,
    within,
)
from recode_eval.errors import UsageError
from recode_eval.metrics import DEFAULT_KS
from recode_eval.models.base import ModelInfo
from recode_eval.models.options import ModelOptions
from recode_eval.run.config_parts import BudgetOptions, ConversationOptions, DocsOptions
from recode_eval.sandbox.base import ISOLATIONS

if TYPE_CHECKING:
    from recode_eval.models.base import Model

T = TypeVar("T")

EXECUTORS: Final = ("local", "ray")
MOST_SAMPLES: Final = 10_000
"""Per problem; a slip of the finger must not fill the memory."""
MOST_REPEATS: Final = 100


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """Where programs run.

    >>> SandboxOptions(tier="docker").workers is None
    True
    """

    tier: str = "auto"
    """`auto` (the strongest this machine has), `docker`, `bubblewrap`, `landlock`, `none`, or the
    name of a tier that another package brings."""
    allow_unsafe: bool = False
    """Needed with the tier `none`, which runs untrusted code bare, with the caller's rights."""
    workers: int | None = None
    """Programs at once, at least 1; None: one per usable CPU."""
    base_image: str | None = None
    """Base of the Docker image, if it must be built."""

    def __post_init__(self) -> None:
        of_type("tier", self.tier, str, "a name")
        of_type("allow_unsafe", self.allow_unsafe, bool, "true or false")
        at_least_one("workers", self.workers)
        if self.base_image is not None:
            of_type("base_image", self.base_image, str, "an image's name")

    @property
    def arguments(self) -> dict[str, Any]:
        """What `sandbox.open_router` takes of it."""
        return {
            "tier": self.tier,
            "workers": self.workers,
            "allow_unsafe": self.allow_unsafe,
            "base_image": self.base_image,
        }

    @property
    def named_tier(self) -> str | None:
        """The tier that the user names; None for `auto`."""
        return None if self.tier == "auto" else self.tier


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Where the work runs: on this machine, or on a Ray cluster."""

    name: str = "local"
    ray_address: str | None = None
    """HOST:PORT, or `auto` on a machine of the cluster; None: RAY_ADDRESS, else this machine."""
    replicas: int | None = None
    """Copies of a model; None: one per GPU, or per group of GPUs that a copy needs."""
    replica_cpus: int = 1
    """CPUs that a copy reserves besides its GPUs."""

    def __post_init__(self) -> None:
        one_of("executor", self.name, EXECUTORS)
        if self.ray_address is not None:
            of_type("ray_address", self.ray_address, str, "HOST:PORT or auto")
        at_least_one("replicas", self.replicas)
        at_least_one("replica_cpus", self.replica_cpus)
        if self.name == "local" and (self.ray_address or self.replicas):
            raise UsageError("ray_address and replicas need the executor ray.")


@named_fields_only
@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One model on one or several tasks.

    None means the default of the task's prompt variant. Equal configurations find the same stored
    runs, so the same call continues an interrupted run.

    Raises:
        UsageError: an option does not exist (the message has the nearest one), or a value is out
            of its range.

    >>> config = RunConfig(model="baseline:reference", tasks=["arena-mini"], n=1, limit=4)
    >>> config.tasks
    ('arena-mini',)
    >>> RunConfig(model="baseline:reference", tasks=["arena-mini"], temprature=0.2)
    Traceback (most recent call last):
    ...
    recode_eval.errors.UsageError: Unknown option of RunConfig 'temprature'. Did you mean \
temperature? Known: model, tasks, backend, model_options, data, include_path, skip_bad_rows, \
limit, problems, since, until, quarantine, cutoff, prompt, docs, conversation, budget, n, \
temperature, top_p, max_tokens, seed, repeats, stop, k, isolation, timeout_s, memory_mib, \
sandbox, executor, and 1 more.
    """

    model: str | Path | Model
    """A checkpoint's folder, a GGUF file, a hub id, a served model's name (with
    `model_options.base_url`), `replay:FILE`, `baseline:KIND`, or an object that follows
    `recode_eval.models.base.Model`; the caller closes such an object."""
    tasks: Sequence[str]
    """Names; `recode-eval tasks` lists them."""
    backend: str = "auto"
    model_options: ModelOptions = field(default_factory=ModelOptions)
    data: Mapping[str, str | Path] = field(default_factory=dict)
    """Task name to a .jsonl, .jsonl.gz or .parquet file with its rows."""
    include_path: Sequence[Path | str] = ()
    """Further folders to search for tasks."""
    skip_bad_rows: bool = False
    """Leave malformed rows out instead of raising `DataError` at the first."""
    limit: int | None = None
    """Only this many first problems, at least 1."""
    problems: Sequence[str] = ()
    """Only problems whose id contains one of these patterns (`*` and `?` as in file names)."""
    since: str | None = None
    """Only problems about a change that was not public before this day, `2026-01-31`."""
    until: str | None = None
    """Only problems about a change that was public by this day."""
    quarantine: Path | str | None = None
    """A list of problems to leave out, as `recode-eval validate --quarantine` writes it."""
    cutoff: str | None = None
    """The model's knowledge cut-off, a day: results are also given for changes before and after."""
    prompt: str | None = None
    """A prompt variant of the task, or a .jinja2 file."""
    docs: DocsOptions = field(default_factory=DocsOptions)
    """What the prompt tells the model about the update."""
    conversation: ConversationOptions = field(default_factory=ConversationOptions)
    budget: BudgetOptions = field(default_factory=BudgetOptions)
    n: int | None = None
    """Samples per problem, 1 to 10,000."""
    temperature: float | None = None
    """0 (greedy) to 100."""
    top_p: float | None = None
    """Above 0, at most 1."""
    max_tokens: int | None = None
    """New tokens per sample, at least 1."""
    seed: int = 0
    """Base of every sample's seed."""
    repeats: int = 1
    """Runs of each task, 1 to 100, with the seeds `seed`, `seed + 1`, ...: a retest."""
    stop: Sequence[str] | None = None
    """A sample ends at the first of these texts."""
    k: Sequence[int] = DEFAULT_KS
    """Values of k for pass@k and UPass@k, each at least 1."""
    isolation: str = "split"
    """`program` (one process for all tests of a program) or `test` (a process per test)."""
    timeout_s: float | None = None
    """CPU time limit of one test in seconds, above 0; None: 4 times the reference's, at least 4."""
    memory_mib: float | None = None
    """Memory limit of one program in MiB, at least 64; None: 4096."""
    sandbox: SandboxOptions = field(default_factory=SandboxOptions)
    executor: ExecutorOptions = field(default_factory=ExecutorOptions)
    out: Path | str = Path("runs")
    """Folder for the runs, each in its own subfolder."""

    def __post_init__(self) -> None:
        put = functools.partial(object.__setattr__, self)
        if isinstance(self.model, Path):
            put("model", str(self.model))
        elif not isinstance(self.model, str):
            check_model(self.model)
        put("tasks", tuple(dict.fromkeys(texts("tasks", self.tasks))))
        put("problems", texts("problems", self.problems))
        put("include_path", paths("include_path", self.include_path))
        put("k", numbers("k", self.k))
        if not self.k:
            raise UsageError("k must name at least one number.")
        if max(self.k) > MOST_SAMPLES:
            raise UsageError(f"k must be at most {MOST_SAMPLES}, the most samples of a problem.")
        if self.stop is not None:
            put("stop", texts("stop", self.stop))
            if not all(self.stop):
                raise UsageError("stop must not hold an empty text: it would empty every answer.")
        put("out", path("out", self.out))
        put("data", data_files(self.data))
        put("model_options", options_of(ModelOptions, "model_options", self.model_options))
        put("sandbox", options_of(SandboxOptions, "sandbox", self.sandbox, named="tier"))
        arms = [str(self.docs)] if isinstance(self.docs, str | Path) else self.docs
        put(
            "docs",
            options_of(
                DocsOptions, "docs", {"arms": arms} if isinstance(arms, list | tuple) else arms
            ),
        )
        put("conversation", options_of(ConversationOptions, "conversation", self.conversation))
        put("budget", options_of(BudgetOptions, "budget", self.budget))
        if self.budget.batch and self.conversation.tools:
            raise UsageError(
                "Tools need answers at once, and batch jobs take hours: leave one out."
            )
        put("executor", options_of(ExecutorOptions, "executor", self.executor, named="name"))
        if self.budget.batch and self.conversation.tools:
            raise UsageError("batch and tools exclude each other: a tool is used at once.")
        of_type("seed", self.seed, int, "a whole number")
        at_least_one("repeats", self.repeats)
        if self.repeats > MOST_REPEATS:
            raise UsageError(f"repeats must be at most {MOST_REPEATS}, not {self.repeats}.")
        of_type("backend", self.backend, str, "a name")
        of_type("skip_bad_rows", self.skip_bad_rows, bool, "true or false")
        if self.quarantine is not None:
            put("quarantine", path("quarantine", self.quarantine))
        for name in ("since", "until", "cutoff"):
            a_day(name, getattr(self, name))
        if self.since and self.until and self.since > self.until:
            raise UsageError(f"since ({self.since}) is later than until ({self.until}).")
        if self.prompt is not None:
            put("prompt", str(path("prompt (a variant of the task, or a file)", self.prompt)))
        one_of("isolation", self.isolation, ISOLATIONS)
        for name in ("limit", "n", "max_tokens"):
            at_least_one(name, getattr(self, name))
        if self.n is not None and self.n > MOST_SAMPLES:
            raise UsageError(f"n must be at most {MOST_SAMPLES} samples per problem, not {self.n}.")
        within("temperature", self.temperature, 0, 100)
        within("top_p", self.top_p, 0, 1, above=True)
        check_limits(self.timeout_s, self.memory_mib)
        for task in self.data:
            if self.tasks and task not in self.tasks:
                raise UsageError(f"data: the task {task} is not among the tasks.")

    @property
    def folder(self) -> Path:
        """`out` as a path."""
        return Path(self.out)

    def with_model(self, model: str | Model) -> RunConfig:
        """Return the same for another model."""
        return replace(self, model=model)


def check_model(model: Any) -> None:
    """Raise `UsageError` for an object that does not follow `models.base.Model`."""
    if not hasattr(model, "generate"):
        raise UsageError(f"model must be a name, a path or a model object, not {model!r}.")
    for name in ("generate", "close"):
        if not callable(getattr(model, name, None)):
            raise UsageError(f"The model object {model!r} needs a function {name}().")
    if not isinstance(getattr(model, "info", None), ModelInfo):
        raise UsageError(f"The model object {model!r} needs an `info` of the type ModelInfo.")


def check_limits(timeout_s: Any, memory_mib: Any) -> None:
    """Raise `UsageError` for limits that no program could be graded under."""
    within("timeout_s", timeout_s, 0, 3600, above=True)
    within("memory_mib", memory_mib, 64, 1 << 20)


def data_files(data: Any) -> dict[str, str]:
    """Return task -> absolute path of its rows; raises `UsageError` for anything else."""
    if not isinstance(data, Mapping):
        raise UsageError(f"data must map tasks to files, not {data!r}.")
    return {task: str(path(f"data of {task}", file).absolute()) for task, file in data.items()}


def options_of(kind: type[T], name: str, value: Any, named: str | None = None) -> T:
    """Return options that may be given as a mapping, or as the one name that matters most.

    Raises `UsageError` for anything else.

    >>> options_of(SandboxOptions, "sandbox", "docker", named="tier").tier
    'docker'
    """
    if isinstance(value, kind):
        return value
    if isinstance(value, str) and named is not None:
        return kind(**{named: value})
    if isinstance(value, Mapping):
        return kind(**{str(key): item for key, item in value.items()})
    raise UsageError(f"{name} must be of the type {kind.__name__}, not {value!r}.")


def from_mapping(cls: type[T], raw: Mapping[str, Any]) -> T:
    """Build a configuration from JSON or YAML content; nested options are mappings themselves.

    Raises `UsageError` for unknown keys and for values out of their range.

    >>> raw = {"model": "m", "tasks": ["arena"], "sandbox": {"workers": 2}}
    >>> from_mapping(RunConfig, raw).sandbox
    SandboxOptions(tier='auto', allow_unsafe=False, workers=2, base_image=None)
    """
    return cls(**raw)


def to_mapping(config: Any) -> dict[str, Any]:
    """Return the JSON content from which `from_mapping` builds an equal configuration.

    Raises `UsageError` for a model that is an object: it has no name by which it could be loaded.
    """
    content: dict[str, Any] = {}
    for item in fields(config):
        value = getattr(config, item.name)
        if item.name == "model" and value is not None and not isinstance(value, str):
            raise UsageError("A model object cannot be written down; name a model instead.")
        content[item.name] = _plain(value)
    return content


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
