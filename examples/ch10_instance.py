"""An object's mask inside its box: RoIAlign and a head of masks, as Mask R-CNN has them.

Run: python examples/ch10_instance.py [PICTURE.png]: boxes and classes are given, masks learned.
"""

import sys

import numpy as np
import torch
from torch import nn
from torchvision.ops import roi_align

import sightline
from sightline.data.draw import overlay
from sightline.data.fonts import figure
from sightline.data.pasting import paste
from sightline.data.transforms import to_tensors
from sightline.metrics.instances import Evaluation
from sightline.metrics.instances_table import Masks


def main(picture: str = "ch10_instance.png") -> None:
    data = sightline.load_data("shapes:count=80,size=96")
    torch.manual_seed(0)
    head = nn.Sequential(nn.Conv2d(3, 32, 7, padding=3), nn.ReLU(), nn.Conv2d(32, 6, 7, padding=3))
    optimizer = torch.optim.AdamW(head.parameters(), 3e-3)
    crops, y, inside = (torch.cat(part) for part in zip(*map(regions, data.train), strict=True))
    for batch in (b for _ in range(12) for b in torch.randperm(len(y)).split(16)):
        said = head(crops[batch])[torch.arange(len(batch)), y[batch]]  # of the true class alone
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(said, inside[batch]).backward()
        optimizer.step()
    truth = [Masks.of(sample.objects) for sample in data.test]
    rows = {"the objects": truth, "whole boxes": [], "what the head says": []}
    for true, sample in zip(truth, data.test, strict=True):
        crops, y, _ = regions(sample)
        said = head(crops)[torch.arange(len(y)), y].sigmoid().detach().numpy()
        for title, small in zip(list(rows)[1:], (said**0, said), strict=True):
            codes = tuple(c["counts"] for c in paste(small, sample.objects.boxes, true.size))
            rows[title].append(Masks(true.size, codes, true.labels, true.classes, true.scores))
    for axes, (title, of) in zip((sheet := figure(10, 6)).subplots(3), rows.items(), strict=True):
        print(said := f"{title}: AP {Evaluation.of(truth, of, data.test.rows).metrics['ap']:.2f}")
        parts = zip(list(data.test)[:6], ((o, range(len(o))) for o in of), strict=False)
        tinted = [overlay(s.image, np.array([*map(o.mask, n)]), o.labels) for s, (o, n) in parts]
        axes.imshow(np.hstack(tinted))
        axes.set(title=said, xticks=[], yticks=[])
    sheet.savefig(picture)
    print(f"picture: {picture}")


def regions(sample):
    image, known = to_tensors(sample)
    boxes, masks = list(known["boxes"][:, None]), known["masks"][:, None].float()
    crops = roi_align(image[None] / 127.5 - 1, [torch.cat(boxes)], 28)
    return crops, known["labels"], roi_align(masks, boxes, 28)[:, 0].round()


if __name__ == "__main__":
    main(*sys.argv[1:2])
