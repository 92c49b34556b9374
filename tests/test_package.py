"""What is built: metadata, and a wheel and an sdist that install and run where nothing else is."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
INSIDE = (
    "data/digits.npz", "data/fonts.py", "deploy/edge_runner.py", "deploy/prices.toml",
    "deploy/web/app.js", "deploy/web/classify.js", "deploy/web/index.html", "deploy/web/style.css",
    "models/classify/imagenet_names.csv", "py.typed",
    "report/templates/comparison.html.j2", "report/templates/run.html.j2",
    "report/templates/style.css", "training/recipes/speedrun.toml",
)  # fmt: skip


def test_metadata_says_where_and_for_what():
    assert {"Homepage", "Documentation", "Changelog", "Issues"} <= PROJECT["urls"].keys()
    said = set(PROJECT["classifiers"])
    for version in ("3.11", "3.12"):
        assert f"Programming Language :: Python :: {version}" in said
    assert not any(c.startswith("License ::") for c in said)  # the field license says it


def test_users_get_none_of_what_only_tests_need():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    calls = re.findall(r"\$\((READY\w*)\): .*\n\t\$\(call install,(\S+)\)\n", makefile)
    assert dict(calls) == {"READY": "$(DEMO)", "READY_DEV": "dev"}
    assert re.search(r"^DEMO := serve,pretrained$", makefile, re.MULTILINE)
    assert re.search(r"^demo: \$\(READY\)$", makefile, re.MULTILINE)
    for target in ("test", "slow", "check"):
        assert re.search(rf"^{target}: \$\(READY_DEV\)$", makefile, re.MULTILINE)
    users = " ".join(
        [*PROJECT["dependencies"], *EXTRAS["serve"], *EXTRAS["export"], *EXTRAS["pretrained"]]
    )
    for heavy in ("ray", "mypy", "kubernetes", "pytest", "hypothesis", "selenium"):
        assert not re.search(rf"\b{heavy}", users)


def test_every_extra_stands_in_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for extra in EXTRAS:
        assert f"'.[{extra}]'" in text


def test_no_registry_stands_in_what_is_committed():
    for name in ("pyproject.toml", "constraints.txt", "Makefile", "deploy/requirements.txt"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"index-url|pypi\.|/simple", text), name


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    uv = shutil.which("uv") or shutil.which("uv", path=sysconfig.get_path("scripts"))
    if uv is None:
        pytest.skip("uv is not installed")
    out = tmp_path_factory.mktemp("dist")
    subprocess.run([uv, "build", "--quiet", "--out-dir", out, ROOT], check=True, timeout=280)
    return uv, out


@pytest.mark.slow
def test_the_wheel_and_the_sdist_are_whole(built):
    _, out = built
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
        about = next(n for n in names if n.endswith("METADATA"))
        metadata = file.read(about).decode()
    for name in INSIDE:
        assert f"sightline/{name}" in names, name
    assert not any(name.startswith(("tests/", "benchmarks/")) for name in names)
    assert "Project-URL: Homepage" in metadata
    with tarfile.open(sdist) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    for name in ("Makefile", "constraints.txt", "README.zh.md", "src/sightline/data/digits.npz",
                 "tests/test_package.py"):  # fmt: skip
        assert name in held, name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_it_installs_and_runs_in_a_fresh_environment(built, tmp_path, kind):
    uv, out = built
    (package,) = out.glob(kind)
    venv = tmp_path / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--python", venv, package], check=True
    )
    # Its libraries are those of this environment; a folder added so runs no .pth of its own.
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    run = {"cwd": tmp_path, "env": os.environ | {"SIGHTLINE_HOME": str(tmp_path / "home")},
           "capture_output": True, "text": True, "check": True}  # fmt: skip
    where = subprocess.run(
        [venv / "bin/python", "-c", "import sightline; print(sightline.__file__)"], **run
    )
    assert Path(where.stdout.strip()).is_relative_to(venv)
    command = venv / "bin/sightline"
    assert "compare" in subprocess.run([command, "--help"], **run).stdout
    assert "1,797 images" in subprocess.run([command, "data", "audit", "digits"], **run).stdout
    subprocess.run([command, "train", "majority", "digits", "-o", "r"], **run)
    assert (tmp_path / "r/report.html").is_file()
