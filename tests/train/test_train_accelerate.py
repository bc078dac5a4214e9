"""The shipped configurations are what accelerate understands, and what their comments say."""

from __future__ import annotations

import pytest

from recode_eval.errors import ExitCode
from recode_train import accelerate
from recode_train.commands.accelerate import run

KINDS = {"ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}


def test_all_are_there():
    assert accelerate.names() == sorted(KINDS)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_accelerate_reads_them(name):
    reading = pytest.importorskip(
        "accelerate.commands.config.config_args", reason="needs the extra train"
    )
    config = reading.load_config_from_file(str(accelerate.path(name)))
    assert config.distributed_type.value == KINDS[name]
    assert config.mixed_precision == "bf16"
    assert accelerate.path(name).read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_launcher_knows_every_key(name):
    """The parser of configurations takes any key of FSDP; the launcher ignores what it lacks."""
    launch = pytest.importorskip("accelerate.commands.launch", reason="needs the extra train")
    import yaml

    known = vars(launch.launch_command_parser().parse_args(["script.py"]))
    content = yaml.safe_load(accelerate.path(name).read_text(encoding="utf-8"))
    given = {**content.get("fsdp_config", {}), **content.get("deepspeed_config", {})}
    assert set(given) <= set(known)


def test_what_is_sharded():
    yaml = pytest.importorskip("yaml")

    def read(name):
        return yaml.safe_load(accelerate.path(name).read_text(encoding="utf-8"))

    assert read("fsdp2")["fsdp_config"]["fsdp_version"] == 2
    assert read("fsdp2")["fsdp_config"]["fsdp_reshard_after_forward"] is True
    assert [read(f"zero{n}")["deepspeed_config"]["zero_stage"] for n in (2, 3)] == [2, 3]


def test_the_path_is_printed(capsys):
    assert run(["fsdp2"]) == ExitCode.OK
    assert capsys.readouterr().out.strip() == str(accelerate.path("fsdp2"))


def test_an_unknown_name_has_a_hint(capsys):
    assert run(["fsdp"]) == ExitCode.USAGE
    assert "Did you mean fsdp2?" in capsys.readouterr().err
