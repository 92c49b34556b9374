"""Say remarks and notes in Chinese too: lines that the library writes in English.

A remark arises far from the page, in the library, and is kept as text in a run and in
``results.json``. Its Chinese form is made of the English one by its pattern; names, numbers and
figures stay. What matches no pattern is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sightline.report.words import CHINESE, Said

_FIGURES = {
    "accuracy": "准确率", "balanced accuracy": "平衡准确率", "loss": "损失",
}  # fmt: skip

_PATTERNS: tuple[tuple[str, str], ...] = (
    (r"overfitting from epoch (\d+): (.+)", r"从第 \1 轮起过拟合：{2}"),
    (
        r"the validation loss climbs from (\S+) to (\S+) while the training loss falls",
        r"验证损失从 \1 升到 \2，而训练损失下降",
    ),
    (
        r"(.+) is (\S+ points|\S+) higher on training than validation images",
        r"训练图像上的{1}比验证图像高 {2}",
    ),
    (
        r"(.+) is (\S+ points|\S+) lower on training than validation images",
        r"训练图像上的{1}比验证图像低 {2}",
    ),
    (r"the weights of epoch (\d+) of (\d+) are kept: (.+)", r"保留第 \1 轮（共 \2 轮）的权重：{3}"),
    (
        r"(.+) on validation images was (\S+) then, and (\S+) at the end",
        r"当时验证图像上的{1}为 \2，结束时为 \3",
    ),
    (r"the validation loss rose from (\S+) to (\S+)", r"验证损失从 \1 升到 \2"),
    (r"(\S+) points", r"\1 个百分点"),
    (
        r"accuracy (\S+) is below always naming the most frequent class, which is right for (\S+)",
        r"准确率 \1 低于总是回答最常见类别的 \2",
    ),
    (
        r"accuracy (\S+) is not shown to be above always naming the most frequent class, which is "
        r"right for (\S+): (\S+) images cannot tell",
        r"准确率 \1 不能证明高于总是回答最常见类别的 \2：\3 张图像不足以区分",
    ),
    (
        r"has learned next to nothing: its loss on training images, (\S+), is that of guessing by "
        r"how frequent each class is, (\S+)",
        r"几乎什么都没学到：训练图像上的损失 \1 相当于按类别频率猜测的 \2",
    ),
    (
        r"stopped after epoch (\d+): no better validation for (\d+) epochs",
        r"在第 \1 轮后停止：验证结果已有 \2 轮没有变好",
    ),
    (
        r"stopped early after epoch (\d+): the validation loss is lowest \((\S+)\) after epoch "
        r"(\d+), whose weights are kept",
        r"在第 \1 轮后提前停止：第 \3 轮的验证损失最低（\2），保留其权重",
    ),
    (
        r"the loss is not finite at step (\d+) \(epoch (\d+)\): stopped, and epoch \d+ is lost; "
        r"(.+)",
        r"第 \1 步（第 \2 轮）的损失不是有限数：训练停止，该轮作废；\3",
    ),
    (
        r"training diverged in epoch (\d+): (.+) is not finite: stopped, and the epoch is lost; "
        r"lower the learning rate",
        r"训练在第 \1 轮发散（\2 不是有限数）：训练停止，该轮作废；请降低学习率",
    ),
    (
        r"streamed: pictures are read anew in every epoch, (.+); (.+)",
        r"边读边学：每一轮都重新读取图片（\1）；\2",
    ),
    (
        r"(\d+) processes shared (\d+) cores: devices=\d+ would have been as fast",
        r"\1 个进程共用 \2 个核心：devices=\2 会同样快",
    ),
    (
        r"(\d+) of (\S+) images cannot be read and are left out: (.+)",
        r"\2 张图像中有 \1 张无法读取，已略过：\3",
    ),
    (
        r"images of (\d+) pixels a side are small for a network that was trained on photographs: "
        r"they were enlarged to (\d+), and methods on their pixels may do better",
        r"边长 \1 像素的图像对用照片训练的网络来说太小：已放大到 \2，直接用像素的方法可能更好",
    ),
    (r"mask values are read as classes: (.+)", r"掩码的值被读作类别：{1}"),
    (r"mask values are read as numbers of objects: (.+)", r"掩码的值被读作物体编号：{1}"),
    (r"there are only 0 and (\d+), which are two classes", r"只有 0 和 \1，即两个类别"),
    (r"(\S+) names their colours", r"\1 给出了它们的颜色"),
    (
        r"in (\d+) masks (\d+) of (\d+) values are one connected part, and they run from 1 in "
        r"(\d+)",
        r"\1 个掩码中 \3 个值里有 \2 个连成一块，其中 \4 个掩码的值从 1 起连续",
    ),
    (
        r"in (\d+) masks (\d+) of (\d+) values are one connected part, and they run from 1 to a "
        r"number that differs",
        r"\1 个掩码中 \3 个值里有 \2 个连成一块，且从 1 起连续，个数各不相同",
    ),
    (
        r"no classes\.txt: the values 0 to (\d+) are called .+; a classes\.txt names them, and "
        r"ignores one that it calls void or unlabelled",
        r"没有 classes.txt：值 0 至 \1 按编号命名；可用 classes.txt 命名，"
        r"其中名为“void”或“unlabelled”的会被忽略",
    ),
    (
        r"no image has a pixel that counts, so that nothing is measured",
        r"没有一张图像有参与计算的像素，因此什么也没有测量",
    ),
    (
        r"(\S+) images? without a pixel that counts, as all of the truth is ignored: (.+)",
        r"有 \1 张图像没有参与计算的像素，因为真值全部被忽略：\2",
    ),
    (r"classes that do not count: (.+)", r"不参与计算的类别：\1"),
    (
        r"left out of the means, as neither truth nor answers have the class: (.+)",
        r"不计入平均值，因为真值和答案中都没有这些类别：\1",
    ),
    (
        r"answered where no pixel is of the class, which counts as an IoU of 0: (.+)",
        r"没有像素属于该类却判成了该类，按 IoU 为 0 计算：\1",
    ),
    (
        r"a mean IoU of (\S+) is not above that of answering (.+) everywhere, (\S+)",
        r"平均 IoU \1 不高于处处回答 \2 的 \3",
    ),
    (
        r"a mean IoU of (\S+) is not shown to be above that of answering (.+) everywhere, (\S+)",
        r"平均 IoU \1 不能证明高于处处回答 \2 的 \3",
    ),
    (r"split (\d+)/(\d+)/(\d+) by class, seed (\d+)", r"按类别划分为 \1/\2/\3，种子 \4"),
    (
        r"(val|test) is a tenth of train, by class, seed (\d+)",
        r"\1 取自训练集的十分之一，按类别，种子 \2",
    ),
    (r"(\S+) images? (?:is|are) not used: (.+)", r"有 \1 张图像未被使用：\2"),
    (r"(.+): pictures of these kinds are not read", r"\1：不读取这些类型的图片"),
    (r"class (.+) has no image and is left out", r"类别 \1 没有图像，已略过"),
    (r"(\S+) images? (?:was|were) resized to (\S+)", r"\1 张图像被缩放到 \2"),
    (r"images of one group \((.+)\) stay in one split", r"同一组（\1）的图像留在同一划分中"),
    (r"the cache was stale for (\S+) images? and was renewed", r"\1 张图像的缓存已过期，已重建"),
    (r"the ink scale 0\.\.16 is stored as 0\.\.240", r"墨迹刻度 0..16 存为 0..240"),
)
"""Regular expression of the English line, and the Chinese one. ``\\1`` is a part as it stands,
``{1}`` one that is said in Chinese itself."""


def said(remark: str) -> str:
    """Return a remark in both languages; as it is where there is no pattern for it.

    Examples
    --------
    >>> said("the validation loss rose from 0.5 to 0.9").zh
    '验证损失从 0.5 升到 0.9'
    """
    chinese = _chinese(remark)
    return remark if chinese == remark else Said(remark, chinese)


def _chinese(text: str) -> str:
    if (known := _FIGURES.get(text) or CHINESE.get(text)) is not None:
        return known
    for pattern, form in _PATTERNS:
        match = re.fullmatch(pattern, text, re.DOTALL)
        if match:
            return re.sub(r"\\(\d)|\{(\d)\}", _filled(match), form)
    if "; " in text:
        parts = text.split("; ")
        made = [_chinese(part) for part in parts]
        return "；".join(made) if made != parts else text
    return text


def _filled(match: re.Match[str]) -> Callable[[re.Match[str]], str]:
    return lambda place: match[int(place[1])] if place[1] else _chinese(match[int(place[2])])
