"""The steps of the image in a fresh environment, without a container engine; and lints."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import yaml
from PIL import Image

import sightline
from sightline.deploy.export import export

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent


def test_the_dockerfile_has_no_lint():
    tool = shutil.which("hadolint", path=str(BIN)) or pytest.skip("hadolint is not installed")
    done = subprocess.run([tool, str(DEPLOY / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_compose_file_is_of_its_schema():
    tool = shutil.which("check-jsonschema", path=str(BIN)) or pytest.skip("not installed")
    command = [tool, "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_manifest_is_of_kubernetes_schemas():
    validate = pytest.importorskip("kubernetes_validate")
    for document in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()):
        validate.validate(document, "1.30", strict=True)


def test_image_and_manifests_agree():
    text = (DEPLOY / "Dockerfile").read_text()
    user = re.search(r"USER (\d+):", text)[1]
    deployment = next(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsUser"] == int(user) != 0
    assert "torch" not in (DEPLOY / "requirements.txt").read_text().split()
    assert pod["containers"][0]["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_steps_of_the_image_give_a_server_without_torch(tmp_path):
    data = sightline.load_data("digits")
    run = sightline.create_model("nearest-mean", data).fit(data.train[:300]).save(tmp_path / "run")
    model = export(run, tmp_path / "models").path
    uv = shutil.which("uv") or shutil.which("uv", path=str(BIN)) or pytest.skip("needs uv")
    env = tmp_path / "env"
    python = env / "bin" / "python"
    pins = ["-r", str(DEPLOY / "requirements.txt"), "-c", str(ROOT / "constraints.txt")]
    try:
        for command in (
            [uv, "venv", "-q", "--python", sys.executable, str(env)],
            [uv, "pip", "install", "-q", "--python", str(python), *pins],
            [uv, "pip", "install", "-q", "--python", str(python), "--no-deps", str(ROOT)],
        ):
            subprocess.run(command, check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"packages cannot be installed here: {error.stderr[-200:]!r}")
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode != 0
    server = subprocess.Popen(
        [env / "bin" / "sightline", "serve", str(model), "--port", "8917"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path,
    )  # fmt: skip
    try:
        url = "http://127.0.0.1:8917"
        for _ in range(100):
            try:
                if httpx.get(f"{url}/readyz").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        picture = tmp_path / "a.png"
        Image.fromarray(np.full((20, 20), 130, np.uint8)).save(picture)
        answer = httpx.post(f"{url}/v1/predict", files={"images": picture.read_bytes()}).json()
        wanted = sightline.load_model(run).predict(str(picture))[0]
        assert answer["results"][0]["label"] == wanted.name
        large = tmp_path / "large.webp"  # which is decoded in a process of its own
        Image.fromarray(np.full((900, 900), 130, np.uint8)).save(large, lossless=True)
        answer = httpx.post(f"{url}/v1/predict", files={"images": large.read_bytes()}).json()
        assert answer["results"][0]["label"] == wanted.name
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0, server.stdout.read()
