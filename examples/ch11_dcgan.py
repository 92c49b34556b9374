"""Two networks that learn against each other, and whether either of them wins.

Run: python examples/ch11_dcgan.py [PICTURE.png] (Radford, Metz & Chintala, 2016): made digits, the
share of real and made ones that the discriminator tells right, and how varied the made ones are.
"""

import sys

import sightline
from sightline.data import fonts
from sightline.report.generate_plots import sheet


def main() -> None:
    data = sightline.load_data("digits")
    model = sightline.create_model(
        "dcgan", data, width=32, latent=32, epochs=15.0, least_steps=1, ema=0.99, device="cpu"
    )
    model.fit(data.train, data.val)
    told = [row["val_told_apart"] for row in model.history]
    spread = [row["val_spread"] for row in model.history]
    print(f"told apart: {told[0]:.0%} after an epoch, {told[-1]:.0%} in the end; 50% is a guess")
    print(f"variance of made pixels, as a share of the real ones': {spread[-1]:.2f}")
    assert told[-1] < 0.95, "the discriminator has won"
    assert 0.5 < spread[-1] < 2, "the made digits are alike, or noise"
    drawing = fonts.figure(10, 4.4)
    left, right = drawing.subplots(1, 2)
    left.imshow(sheet(model.generate(64), 8)[:, :, 0], cmap="gray")
    left.set_title("made digits", fontsize=9)
    left.axis("off")
    epochs = [row["epoch"] for row in model.history]
    right.plot(epochs, told, label="told apart")
    right.plot(epochs, spread, label="variance, as a share of the real one")
    right.axhline(0.5, color="#888888", linewidth=0.8, linestyle=":")
    right.set_xlabel("epoch")
    right.set_ylim(0, 1.5)
    right.legend(fontsize=8)
    target = sys.argv[1] if len(sys.argv) > 1 else "ch11_dcgan.png"
    fonts.save(drawing, target)
    print(f"picture: {target}")


if __name__ == "__main__":
    main()
