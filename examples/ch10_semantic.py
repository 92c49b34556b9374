"""A small U-Net tells objects from the background, by cross-entropy and with Lovász's loss of IoU.

Run: python examples/ch10_semantic.py [PICTURE.png [EPOCHS]]: the picture shows what is taken for an
object in drawn shapes. Background everywhere is right for most pixels, which pixel accuracy praises
and IoU does not. Which shape it is takes longer to learn: sightline train unet-lite shapes.
"""

import sys

import numpy as np
import torch

import sightline
from sightline.data.fonts import figure
from sightline.metrics.segment import Evaluation
from sightline.models.segment.losses import cross_entropy, lovasz_softmax
from sightline.models.segment.unet import UNet
from sightline.types import Segmentation

CLASSES = ("background", "object")
LOSSES = {"cross-entropy": (cross_entropy,), "with Lovász": (cross_entropy, lovasz_softmax)}


def main(picture: str = "ch10_semantic.png", epochs: str = "6") -> None:
    data = sightline.load_data("shapes:count=200,size=48,objects=3")
    (X, labels), (X_test, truth) = tensors(data.train), tensors(data.test)
    rows = {"the truth": truth, "background everywhere": torch.zeros_like(truth)}
    for title, terms in LOSSES.items():
        torch.manual_seed(0)
        model = UNet(2, 3, width=8, batch_norm=True)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for batch in (b for _ in range(int(epochs)) for b in torch.randperm(len(X)).split(10)):
            logits = model(X[batch])
            optimizer.zero_grad()
            sum(term(logits, labels[batch]) for term in terms).backward()
            optimizer.step()
        rows[title] = model.eval()(X_test).argmax(1)
    sheet = figure(9, 1.8 * len(rows))
    for part, (title, answers) in zip(sheet.subfigures(len(rows)), rows.items(), strict=True):
        sides = ([Segmentation(v.numpy(), CLASSES) for v in maps] for maps in (truth, answers))
        m = Evaluation.of(*sides, data.test.rows).metrics
        said = f"{title}: mean IoU {m['miou']:.2f}, pixel accuracy {m['pixel_accuracy']:.2f}"
        print(said)
        part.suptitle(said, x=0.01, ha="left", fontsize=9)
        for axes, s, answer in zip(part.subplots(1, 6), data.test, answers, strict=False):
            axes.imshow(np.where(answer[..., None] > 0, s.image, s.image // 5))
            axes.axis("off")
    sheet.savefig(picture)
    print(f"picture: {picture}")


def tensors(split):
    pairs = ((s.image, s.segmentation.label_map > 0) for s in split)  # an object of any class
    images, maps = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
    return images.permute(0, 3, 1, 2) / 127.5 - 1, maps.long()


if __name__ == "__main__":
    main(*sys.argv[1:3])
