"""Which wheels the host's pip fetches for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny_wheels import make_wheel

from recode_eval.sandbox.base import SandboxBuildError
from recode_eval.sandbox.buildlog import BuildLog
from recode_eval.sandbox.requirements import Pin
from recode_eval.sandbox.wheelhouse import Target, download, pip_environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

TARGET = Target((3, 12), "x86_64", (2, 36))


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all that pip may use."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def fetch(tmp_path: Path, *pins: Pin, target: Target = TARGET) -> set[str]:
    """Download and return the file names."""
    into = tmp_path / "wheels"
    with BuildLog("the thing", "thing") as log:
        download(pins, target, into, log)
    return {path.name for path in into.iterdir()}


def test_the_images_python_decides_not_the_hosts(links: Path, tmp_path: Path) -> None:
    for python in ("cp311", "cp312", "cp313"):
        make_wheel(links, "native", "1.0", f"{python}-{python}-manylinux_2_28_x86_64")
    make_wheel(links, "stable", "1.0", "cp38-abi3-manylinux2014_x86_64")
    make_wheel(links, "pure", "1.0")
    assert fetch(tmp_path, Pin("native", "1.0"), Pin("stable", "1.0"), Pin("pure", "1.0")) == {
        "native-1.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        "stable-1.0-cp38-abi3-manylinux2014_x86_64.whl",
        "pure-1.0-py3-none-any.whl",
    }


@pytest.mark.parametrize(
    ("tag", "fits"),
    [
        ("cp312-cp312-manylinux_2_36_x86_64", True),
        ("cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64", True),
        ("cp312-cp312-manylinux1_x86_64", True),
        ("cp312-cp312-manylinux_2_39_x86_64", False),
        ("cp312-cp312-manylinux_2_17_aarch64", False),
        ("cp312-cp312-musllinux_1_2_x86_64", False),
        ("cp312-cp312-macosx_11_0_arm64", False),
        ("cp313-cp313-manylinux_2_17_x86_64", False),
    ],
)
def test_only_wheels_that_the_image_can_load_are_taken(
    links: Path, tmp_path: Path, tag: str, fits: bool
) -> None:
    make_wheel(links, "native", "1.0", tag)
    if fits:
        assert fetch(tmp_path, Pin("native", "1.0")) == {f"native-1.0-{tag}.whl"}
    else:
        with pytest.raises(SandboxBuildError, match="No matching distribution found for native"):
            fetch(tmp_path, Pin("native", "1.0"))


def test_dependencies_are_not_followed(links: Path, tmp_path: Path) -> None:
    """Those of torch are gigabytes of CUDA, and another sympy than the benchmark's."""
    make_wheel(links, "torch", "2.13.0+cpu", requires="nvidia-everything==13")
    make_wheel(links, "pure", "1.0", requires="also-missing")
    wheels = fetch(tmp_path, Pin("pure", "1.0"), Pin("torch", "2.13.0+cpu"))
    assert wheels == {"pure-1.0-py3-none-any.whl", "torch-2.13.0+cpu-py3-none-any.whl"}


def test_a_cpu_build_is_found_by_the_users_configuration(links: Path, tmp_path: Path) -> None:
    """PyTorch's own index cannot be reached here (no index at all may be used)."""
    make_wheel(links, "pure", "1.0")
    make_wheel(links, "torch", "2.13.0+cpu")
    assert "torch-2.13.0+cpu-py3-none-any.whl" in fetch(
        tmp_path, Pin("pure", "1.0"), Pin("torch", "2.13.0+cpu")
    )


@pytest.mark.parametrize("build", ["2.13.0", "2.13.0+cu130", "2.13.1+cpu"])
def test_no_other_build_of_torch_stands_in_for_the_cpu_build(
    links: Path, tmp_path: Path, build: str
) -> None:
    """The plain one of PyPI needs CUDA libraries that are not installed: it cannot be imported."""
    make_wheel(links, "pure", "1.0")
    make_wheel(links, "torch", build)
    with pytest.raises(SandboxBuildError, match=r"torch==2\.13\.0\+cpu.*download\.pytorch\.org"):
        fetch(tmp_path, Pin("pure", "1.0"), Pin("torch", "2.13.0+cpu"))


def test_settings_for_the_users_own_installations_do_no_harm(
    links: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(links, "pure", "1.0")
    (tmp_path / "constraints.txt").write_text("pure==9\n")
    for name, value in {
        "PIP_USER": "1",
        "PIP_TARGET": str(tmp_path / "target"),
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_CONSTRAINT": str(tmp_path / "constraints.txt"),
        "PIP_REQUIRE_HASHES": "1",
    }.items():
        monkeypatch.setenv(name, value)
    assert fetch(tmp_path, Pin("pure", "1.0")) == {"pure-1.0-py3-none-any.whl"}
    assert pip_environment()["PIP_FIND_LINKS"] == str(links)
