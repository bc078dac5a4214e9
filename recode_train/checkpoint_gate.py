"""A callback of transformers that gates every checkpoint of a training, and can end it.

    trainer.add_callback(gate_callback("runs/base/arena-0123456789ab", ["--sandbox=docker"]))

`recode-eval watch` runs in a process of its own for as long as the training does; the trainer's
process evaluates nothing. It works with every trainer of transformers and TRL.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recode_eval.errors import ExitCode, StorageError
from recode_eval.gating.history import HISTORY, read_history
from recode_eval.run.store import make_folder
from recode_train.callbacks import as_callback

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOG: Final = logging.getLogger(__name__)
_OF_THE_TRAINING: Final = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK",
                           "MASTER_ADDR", "MASTER_PORT")  # fmt: skip
_PREFIXES: Final = ("ACCELERATE_", "TORCHELASTIC_", "FSDP_", "DEEPSPEED_")
_POLL_S: Final = 0.2


def gate_callback(
    baseline: str | Path,
    arguments: Sequence[str] = (),
    *,
    out: str | Path | None = None,
    stop: bool = True,
    wait: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Any:
    """Return a callback that gates each checkpoint of the training it is added to.

    `baseline` is a stored run, or `first`, `previous` or `best`. `arguments` are further options of
    `recode-eval watch`. Verdicts go to the folder `out`, by default `gate` in the training's own.
    All verdicts of a training share the policy's alpha: at most 5 % of the trainings whose
    checkpoints are all equally good meet a regression (`--per-checkpoint`: the full level each).
    With `stop`, a regression ends the training: at the next step, or in several processes at the
    next checkpoint. With `wait`, every save waits for its verdict: no step is trained in vain, and
    engine and training need not share a GPU's time (in several processes, mind their timeout).
    `environment` is added to that of the watching process, for instance CUDA_VISIBLE_DEVICES. The
    end of the training waits for the verdicts that are left.

    >>> from recode_train import gate_callback
    >>> callback = gate_callback("runs/base/arena-mini-0123456789ab", ["--sandbox=docker"])
    >>> callback.on_save.__name__  # trainer.add_callback(callback)
    'on_save'
    """
    words = ["--baseline", str(baseline), *arguments, *(["--stop-on=regress"] if stop else [])]
    return as_callback(GateWatch(words, out, stop, wait, environment or {}))


def first_regression(out: Path) -> str | None:
    """Return the first checkpoint that the gate in the folder `out` found worse; None: none."""
    lines = read_history(out / HISTORY)
    return next((line["checkpoint"] for line in lines if line["status"] == "regress"), None)


class GateWatch:
    """Starts the watch with the training, checks on it at every step, and ends with it."""

    def __init__(
        self,
        words: Sequence[str],
        out: str | Path | None,
        stop: bool,
        wait: bool,
        environment: Mapping[str, str],
    ) -> None:
        self._words = list(words)
        self._out = None if out is None else Path(out)
        self._stop = stop
        self._wait = wait
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._told = False

    def on_train_begin(self, args: Any, state: Any, _control: Any, **_: Any) -> None:
        """Start to watch; raises `StorageError`."""
        if state.is_world_process_zero:
            self._out = self._out or Path(args.output_dir) / "gate"
            make_folder(self._out)
            self._process = self._start(Path(args.output_dir), self._out)

    def on_step_end(self, _args: Any, _state: Any, control: Any, **_: Any) -> None:
        """End the training after a regression; a single process need not ask others."""
        if not _several_processes() and self._regressed():
            control.should_training_stop = True

    def on_save(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Wait for the verdict if asked to, and end the training in all processes together."""
        if self._wait and self._process is not None:
            self._wait_for(f"checkpoint-{state.global_step}")
        if _agreed(self._regressed()):
            control.should_training_stop = True

    def on_train_end(self, _args: Any, _state: Any, _control: Any, **_: Any) -> None:
        """Let the watch gate the remaining checkpoints, and wait for it."""
        if self._process is not None:
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._process.wait()
            self._tell()

    def _start(self, training: Path, out: Path) -> subprocess.Popen[bytes]:
        environment = {
            key: value
            for key, value in os.environ.items()
            if key not in _OF_THE_TRAINING and not key.startswith(_PREFIXES)
        }
        # The pipe ends with this process, however it ends; and with it the watch.
        words = ["watch", str(training), *self._words, f"--out={out}", "--interval=1",
                 "--while-stdin"]  # fmt: skip
        try:
            with (out / "watch.log").open("ab") as log:
                return subprocess.Popen(
                    [sys.executable, "-m", "recode_eval", *words],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=log,
                    env={**environment, **self._environment},
                )  # fmt: skip
        except OSError as error:
            raise StorageError(
                f"Cannot write the watch's files to {out}: {error.strerror}."
            ) from error

    def _wait_for(self, name: str) -> None:
        assert self._process is not None
        assert self._out is not None
        while self._process.poll() is None:
            if any(line["checkpoint"] == name for line in read_history(self._out / HISTORY)):
                # A watch that ends because of a verdict does so at once.
                self._settle()
                return
            time.sleep(_POLL_S)

    def _settle(self) -> None:
        """Wait for a watch to end that has noted a regression."""
        assert self._process is not None
        assert self._out is not None
        line = read_history(self._out / HISTORY)[-1]
        if self._stop and line["status"] == "regress":
            self._process.wait()

    def _regressed(self) -> bool:
        if self._process is None or self._process.poll() is None:
            return False
        self._tell()
        return self._stop and self._process.returncode == ExitCode.CHECK_FAILED

    def _tell(self) -> None:
        """Warn once that the watch has failed; that must not cost the training."""
        assert self._process is not None
        code = self._process.returncode
        if not self._told and code not in {*range(5), 130}:
            _LOG.warning("The gate ended with exit code %s; see %s.", code, self._out)
        self._told = True


def _several_processes() -> bool:
    import torch

    available = torch.distributed.is_available() and torch.distributed.is_initialized()
    return bool(available and torch.distributed.get_world_size() > 1)


def _agreed(value: bool) -> bool:
    """Return what the first process knows; all processes must call this."""
    if not _several_processes():
        return value
    import torch

    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]
