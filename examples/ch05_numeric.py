"""Chapter 5: a neural network trained without any calculus, by numeric differentiation.

Every derivative is (L(w + h) - L(w - h)) / 2h: two runs of the network for each weight.
Backpropagation takes the same steps from the same start, in a fraction of the time.

    python examples/ch05_numeric.py [PICTURE.png]
"""

import sys
import time

from matplotlib.figure import Figure

import sightline
from sightline.models.backprop.mlp import MLPClassifier

data = sightline.load_data("digits")
X, y, _ = data.train.arrays((8, 8), "crop")
few = y < 4  # four digits and a small network: 625 parameters, 1,250 runs a step
X, y = X[few][:240] / 120 - 1, y[few][:240]  # ink 0..240 to -1..1
X_test, y_test, _ = data.test.arrays((8, 8), "crop")
X_test, y_test = X_test[y_test < 4] / 120 - 1, y_test[y_test < 4]

found = {}
for gradient in ("numeric", "backprop"):
    model = MLPClassifier(
        hidden=(9,), activation="tanh", dropout=0, optimizer="momentum", learning_rate=0.1,
        epochs=8, batch_size=40, gradient=gradient, precision="float64",
    )  # fmt: skip
    start = time.perf_counter()
    model.fit(X, y, X_val=X_test, y_val=y_test)
    seconds = time.perf_counter() - start
    accuracy = model.score(X_test, y_test)
    found[gradient] = model, seconds, accuracy
    print(f"{gradient:9} {seconds:7.3f} s, test accuracy {accuracy:.1%}")

numeric, backprop = found["numeric"][0], found["backprop"][0]
apart = abs(numeric.network().theta - backprop.network().theta).max()
print(f"after training, no weight differs by more than {apart:.1e}")
print(f"backpropagation is {found['numeric'][1] / found['backprop'][1]:,.0f} times faster")
assert apart < 1e-6
assert found["numeric"][2] > 0.95

figure = Figure(figsize=(9, 3.8), layout="constrained", dpi=110)
left, right = figure.subplots(1, 2)
for (name, (model, seconds, _)), style in zip(found.items(), ("o", "-"), strict=True):
    epochs = [row["epoch"] for row in model.history_]
    left.plot(epochs, [row["train_loss"] for row in model.history_], style, label=name)
    right.barh(f"{name}\n{seconds:.2f} s", seconds, height=0.5)
left.set(xlabel="epoch", ylabel="training loss", title="the same steps ...")
left.legend()
right.set(xscale="log", xlim=(1e-3, 60), xlabel="seconds (log scale)", title="... at another price")
target = sys.argv[1] if len(sys.argv) > 1 else "ch05_numeric.png"
figure.savefig(target)
print(f"picture: {target}")
