"""The script behind `make` that puts the virtual environment in place."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "tools" / "venv.sh"


def make_venv(folder: Path, python: Path | str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHON3": str(python)}
    return subprocess.run([str(SCRIPT), str(folder)], env=environment, capture_output=True, text=True)


def test_a_machine_without_a_recent_python_is_told_how_to_name_one(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = make_venv(tmp_path / "venv", old)
    assert done.returncode == 2
    assert "no Python 3.11 or newer" in done.stderr
    assert "PYTHON3=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_an_environment_that_works_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    assert make_venv(folder, sys.executable).returncode == 0
    keepsake = folder / "keepsake"
    keepsake.touch()
    done = make_venv(folder, tmp_path / "no-python-at-all")
    assert done.returncode == 0
    assert keepsake.exists()


def test_an_environment_whose_python_is_gone_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (folder / "bin" / "python").chmod(0o755)
    done = make_venv(folder, sys.executable)
    assert done.returncode == 2
    assert "make clean" in done.stderr
