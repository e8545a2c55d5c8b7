"""Wheel, sdist and editable install, each built and imported in an environment of its own.

The environments see the dependencies of the one that runs the tests (a path file: torch is not downloaded
again), but kgenre itself can only come from what was built here.
"""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from sysconfig import get_path

import pytest

ROOT = Path(__file__).parents[1]
SHIPPED = ["pyproject.toml", "README.md", "LICENSE", "src", "graph", "encoders", "hybrid"]
PROBE = """
import sys, kgenre
for name in kgenre.__all__:
    getattr(kgenre, name)
print(*(sys.modules[name].__file__ for name in sys.modules if name.split(".")[0] == "kgenre"), sep="\\n")
print(kgenre.__version__)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Output of a command that must succeed, free of what the caller's environment says about Python."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def package_files(root: Path) -> set[str]:
    """Every file a checkout holds for the package, under the name an installed one must have."""
    found = set()
    for package in ("graph", "encoders", "hybrid"):
        for path in (root / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.add(f"kgenre/{path.relative_to(root).as_posix()}")
    return found | {"kgenre/__init__.py", "kgenre/__main__.py", "kgenre/py.typed"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("checkout")
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, root / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy2(source, root / name)
    return root


@pytest.fixture(scope="module")
def sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out, cwd=checkout)
    (archive,) = out.glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(checkout, tmp_path_factory.mktemp("wheel"))


def build_wheel(source: Path, out: Path) -> Path:
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=source)
    (archive,) = out.glob("*.whl")
    return archive


class Environment:
    """A fresh virtual environment that borrows the dependencies, but not kgenre, from the running one."""

    def __init__(self, folder: Path) -> None:
        venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
        self.folder = folder
        self.bin = folder / "bin"
        self.site = Path(
            run(
                self.bin / "python",
                "-c",
                "import sysconfig; print(sysconfig.get_path('purelib'))",
                cwd=folder,
            ).strip()
        )
        # A path file adds the folder alone: the path files inside it, an editable kgenre's too, stay unread.
        (self.site / "borrowed.pth").write_text(f"{get_path('purelib')}\n{get_path('platlib')}\n")

    def install(self, *what: str | Path) -> None:
        pip = (sys.executable, "-m", "pip", "--python", self.bin / "python", "install")
        run(*pip, "--quiet", "--no-deps", "--no-index", "--no-build-isolation", *what, cwd=self.folder)

    def probe(self) -> tuple[list[Path], str]:
        *files, version = run(self.bin / "python", "-c", PROBE, cwd=self.folder).splitlines()
        return [Path(file) for file in files], version


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


@pytest.mark.slow
def test_wheel_holds_every_file_of_the_packages_and_nothing_else(checkout: Path, wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == package_files(checkout)


@pytest.mark.slow
def test_wheel_states_its_licence(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    assert "License-Expression: Apache-2.0" in archive.read(metadata).decode()
    assert any(name.endswith("LICENSE") for name in archive.namelist())


@pytest.mark.slow
def test_wheel_installs_and_imports(wheel: Path, environment: Environment) -> None:
    environment.install(wheel)
    files, version = environment.probe()
    assert all(file.is_relative_to(environment.site) for file in files)
    assert wheel.name.startswith(f"kgenre-{version}-")


@pytest.mark.slow
def test_sdist_builds_the_same_wheel_by_itself(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "tarfile", "--extract", sdist, tmp_path, cwd=tmp_path)
    (source,) = tmp_path.iterdir()
    rebuilt = build_wheel(source, tmp_path / "out")
    contents = [
        {
            entry.filename: entry.CRC
            for entry in zipfile.ZipFile(file).infolist()
            if ".dist-info/" not in entry.filename
        }
        for file in (wheel, rebuilt)
    ]
    assert contents[0] == contents[1]


@pytest.mark.slow
def test_sdist_installs_and_imports(sdist: Path, environment: Environment) -> None:
    environment.install(sdist)
    files, _ = environment.probe()
    assert all(file.is_relative_to(environment.site) for file in files)


@pytest.mark.slow
def test_editable_install_runs_the_checkout(checkout: Path, environment: Environment) -> None:
    environment.install("--editable", checkout)
    files, _ = environment.probe()
    assert all(file.resolve().is_relative_to(checkout.resolve()) for file in files)


@pytest.mark.slow
def test_console_script_of_the_wheel_names_its_version(wheel: Path, environment: Environment) -> None:
    environment.install(wheel)
    printed = run(environment.bin / "kgenre", "--version", cwd=environment.folder)
    assert wheel.name.split("-")[1] in printed
