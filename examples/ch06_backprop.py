"""Chapter 6: backpropagation; a perceptron and a convolutional network in NumPy.

First the gradients are checked against numeric differentiation, then both networks learn
the digits, and the perceptron once more from few images, to see it overfit.

    python examples/ch06_backprop.py [PICTURE.png]
"""

import sys

import numpy as np

import sightline
from sightline.models.backprop.convnet import ConvNetClassifier
from sightline.models.backprop.gradient_check import check_layers
from sightline.models.backprop.mlp import MLPClassifier
from sightline.report.curves import training_curves

data = sightline.load_data("digits")
(X, y, _), (X_val, y_val, _), (X_test, y_test, _) = (
    split.arrays((8, 8), "crop") for split in (data.train, data.val, data.test)
)
X, X_val, X_test = (images / 120 - 1 for images in (X, X_val, X_test))  # ink 0..240 to -1..1

print("relative error of backpropagation, layer by layer:")
conv = ConvNetClassifier(channels=(16, 32), hidden=64, epochs=8, learning_rate=0.003)
x = np.random.default_rng(0).normal(size=(6, 8, 8, 1))
checks = check_layers(conv.build((8, 8, 1), 10), conv.make_loss(), x, np.arange(6), samples=20)
for check in checks:
    print(f"  {check.name:22} {check.error:.1e}")
assert max(check.error for check in checks) < 1e-6

for model in (MLPClassifier(hidden=(128,), epochs=25), conv):
    model.fit(X, y, X_val=X_val, y_val=y_val)
    accuracy = model.score(X_test, y_test)
    print(f"{type(model).__name__:18} test accuracy {accuracy:.1%}")
    assert accuracy > 0.95

few = MLPClassifier(hidden=(128,), dropout=0, epochs=40, learning_rate=0.005, schedule="constant")
few.fit(X[:150], y[:150], X_val=X_val, y_val=y_val)
print(f"from 150 images:   test accuracy {few.score(X_test, y_test):.1%}")
for remark in few.remarks:
    print(f"  {remark}")

target = sys.argv[1] if len(sys.argv) > 1 else "ch06_backprop.png"
training_curves(few.history_, "150 digits learned by heart").savefig(target, dpi=110)
print(f"picture: {target}")
