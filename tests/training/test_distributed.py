"""Two processes on one global batch do what one process does."""

from __future__ import annotations

import subprocess
import sys

import torch
from safetensors.torch import load_file

SCRIPT = """
import sys
import torch
from safetensors.torch import save_file
import sightline
from sightline.estimators.classify_network import cross_entropy
from sightline.estimators.network import mean_and_std
from sightline.training.engine import Training, launch
from sightline.training.packed_feed import PackedFeed
from sightline.training.labelled_recipe import LabelledRecipe

devices, out = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
X, y, _ = sightline.load_data("digits").train.arrays()
recipe = LabelledRecipe(
    epochs=1, batch_size=64, lr=0.02, flip="none", devices=devices, device="cpu"
)
fabric = launch(recipe)
torch.manual_seed(0)
model = torch.nn.Sequential(
    torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 10)
)
X, y = X[:1280], y[:1280]
feed = PackedFeed(
    X, y, *mean_and_std(X), 10, recipe, fabric.device, 0, fabric.global_rank, fabric.world_size
)
training = Training(fabric, model, feed, recipe, lambda m, b: cross_entropy(m(b[0]), b[1]))
outcome = training.run()
assert training.step == 20, training.step
if fabric.is_global_zero:
    save_file(model.state_dict(), out, {"loss": str(outcome.history[-1]["train_loss"])})
"""


def trained(tmp_path, devices):
    script, out = tmp_path / "train.py", tmp_path / f"{devices}.safetensors"
    script.write_text(SCRIPT)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={devices}"]
    command = [sys.executable, *(launcher if devices > 1 else []), str(script), str(devices), out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, f"{done.stderr[:4000]} ... {done.stderr[-1000:]}"
    return load_file(out)


def test_two_processes_equal_one(tmp_path):
    one, two = trained(tmp_path, 1), trained(tmp_path, 2)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-5)
