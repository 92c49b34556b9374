"""Say in Chinese why a method was chosen, from the fields of the choice.

The English sentence is `sightline.bench.pick`'s; this one says the same, from what is kept of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sightline.bench.advice import gained, sentences
from sightline.bench.pick import about, is_cheaper, result_of, short
from sightline.bench.results import CandidateEntry, Cost, MethodEntry, PickEntry, Results
from sightline.metrics import figure_text
from sightline.metrics.duration import human
from sightline.report.words import Said, figure_name, in_chinese

_CHEAPER: Mapping[Cost, str] = {
    "latency": "每张图像用时更短", "size": "占用磁盘更少", "training": "训练更快",
}  # fmt: skip


def reason(results: Results) -> Said | None:
    """Return why a method was chosen, in both languages; None where none was.

    Parameters
    ----------
    results : Results
    """
    if results.pick is None:
        return None
    return Said(results.pick.reason, _Chinese(results.pick, results.ok).reason())


def result(picked: MethodEntry) -> Said | None:
    """Return what the chosen method gets on test images, in both languages; None: unmeasured."""
    english = result_of(picked)
    if english is None or picked.interval is None:
        return None
    low, high = (figure_text(end, picked.share, 1) for end in picked.interval)
    metric = in_chinese(figure_name(picked.metric or "headline"))
    figure = figure_text(picked.headline, picked.share, 1)
    return Said(english, f"测试图像上的{metric}为 {figure}（95% 区间 {low} 至 {high}）")


def lines(results: Results) -> list[Said]:
    """Return how sure a choice is and what would help, a sentence each, in both languages.

    Parameters
    ----------
    results : Results
        With a choice.
    """
    pick = results.pick
    assert pick is not None
    said = []
    tested = [c for c in pick.candidates if c.p is not None]
    if pick.sure and tested:
        images = max(c.images or 0 for c in tested)
        told = f"{pick.best or pick.name} 与其余 {len(tested)} 种方法中的 {pick.apart or 0} 种"
        chinese = f"把握：{images:,} 张验证图像足以区分 {told}"
        said.append(Said(f"How sure: {pick.sure}", chinese))
    if pick.gain:
        ours, theirs = pick.gain.figures
        points = f"{'高' if ours >= theirs else '低'} {abs(ours - theirs) * 100:.1f} 个百分点"
        over = f"从零训练中最好的 {pick.gain.over}"
        chinese = f"{pick.gain.name} 在验证集上为 {ours:.1%}，比{over} {points}"
        said.append(
            Said(
                f"What a pretrained network brings: {gained(pick.gain)}",
                f"预训练网络带来的提升：{chinese}",
            )
        )
    for one, english in zip(pick.advice, sentences(pick.advice), strict=True):
        chinese = _ADVICE[one.kind].format(command=one.command, images=about(one.images or 0))
        said.append(Said(f"What would help: {english}", f"可以改进：{chinese}"))
    return said


_ADVICE = {
    "pretrained features": "用见过百万张照片的网络的特征：{command}",
    "more images": "再有大约 {images} 张带标签的测试图像，数字就精确到 5 个百分点以内",
    "another split": "换一种划分，看看数字有多少是划分造成的：{command}",
}


class _Chinese:
    """Writes the sentence from the fields of a choice and the rows of the methods."""

    def __init__(self, pick: PickEntry, methods: Sequence[MethodEntry]) -> None:
        self.pick, self.rows = pick, {m.name: m for m in methods}
        self.best = self.rows[pick.best or pick.name]
        self.cost: Cost = pick.cost or "latency"
        self.margin = pick.margin or 0.0

    def reason(self) -> str:
        if not self.pick.candidates:
            return f"{self.pick.name}：唯一可选的方法"
        if self.pick.name != self.best.name:
            return self._cheaper_one(self._entries("picked")[0])
        return self._best_one()

    def _cheaper_one(self, taken: CandidateEntry) -> str:
        row = self.rows[taken.name]
        sign = 1 if self.best.higher_is_better else -1
        ends = sorted(sign * (e or 0.0) for e in (taken.low, taken.high))
        unit = " 个百分点" if self.best.share else ""
        return (
            f"{taken.name}：验证集上 {self._figure(row)}，与 {self.best.name} 的 "
            f"{self._figure(self.best)} 相差在 {self._margin()}以内（差 "
            f"{self._points(sign * (taken.difference or 0.0))}{unit}，95% 区间 "
            f"{self._points(ends[0])} 至 {self._points(ends[1])}，{taken.images or 0:,} 张图像），"
            f"而且{self._instead(row)}{self._open(taken.name)}"
        )

    def _best_one(self) -> str:
        tested = any(c.difference is not None for c in self.pick.candidates)
        untold = "" if tested else "，未作检验，只按数值排名"
        said = f"{self.best.name}：验证集上最好（{self._figure(self.best)}{untold}）"
        cheaper = [c.name for c in self.pick.candidates if c.verdict != "dearer"]
        if not cheaper:
            return f"{said}，没有别的方法{_CHEAPER[self.cost]}"
        if self.margin == 0:
            if self.best.share:
                return f"{said}，允许差距为 0 即取最好的"
            metric = in_chinese(figure_name(self.best.metric or "主要指标"))
            return (
                f"{said}。{_and(cheaper)} {_CHEAPER[self.cost]}：没有给出允许的差距"
                f"（以{metric}的单位计），所以取最好的"
            )
        said += self._open()
        if worse := [c.name for c in self._entries("worse")]:
            said += f"。按目前的比率，{_and(worse)} 差 {self._margin()}以上，再多图像也是如此"
        if untested := [c.name for c in self._entries("untested")]:
            said += f"。{_and(untested)} {_CHEAPER[self.cost]}，但这里没有检验它是否同样好"
        return said

    def _open(self, taken: str | None = None) -> str:
        """Say which cheaper methods may be as good, and how many more images would tell."""
        entries = self._entries("may be as good")
        if taken is not None:
            here = self.rows[taken]
            entries = [c for c in entries if is_cheaper(self.rows[c.name], here, self.cost)]
        entries = [c for c in entries if c.needed and c.images is not None]
        if not entries:
            return ""
        images = max(c.images or 0 for c in entries)
        more = [about(max((c.needed or 0) - (c.images or 0), 1)) for c in entries]
        return (
            f"。{_and([c.name for c in entries])} 可能同样好，而且{_CHEAPER[self.cost]}，"
            f"但 {images:,} 张图像还不足以证明相差在 {self._margin()}以内："
            f"大约再有 {_and(more)} 张才够"
        )

    def _entries(self, verdict: str) -> list[CandidateEntry]:
        return [c for c in self.pick.candidates if c.verdict == verdict]

    def _figure(self, method: MethodEntry) -> str:
        return figure_text(method.validation or 0.0, self.best.share, digits=1)

    def _points(self, value: float) -> str:
        return f"{round(100 * value, 2) + 0:.2f}" if self.best.share else f"{value + 0:.3g}"

    def _margin(self) -> str:
        return f"{100 * self.margin:g} 个百分点" if self.best.share else f"{self.margin:g} "

    def _instead(self, taken: MethodEntry) -> str:
        if self.cost == "latency":
            a, b = taken.latency_ms or 0.0, self.best.latency_ms or 0.0
            return f"每张图像用时 {short(a)} 毫秒，而不是 {short(b)} 毫秒"
        if self.cost == "size":
            a, b = (taken.bytes or 0) / 2**10, (self.best.bytes or 0) / 2**10
            return f"磁盘上为 {short(a)} KiB，而不是 {short(b)} KiB"
        a, b = ((m.tune_seconds or 0.0) + (m.fit_seconds or 0.0) for m in (taken, self.best))
        return f"调参和训练用时 {human(a)}，而不是 {human(b)}"


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{'、'.join(words[:-1])} 和 {words[-1]}"
