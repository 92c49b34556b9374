"""Say the texts of the reports in English and in Chinese.

A text is written where it is used, in English, and its Chinese form stands here. A `Said` is the
English text to all who know nothing of languages (a drawing saved as PNG, the terminal), and
carries the Chinese one along; pages show the one that the reader wants.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

Language = Literal["en", "zh"]

CHINESE = {
    # the page of a comparison
    "{data}: which method is good enough?": "{data}：哪种方法够用？",
    "{classes}; {images}; fingerprint {fingerprint}": "{classes}；{images}；指纹 {fingerprint}",
    "1 class": "1 个类别",
    "{count} classes": "{count} 个类别",
    "{count} training": "训练 {count}",
    "{count} validation": "验证 {count}",
    "{count} test": "测试 {count}",
    "1 image": "1 张图像",
    "{count} images": "{count} 张图像",
    "No method ran to the end.": "没有一种方法运行完毕。",
    "Take": "选用",
    "Why": "理由",
    "probabilities calibrated with temperature {t}, from {images} validation images: calibration "
    "error {before} points before, {after} after":
    "概率用温度 {t} 校准（取自 {images} 张验证图像）："
    "校准误差由 {before} 个百分点变为 {after} 个百分点",
    "method": "方法",
    "failed": "失败",
    "more columns to the right": "右侧还有更多列",
    "Milliseconds an image: median time from a decoded image to the answer. Images/s: in batches "
    "of at most {batch}. Peak MiB: memory of the method's own process, the interpreter and its "
    "libraries included. Start-up: importing and warming up libraries, before the clocks of the "
    "rest start.":
    "每图毫秒：从解码后的图像到答案的时间中位数。图/秒：每批最多 {batch} 张。"
    "峰值 MiB：该方法自身进程的内存，包括解释器及其库。"
    "启动：导入和预热各个库的时间，在其余计时开始之前。",
    "What {figure} costs": "{figure}的代价",
    "The same picture in two splits": "同一张图出现在两个划分中",
    "Not looked for in a comparison of large images; this does:": "比较大图像时不作检查，请用：",
    "None: no test image is a copy, or nearly one, of a training image.":
    "没有：测试图像都不是训练图像的副本或近似副本。",
    "1 pair": "1 对",
    "{count} pairs": "{count} 对",
    "{pairs}, {exact} of them exact copies. What is learned by heart counts as recognised there, "
    "so the figures above are that much too high. This lists them, and --fix leaves exact copies "
    "out:":
    "{pairs}，其中 {exact} 对完全相同。死记下来的图也会算作识别正确，所以上面的数字偏高。"
    "下面的命令列出它们，--fix 去掉完全相同的副本：",
    "To reproduce this": "如何重现",
    "threads": "线程",
    "device": "设备",
    "knobs, as tuned": "参数（调参后）",
    "none": "无",
    "best of {settings} settings on {images} validation images":
    "{settings} 组参数中最好的一组，在 {images} 张验证图像上",
    "best of {settings} settings on 1 validation image":
    "{settings} 组参数中最好的一组，在 1 张验证图像上",
    "seed {seed}; {processor}, {threads} threads": "种子 {seed}；{processor}，{threads} 个线程",
    "seed {seed}; {processor}, 1 thread": "种子 {seed}；{processor}，1 个线程",
    "revision {revision}": "版本 {revision}",
    # columns
    "accuracy": "准确率",
    "balanced accuracy": "平衡准确率",
    "top-5 accuracy": "前五准确率",
    "95% interval": "95% 区间",
    "validation": "验证集",
    "balanced": "平衡",
    "start-up": "启动",
    "tuned in": "调参用时",
    "fitted in": "训练用时",
    "ms an image": "每图毫秒",
    "images/s": "图/秒",
    "peak MiB": "峰值 MiB",
    "parameters": "参数量",
    "disk MiB": "磁盘 MiB",
    "{low} to {high}": "{low} 至 {high}",
    # the page of a run
    "{model} on {data}": "{model}，数据 {data}",
    "fitted in {time}": "训练用时 {time}",
    "Validation": "验证集",
    "{figure} {value} (95% interval {low} to {high}, {count} images)":
    "{figure} {value}（95% 区间 {low} 至 {high}，{count} 张图像）",
    "{figure} {value} (95% interval {low} to {high}, 1 image)":
    "{figure} {value}（95% 区间 {low} 至 {high}，1 张图像）",
    "How training went": "训练过程",
    "{speed} images a second in the last epoch; {waited}% of its time was spent waiting for data.":
    "最后一轮每秒 {speed} 张图像；其中 {waited}% 的时间在等数据。",
    # the sections of a classifier
    "Accuracy is that of the test split, seen once, after everything was chosen on the validation "
    "split; its interval is Wilson's.":
    "准确率在测试集上测得；一切选择都在验证集上做完之后，测试集只看一次。区间为 Wilson 区间。",
    "Which classes are hard": "哪些类别难",
    "Can its confidence be believed?": "它的置信度可信吗？",
    "On the dashed line, answers given with 70% are right seven times in ten; below it the method "
    "is too sure. The error is the expected calibration error, in points. For k-NN the confidence "
    "is the share of the vote.":
    "在虚线上，置信度为 70% 的答案十次中对七次；在线下方则过于自信。"
    "误差是期望校准误差，单位为百分点。"
    "k-NN 的置信度是得票比例。",
    "What is gained by answering only where it is sure?": "只在有把握时回答，能得到什么？",
    "With predict --reject an answer below the threshold is none of the classes: fewer images are "
    "answered, and more of those answers are right.":
    "用 predict --reject 时，低于阈值的答案视为“都不是”：回答的图像变少，回答的正确率变高。",
    "AP is COCO's average precision, the mean over overlaps from 0.5 to 0.95, on the test split, "
    "seen once; AP50 asks for an overlap of 0.5 alone. The interval is the bootstrap's, over "
    "images.":
    "AP 是 COCO 的平均精度，即重叠度从 0.5 到 0.95 的平均值，在测试集上只看一次；"
    "AP50 只要求重叠 0.5。区间由对图像的自助抽样得到。",
    "What average precision at an overlap of 0.5 would gain if errors of one cause alone were "
    "mended (TIDE, Bolya et al. 2020): the class, the place, both, a second answer for one object, "
    "an answer on the background, an object that was missed.":
    "如果只纠正一种原因的错误，重叠 0.5 的平均精度会提高多少（TIDE，Bolya 等，2020）："
    "类别错、位置错、两者都错、同一物体的第二个答案、背景上的答案、漏掉的物体。",
    "For each class, answers are ordered by their score: how many of its objects are among the "
    "first ones, and how many of those are right, at an overlap of 0.5. The number is the area "
    "under the curve, in per cent.":
    "对每个类别，把答案按分数排序：排在前面的答案找到了多少物体，"
    "其中又有多少是对的（重叠 0.5）。"
    "数字是曲线下的面积（百分比）。",
    "{method}: AP50 {figure}": "{method}：AP50 {figure}",
    "{method}: what its errors cost": "{method}：错误的代价",
    "Truth is drawn dashed, the answers above each class's threshold solid.":
    "虚线是真值，实线是高于各类别阈值的答案。",
    "How many objects are detected, and how purely?": "检出了多少物体，其中有多少是对的？",
    "What goes wrong?": "错在哪里？",
    "{missed} missed, {wrong} wrong": "漏掉 {missed} 个，答错 {wrong} 个",
    "wrong class": "类别错", "wrong place": "位置错", "class and place wrong": "类别和位置都错",
    "a second answer": "重复的答案", "nothing is there": "那里没有物体", "missed": "漏掉",
    "share of the objects that is detected (recall)": "检出的物体所占比例（召回率）",
    "right among the answers (precision)": "答案中正确的比例（精确率）",
    "points of AP50 (how many errors)": "AP50 的百分点（错误个数）",
    # instances
    "match score": "匹配分数",
    "count error": "计数误差",
    "AP is COCO's average precision by masks, the mean over overlaps from 0.5 to 0.95, on the test "
    "split, seen once; AP50 asks for an overlap of 0.5 alone. The match score is the share of "
    "right answers among right, wrong and missed ones at an overlap of 0.5, as papers on nuclei "
    "measure. The count error is by how many objects a picture's count is off, in the mean. The "
    "interval is the bootstrap's, over images.":
    "AP 是 COCO 的按掩码计算的平均精度：对 0.5 到 0.95 的重叠取平均，在测试集上只看一次；"
    "AP50 只要求重叠 0.5。匹配分数是重叠 0.5 时答对的数目占答对、答错与漏掉之和的比例，"
    "细胞核论文用它衡量。计数误差是每张图像的物体个数平均差多少。区间由对图像的自助抽样得到。",
    "{method}: match score {figure}, {merged} merged, {split} split":
    "{method}：匹配分数 {figure}，合并 {merged} 个，拆开 {split} 个",
    "How well is each class found?": "每个类别找得怎样？",
    "An answer is merged when more than half of each of two or more objects lies in it; an object "
    "is split when more than half of each of two or more answers lies in it. PQ is panoptic "
    "quality: how well matches at an overlap above 0.5 fit, times how many there are.":
    "如果两个或更多物体各有一半以上落在一个答案里，这个答案就是合并的；"
    "如果两个或更多答案各有一半以上落在一个物体里，这个物体就是被拆开的。"
    "PQ 是全景质量：重叠超过 0.5 的匹配有多贴合，乘以匹配的多少。",
    "the {count} worst of {all} classes": "{all} 个类别中最差的 {count} 个",
    "How well does it count?": "数得准不准？",
    "Each point is a picture; on the line the count is right.":
    "每个点是一张图像；在线上即数目正确。",
    "{method}: off by {error} objects a picture, {bias} in the mean":
    "{method}：每张图像平均差 {error} 个，平均偏差 {bias} 个",
    "objects in the picture": "图像中的物体数",
    "objects that are answered": "答出的物体数",
    "Left the truth, in the middle the answers above each class's threshold, on the right the "
    "difference: blue is missed, orange is answered where nothing is, yellow belongs to another "
    "object.":
    "左边是真值，中间是高于各类别阈值的答案，右边是差别：蓝色是漏掉的，橙色是多答的，"
    "黄色属于另一个物体。",
    "{true} objects, {answered} answered": "有 {true} 个物体，答出 {answered} 个",
    "{merged} merged, {split} split": "合并 {merged} 个，拆开 {split} 个",
    "How much of each class is found, and how purely?": "每个类别找到了多少，其中有多少是对的？",
    "For each class, all images are ordered by its probability: how many of the class are among "
    "the first ones, and how many of those are of the class. The number is the area under the "
    "curve, in per cent.":
    "对每个类别，把所有图像按其概率排序：排在前面的图像中找到了该类的多少，其中又有多少确属该类。"
    "数字是曲线下的面积（百分比）。",
    "With predict --threshold auto an answer below its class's threshold is none of the classes; "
    "each is the one with the highest F1 of its class on validation images.":
    "用 predict --threshold auto 时，低于该类阈值的答案视为“都不是”；"
    "每个阈值使该类在验证图像上的 F1 最高。",
    "With predict --threshold auto an answer below its class's threshold is none of the classes; "
    "each is the one with the highest F1 of its class on these same images.":
    "用 predict --threshold auto 时，低于该类阈值的答案视为“都不是”；"
    "每个阈值使该类在这些图像上的 F1 最高。",
    "{method}: mean average precision {figure}": "{method}：平均精度均值 {figure}",
    "With its thresholds {share} of the images are answered, {after} of them rightly; without, "
    "{before} of all.":
    "使用阈值时回答 {share} 的图像，其中 {after} 正确；不用阈值时全部图像的正确率为 {before}。",
    "share of the class that is found (recall)": "该类被找到的比例（召回率）",
    "right among those taken for it (precision)": "判为该类者中的正确比例（精确率）",
    "Where each method errs": "各方法错在哪里",
    "Where each method errs, on validation images": "错在哪里（验证图像）",
    "{method}: {count} wrong": "{method}：错 {count} 张",
    "The wrong answers given with most confidence:": "置信度最高的错误答案：",
    "Most often taken for another: {pairs}. The wrong answers given with most confidence:":
    "最常混淆（真实 → 判定）：{pairs}。置信度最高的错误答案：",
    "is {label}": "实为 {label}",
    # the sections of a segmenter
    "mean IoU": "平均 IoU", "pixel accuracy": "像素准确率", "mean accuracy": "平均类别准确率",
    "frequency-weighted IoU": "频率加权 IoU", "boundary F1": "边界 F1", "Dice": "Dice",
    "IoU": "IoU",
    "Mean IoU is the mean over classes of the pixels that are rightly of a class among those that "
    "are of it or are taken for it, all images of the test split together, seen once. The interval "
    "is the bootstrap's, over images.":
    "平均 IoU 是各类别交并比的平均值：判对的像素占“确属该类或被判为该类”的像素的比例，"
    "测试集全部图像合在一起计算，只看一次。区间由对图像的自助抽样得到。",
    "How right are the classes of the pixels?": "像素的类别判得有多准？",
    "IoU asks of each class how much of its true and its answered pixels are both, and all classes "
    "count alike in its mean; pixel accuracy is the share of all pixels that is right, in which "
    "large classes have the most say; boundary F1 asks how near the outlines lie. The intervals "
    "are the bootstrap's, over images.":
    "IoU 看每个类别的真实像素与判定像素有多少重合，求平均时各类别同等重要；"
    "像素准确率是判对的像素比例，大类别影响最大；边界 F1 看轮廓有多接近。"
    "区间由对图像的自助抽样得到。",
    "The bar is the class's IoU over all images, with its 95% interval.":
    "条形是该类别在全部图像上的 IoU 及其 95% 区间。",
    "What is taken for what?": "哪些类别被判成了什么？",
    "The pixels of each true class, by the class that was answered for them; the colour is their "
    "share of the true class. k is a thousand, M a million, G a thousand million.":
    "每个真实类别的像素被判成了哪些类别；颜色表示占真实类别的比例。"
    "k 为千，M 为百万，G 为十亿。",
    "The images with the lowest mean IoU. In the difference, red is wrong; what is hatched does "
    "not count, as its truth is ignored.":
    "平均 IoU 最低的图像。差异图中红色是判错的像素；斜线部分的真值被忽略，不参与计算。",
    "{method}: mean IoU {figure}": "{method}：平均 IoU {figure}",
    "mean IoU {figure}": "平均 IoU {figure}",
    "No image is answered wrongly anywhere.": "没有任何图像有判错的像素。",
    "Left out, as neither truth nor answers have the class: {names}.":
    "未列出，因为真值和答案中都没有这些类别：{names}。",
    "Do not count: {names}.": "不参与计算：{names}。",
    "Most often taken for another, with the share of the class's pixels: {pairs}.":
    "最常混淆（真实 → 判定），以及占该类像素的比例：{pairs}。",
    "{true} → {answered}: {share} of the pixels": "{true} → {answered}：占像素的 {share}",
    "picture": "图片", "truth": "真值", "answer": "答案", "difference": "差异",
    "does not count": "不参与计算",
    # drawings
    "latency of one image (log scale)": "每张图像的延迟（对数刻度）",
    "test {figure} (95% interval)": "测试集{figure}（95% 区间）",
    "nothing is both faster and better": "没有更快又更好的方法",
    "confidence": "置信度",
    "share that is right": "正确比例",
    "{method} (error {error})": "{method}（误差 {error}）",
    "share of the images that is answered": "作出回答的图像比例",
    "right among those": "其中的正确比例",
    "decided": "判定",
    "true": "真实",
    "share of the class that is recognised (recall); hardest at the top":
    "该类被识别出的比例（召回率）；最难的在上",
    "the {count} hardest classes of {all}": "{all} 个类别中最难的 {count} 个",
    "{points} points": "{points} 个百分点",
    "loss": "损失",
    "content": "内容",
    "style": "风格",
    "total variation": "全变差",
    "how far it is": "差距",
    "style, layer by layer": "各层的风格差距",
    "step": "步",
    "{method}: style {style}, content {content}": "{method}：风格 {style}，内容 {content}",
    "How near the style, and how much of the picture is left?": "离风格多近，画面还留下多少？",
    "The style loss is how far the Gram matrices of the drawings are from the style's, as a share "
    "of these, the mean over layers and pictures; the content loss is the same of the photograph's "
    "features. Lower is better. The interval is the bootstrap's, over images.":
    "风格损失是所绘图片的格拉姆矩阵与风格图片的差距（相对于后者），对各层和各图片取平均；"
    "内容损失是照片特征的同样差距。越低越好。区间由对图片的自助法得出。",
    "{method}: Fréchet distance {figure}": "{method}：弗雷歇距离 {figure}",
    "What do the methods make?": "各方法生成了什么？",
    "Pictures are compared by {judge}.": "图片的比较依据：{judge}。",
    "Are these copies?": "这些是复制品吗？",
    "Made pictures, and under each the training picture that is nearest to it.":
    "生成的图片，其下方是与它最相近的训练图片。",
    "In {share} of pairs a made picture is nearer to a training picture than an unseen real one "
    "is; 50% is as near.":
    "在 {share} 的配对中，生成的图片比未参与训练的真实图片更接近训练图片；"
    "一半表示同样接近。",
    "The Fréchet distance compares made pictures with test pictures by the features of one "
    "network; lower is better. The floor is the same of training pictures, which are real: no "
    "method needs to be better. Coverage is the share of test pictures with a made one among their "
    "neighbours; confidence is a classifier's in its class of a made picture; copying is the "
    "chance that a made picture lies nearer to a training picture than a test picture does: 50% is "
    "as near. The interval is the bootstrap's.":
    "弗雷歇距离用同一网络的特征比较生成图片与测试图片，越低越好。"
    "“下限”是训练图片（真实图片）的同一数值，方法无需更低。"
    "覆盖率是邻近处有生成图片的测试图片比例；置信度是分类器对生成图片所判类别的把握；"
    "复制度是生成图片比测试图片更接近某张训练图片的概率，一半表示同样接近。区间由自助法得出。",
    "precision": "精确率", "recall": "召回率", "coverage": "覆盖率", "copying": "复制度",
    "Lines: what real pictures reach": "横线：真实图片达到的数值",
    "made": "生成", "Fréchet distance": "弗雷歇距离",
    "{name}: nearest training pictures": "{name}：最相近的训练图片",
    "{share} of pairs nearer than unseen pictures": "{share} 的配对比未见过的图片更近",
    "training": "训练",
    "epoch": "轮次",
    "iteration": "迭代",
    "overfitting from epoch {start}": "自第 {start} 轮起过拟合",
    "overfitting from epoch {start}, {figure} gap {gap} at the end":
    "自第 {start} 轮起过拟合，结束时{figure}差距 {gap}",
    "overfitting from iteration {start}": "自第 {start} 次迭代起过拟合",
    "overfitting from iteration {start}, {figure} gap {gap} at the end":
    "自第 {start} 次迭代起过拟合，结束时{figure}差距 {gap}",
    # the page of learning curves
    "{data}: would more photographs help?": "{data}：更多照片会有帮助吗？",
    "{verdict} Twice as many training images ({images}) would bring {gains}{most}.":
    "{verdict}训练图像增加一倍（{images} 张）带来的提高：{gains}{most}。",
    "{name} about {gain} (extrapolated, {low} to {high})":
    "{name} 约 {gain}（外推，{low} 至 {high}）",
    "{name} {gain} ({low} to {high})": "{name} {gain}（{low} 至 {high}）",
    "{value} more {figure}": "{figure}提高 {value}",
    "{value} less {figure}": "{figure}降低 {value}",
    ": more images help most with {name}": "；更多图像对 {name} 帮助最大",
    ": more images seem to help most with {name}": "；更多图像似乎对 {name} 帮助最大",
    "More training images would help.": "更多训练图像会有帮助。",
    "More training images may help.": "更多训练图像可能有帮助。",
    "More training images would hardly help.": "更多训练图像几乎没有帮助。",
    "Nothing can be said of more training images.": "无法判断更多训练图像会怎样。",
    "The table has the others.": "其余方法见表。",
    "At every size {name} is the best (measured).": "在每种数量下，{name} 都最好（实测）。",
    "With few images {name} is the best, {later} (measured).":
    "图像少时 {name} 最好，{later}（实测）。",
    "With {size} images {names} are equally good (measured).":
    "{size} 张图像时 {names} 同样好（实测）。",
    "from {size} images on {name}": "从 {size} 张图像起是 {name}",
    "{name} would stay ahead up to {factor} times as many images (extrapolated).":
    "图像增加到 {factor} 倍以内，{name} 会一直领先（外推）。",
    "{over} would stay ahead of {name} until about {images} images (extrapolated).":
    "大约 {images} 张图像以内，{over} 会一直领先于 {name}（外推）。",
    "{name} falls from {high} with {few} images to {low} with {many}: its curve does not rise "
    "steadily, and its extrapolation says little.":
    "{name} 从 {few} 张图像时的 {high} 变为 {many} 张时的 {low}：曲线并非稳步变好，外推意义不大。",
    "No extrapolation of {names}: it needs {count} measured sizes.":
    "{names} 没有外推：至少要测量 {count} 种数量。",
    "{failed} of {all} fits failed: {names}.": "{all} 次训练中有 {failed} 次失败：{names}。",
    "{name} at {sizes} images": "{name}（{sizes} 张图像）",
    "Every fit is measured on the same {tested} test images, the whole split; the validation "
    "images that it is tuned on shrink along with the training images. Each size was drawn once, "
    "so that no spread is known.":
    "每次训练都在同样的 {tested} 张测试图像（整个测试集）上测量；"
    "用来调参的验证图像随训练图像一起减少。"
    "每种数量只抽取一次，因此不知道波动有多大。",
    "Every fit is measured on the same {tested} test images, the whole split; the validation "
    "images that it is tuned on shrink along with the training images. Each size was drawn {seeds} "
    "times, each draw within the next larger one; ± is the standard deviation over the draws. Of "
    "all training images there is one draw, to which a method without chance is fitted once.":
    "每次训练都在同样的 {tested} 张测试图像（整个测试集）上测量；"
    "用来调参的验证图像随训练图像一起减少。"
    "每种数量抽取 {seeds} 次，小的抽样包含在大的之中；± 是各次抽样的标准差。"
    "全部训练图像只有一种抽法，不带随机性的方法只训练一次。",
    "What more training images bring": "更多训练图像带来什么",
    "test {figure}": "测试{figure}",
    "training images (log scale)": "训练图像数（对数刻度）",
    "lowest to highest of {seeds} draws": "{seeds} 次抽样的最低至最高",
    "extrapolated, with its 95% band": "外推及其 95% 区间",
    "largest size measured": "测量的最大数量",
    "{count} images (extrapolated)": "{count} 张图像（外推）",
    "Italic figures were not measured: from the last measured mean a power law a + b / n^c, fitted "
    "to what a method gets wrong, leads on to more images; in brackets its 95% band.":
    "斜体数字不是实测值：对每种方法的错误率拟合幂律 a + b / n^c，从最后一个实测均值外推到更多图像；"
    "括号内是 95% 区间。",
    "{figure} ({done} of {all})": "{figure}（{all} 次中 {done} 次）",
    "{figure} ({low} to {high})": "{figure}（{low} 至 {high}）",
    "What failed": "失败的训练",
    # maps of an answer
    "Deletion: the score while pixels are covered, first those that the map shows most; the area "
    "under the curve, and the smaller the better. Insertion: the score while they are given back "
    "to a blurred picture; the larger the better. Null maps know nothing of the network: chance, "
    "the middle of the picture, its edges. A map that does not beat them has not shown that it "
    "knows more than they do.":
    "删除：从热图最突出的像素开始逐步遮盖，看得分如何下降；数字是曲线下的面积，越小越好。"
    "插入：把这些像素逐步放回模糊的图片，越大越好。零图与网络无关：随机、图片中央、图片的边缘。"
    "胜不过零图的热图，就没有证明它比零图知道得更多。",
    "The weights are drawn anew, layer by layer from the head down, and each map is compared with "
    "the trained network's by the rank correlation of its pixels. A map that stays as it was does "
    "not depend on what was learned.":
    "从头部往下逐层重新随机抽取权重，用像素的秩相关把每张热图与训练好的网络的热图比较。"
    "若热图保持不变，它就与学到的东西无关。",
    "no positive evidence: the map is the same everywhere": "没有正面证据：热图处处相同",
    "beats all null maps": "胜过所有零图",
    "does not beat {deletion} in deletion, nor {insertion} in insertion":
    "删除方面未胜过{deletion}，插入方面未胜过{insertion}",
    "does not beat {nulls} in deletion": "删除方面未胜过{nulls}",
    "does not beat {nulls} in insertion": "插入方面未胜过{nulls}",
    "chance": "随机图",
    "the middle": "中央图",
    "the edges": "边缘图",
    "deletion {deletion}, insertion {insertion}": "删除 {deletion}，插入 {insertion}",
    "{method}: its values miss {share} of the change that they should add up to":
    "{method}：各值之和与应有的变化相差 {share}",
    "{method}: knows no class; it is the same for every answer":
    "{method}：不分类别，对任何答案都一样",
    "depend on what was learned (rank correlation with the map when all weights are random; -: "
    "nothing is left of it): {methods}":
    "取决于学到的东西（权重全部随机后与原热图的秩相关；-：热图不复存在）：{methods}",
    "hardly depend on what was learned, as with random weights the map is nearly the same (rank "
    "correlation): {methods}":
    "几乎与学到的东西无关，因为权重随机后热图几乎不变（秩相关）：{methods}",
    "deletion: pixels covered": "删除：遮盖像素",
    "insertion: pixels given back": "插入：放回像素",
    "pixels, %": "像素，%",
    "score": "得分",
    "Why {target}? {image}": "为什么是{target}？{image}",
    "{network} says {target} with a score of {score}": "{network} 的答案是{target}，得分 {score}",
    "layer {layer}": "层 {layer}",
    "Is it true?": "可信吗？",
    "Where it comes from": "答案从何而来",
    "Maps": "热图",
    "Null maps": "零图",
    "Does it depend on what was learned?": "它取决于学到的东西吗？",
    "trained": "训练后",
    "rank correlation": "秩相关",
    "weights drawn anew down to this layer": "权重重新抽取到这一层为止",
    "What else it says": "还有哪些答案",
    # why a network was wrong
    "Grad-CAM of the wrong answer and of the right one: bright is what speaks for the class. "
    "Through another network the same picture may look otherwise; a map tells of this one alone.":
    "错误答案和正确答案的热图：亮处支持该类别。换一个网络，同一张图的热图可能不同；"
    "热图只说明这一个网络。",
    "Why it was sure of wrong answers": "为什么会确信错误的答案",
    "{count} of the mistakes, with maps": "{count} 个错误及其热图",
    "the picture": "图片",
    "for {label}": "支持 {label}",
    "for {label}: no positive evidence": "支持 {label}：没有正面证据",
    "Whether the maps are true was not tested here, as that would take more than {seconds} "
    "seconds; this does: {command}":
    "此处没有检验热图是否可信，因为那要超过 {seconds} 秒；检验的命令：{command}",
    "Of the {all} maps of wrong answers {deletion} beat all null maps in deletion and {insertion} "
    "in insertion.":
    "{all} 张错误答案的热图中，删除方面有 {deletion} 张胜过所有零图，插入方面有 {insertion} 张。",
    "Null maps know nothing of the network: chance, the middle, the edges; a map that does not "
    "beat them proves nothing.":
    "零图与网络无关：随机图、中央图、边缘图；胜不过它们的热图什么也证明不了。",
    # a data set in the plane
    "{data} by {method}, as {source} sees it": "{data}：{source} 眼中的分布（{method}）",
    "{data} by {method} of its pixels": "{data}：按像素的分布（{method}）",
    "pixels": "像素",
    "what goes into the last layer": "最后一层的输入",
    "{images} images by {count} features ({what}); trustworthiness {trust} for {near} neighbours, "
    "on {judged} images: 1 where neighbours in the plane are neighbours by their features, about "
    "0.5 where they are anybody. Computed by {by}, seed {seed}.":
    "{images} 张图像，各有 {count} 个特征（{what}）；{near} 个近邻的可信度为 {trust}（在 {judged} "
    "张图像上计算）：1 表示平面上的近邻在特征上也是近邻，约 0.5 表示只是随机。由 {by} 计算，"
    "种子 {seed}。",
    "The plane keeps {share}% of the variance: what differs in other directions lies on top of one "
    "another, so that classes that overlap here may be easy to tell apart.":
    "该平面保留了 {share}% 的方差：其他方向上的差别会重叠在一起，"
    "因此在这里重叠的类别也许很容易区分。",
    "What t-SNE cannot tell: how far clusters are from each other, how large and how dense they "
    "are, and where the empty room between them is. Only who is near whom means something; small "
    "clumps may be chance.":
    "t-SNE 说明不了：各簇之间相距多远、簇的大小和疏密，以及簇间的空白在哪里。"
    "只有谁靠近谁才有意义；小团块可能只是偶然。",
    "What {method} cannot tell: distances between clusters and their density mean little, and it "
    "may cut in two what is one. Who is near whom is what it keeps.":
    "{method} 说明不了：簇间距离和疏密意义不大，它也可能把一个簇切成两个。它保留的是谁靠近谁。",
    "Lasso": "套索",
    "Move": "移动",
    "Whole picture": "全图",
    "Mistakes ({count})": "错误（{count}）",
    "Near-duplicates ({count} pairs)": "近似重复（{count} 对）",
    "Wheel or two fingers: nearer. Draw around points to list their files; with Move, drag the "
    "picture. A click on a class shows it alone.":
    "滚轮或双指：放大。圈住一些点即可列出它们的文件；选“移动”后可拖动画面。"
    "点击一个类别则只显示该类。",
    "Chosen": "已选",
    "Copy the list": "复制列表",
    "Copied": "已复制",
    "Choose nothing": "取消选择",
    "This page needs JavaScript; the same picture lies beside it as PNG.":
    "本页需要 JavaScript；旁边的 PNG 是同一张图。",
    "no class": "无类别",
    "taken for": "被认作",
    "split": "划分",
    "and more: the list has all": "还有更多：列表中是全部",
    "taken for another class": "被认作别的类别",
    "has a copy, or nearly one": "有副本或近似副本",
    "{what} ({count})": "{what}（{count}）",
    "{count} images; trustworthiness {trust} ({near} neighbours)":
    "{count} 张图像；可信度 {trust}（{near} 个近邻）",
    # labels in doubt
    "{data}: which labels are probably wrong?": "{data}：哪些标签可能是错的？",
    "No label of {images} is in doubt.": "{images}的标签都没有疑问。",
    "{count} of {images} have a label that the method does not believe. Were it never wrong "
    "itself, {share} of all labels would be.":
    "{images}中有 {count} 张的标签不被该方法相信。"
    "假如它自己从不出错，那么有 {share} 的标签是错的。",
    "Confident learning (Northcutt et al. 2021): {method} was fitted {folds} times, and each image "
    "judged by a fit that had not learned from it; its first answers agree with {share} of the "
    "labels. A picture is listed where the method is as sure of another class as it is on average "
    "of that class's own pictures. Hard pictures are listed, too: look before you change a label.":
    "置信学习（Northcutt 等 2021）：{method} 拟合了 {folds} 次，每张图像都由没有学过它的那次拟合来"
    "判断；其首选答案与 {share} 的标签一致。若该方法对另一类别的把握不低于它对该类自身图像的平均把"
    "握，就列出这张图。难认的图也会列出：改标签之前请先看图。",
    "Most often (label → what is seen): {pairs}.": "最常见（标签 → 所见）：{pairs}。",
    "{note} {count} more are in the table.": "{note}表格中还有 {count} 个。",
    "{count} labels, the most suspicious first": "{count} 个标签，最可疑的在前",
    "Labels in doubt": "有疑问的标签",
    "In bold the class that the method sees, and under it the label; how sure it is.":
    "粗体为该方法所见的类别，其下为标签，以及它的把握。",
    "labelled {label} ({share})": "标签为 {label}（{share}）",
    # what is inside a network
    "Filters of {name}": "{name} 的滤波器",
    "Kernels": "卷积核",
    "The weights themselves, each kernel by its largest; grey in the middle is 0. Beyond the first "
    "layer, whose inputs are colours, they are hard to read.":
    "权重本身，每个卷积核按自己的最大值缩放；中间的灰色为 0。"
    "第一层的输入是颜色，之后各层的权重就很难读懂了。",
    "What deeper filters look for": "更深的滤波器在找什么",
    "Images made from noise so that a filter answers as much as it can (activation maximisation, "
    "{steps} steps, seed {seed}): what it looks for, exaggerated. Other images may please it as "
    "much, and photographs seldom look like these.":
    "从噪声生成、让滤波器响应尽可能大的图像（激活最大化，{steps} 步，种子 {seed}）："
    "它所寻找的东西，被夸大了。别的图像也可能让它同样满意，而照片很少像这样。",
    "filter {number}": "滤波器 {number}",
    "answers {value}": "响应 {value}",
    "{image} on its way through {name}": "{image} 经过 {name} 的过程",
    "The image, as the network sees it": "网络看到的图像",
    "Layer by layer": "逐层",
    "Of each layer the channels that are most active for this image, the first at the left: white "
    "is where a channel puts out most, by its own scale; what is below 0 is black.":
    "每层对这张图像最活跃的通道，最强的在左：白色是该通道输出最大之处（各按自己的尺度），"
    "小于 0 的为黑色。",
    "channel {number}": "通道 {number}",
    "mean {value}": "均值 {value}",
    "{silent} of {channels} channels are nowhere above 0.":
    "{channels} 个通道中有 {silent} 个处处不大于 0。",
    "{name} dreams": "{name} 的梦",
    "from {before} to {after}": "从 {before} 到 {after}",
    "the picture before": "之前的图片",
    "The network's own idea of a class, or of what a layer looks for, is made stronger step by "
    "step. It shows what the network uses, which need not be what a person would name.":
    "网络自己对某一类别（或某层所寻找的东西）的想法被一步步加强。"
    "它显示网络用了什么，而那不一定是人会说出的东西。",
    "{steps} steps, seed {seed}": "{steps} 步，种子 {seed}",
    # defects
    "AUROC": "曲线下面积",
    "pixel AUROC": "像素曲线下面积",
    "region overlap": "区域重叠",
    "average precision": "平均精度",
    "false alarms": "误报率",
    "false alarm rate": "误报率",
    "found": "检出率",
    "detection rate": "检出率",
    "AUROC is how probably a picture with a defect scores higher than a good one, whatever the "
    "threshold; pixel AUROC the same of pixels, and region overlap (PRO) how much of each defect "
    "is seen, small ones as large ones, while at most 30% of the good pixels are called odd. False "
    "alarms and found are at the run's own threshold, set by held-back good pictures. The interval "
    "is Newcombe's.":
    "曲线下面积是有缺陷的图片得分高于正常图片的概率，与阈值无关；像素曲线下面积同理，按像素计算；"
    "区域重叠是在至多 30% 的正常像素被判为异常时，每处缺陷被看到的比例，大小缺陷同等对待。"
    "误报率和检出率取自模型自身的阈值，它由预留的正常图片设定。区间为纽科姆区间。",
    "A mark a picture. The threshold lies at 0.5, set by good pictures that nothing was learned "
    "from; a score is 1 / (1 + (t / d)⁴), d the distance from good pictures, t the threshold's.":
    "每个标记是一张图片。阈值位于 0.5，由未参与学习的正常图片设定；分数为 1 / (1 + (t / d)⁴)，"
    "其中 d 是与正常图片的距离，t 是阈值处的距离。",
    "The good pictures that score highest, and the pictures of defects that score lowest and "
    "highest. What is tinted is odd; inside the line the threshold is reached.":
    "得分最高的正常图片，以及得分最低和最高的缺陷图片。着色处为异常；线内达到阈值。",
    "This method knows no places, so that there are no maps.": "该方法不知道位置，因此没有热图。",
    "What does each kind of picture score?": "各类图片的得分如何？",
    "How many defects are found, at how many false alarms?": "以多少误报为代价，能检出多少缺陷？",
    "The mark is the run's own threshold; the nearer to the upper left, the better.":
    "标记处是模型自身的阈值；越靠近左上角越好。",
    "Where is it odd?": "哪里异常？",
    "{method}: AUROC {figure}": "{method}：曲线下面积 {figure}",
    "{method}: {figure} false alarms": "{method}：误报率 {figure}",
    "{method}: {figure} found": "{method}：检出率 {figure}",
    "Threshold: false alarms / found: {rates}.": "阈值：误报率 / 检出率：{rates}。",
    "{kind}: score {score}": "{kind}：分数 {score}",
    "good pictures called odd": "被判为异常的正常图片",
    "defects found": "检出的缺陷",
    # several labels
    "mean AP": "平均精度均值",
    "F1, mean of labels": "F1（标签平均）",
    "F1, all together": "F1（合计）",
    "all labels right": "标签全对",
    "Mean AP is the mean over labels of the average precision: how high the images that have a "
    "label stand when all are ranked by its probability. F1 and the share of images all of whose "
    "labels are right are by the thresholds that were chosen on validation images, one a label. "
    "The interval is the bootstrap's, over images.":
    "平均精度均值是各标签平均精度的均值：把所有图像按某标签的概率排序时，有该标签的图像排得有多靠前。"
    "F1 和标签全对的图像比例用在验证图像上选定的阈值，每个标签一个。区间由对图像的自助法得到。",
    "The bar is the label's average precision; what knows nothing of a picture reaches "
    "its frequency.": "条形为该标签的平均精度；对图片一无所知的方法只能达到其频率。",
    "In per cent of the pictures with the label of the row; on the diagonal all of them.":
    "占有该行标签的图片的百分比；对角线上为全部。",
    "The pictures with the most wrong labels: − is missed, + is told wrongly.":
    "标签错误最多的图片：− 为漏报，+ 为误报。",
    "{method}: mean AP {figure}": "{method}：平均精度均值 {figure}",
    "All labels of all pictures are right.": "所有图片的标签都正确。",
    "Which labels come together?": "哪些标签一起出现？",
    "Which labels are hard": "哪些标签难认",
    "Which pictures are told wrongly?": "哪些图片的标签说错了？",
    "F1 at its threshold": "其阈值处的 F1",
    "frequency": "频率",
    "the {count} hardest labels of {all}": "{all} 个标签中最难的 {count} 个",
    "have this label, too": "也有此标签",
    "of pictures with this label": "有此标签的图片中",
    # numbers
    "mean error": "平均误差",
    "mean absolute error": "平均误差",
    "R²": "决定系数",
    "median error": "中位误差",
    "held by the interval": "落入区间",
    "its width": "区间宽度",
    "The mean error is how far an answer is off, in the unit of the number, whatever the "
    "direction; lower is better. R² is the share of the variance that is explained, below 0 where "
    "the mean would be nearer. The interval of an answer was set by images that nothing was "
    "learned from. The 95% interval is the bootstrap's, over images.":
    "平均误差是回答偏离真值的大小（不论方向），单位与数值相同，越低越好。决定系数是被解释的方差比例，"
    "若均值更接近则小于 0。回答的区间由未参与学习的图像设定。95% 区间由对图像的自助法得到。",
    "A mark a picture; on the line it is right, and in the band its interval holds it.":
    "每个标记是一张图片；在线上即为准确，在带内则落入其区间。",
    "The pictures whose number is furthest off.": "数值偏离最大的图片。",
    "{method}: {figure} off on average": "{method}：平均偏离 {figure}",
    "How near is the number?": "数值有多接近？",
    "Where is it furthest off?": "哪里偏离最大？",
    "{said} instead of {true}": "{said}，应为 {true}",
    "true: {name}": "真值：{name}",
    "answered: {name}": "回答：{name}",
}  # fmt: skip
"""English -> Chinese, with the same names in braces."""


class Said(str):
    """An English text that carries its Chinese form.

    Parameters
    ----------
    english : str
    chinese : str
    """

    __slots__ = ("zh",)
    zh: str

    def __new__(cls, english: str, chinese: str) -> Said:
        """Make the text; it equals the English one."""
        made = super().__new__(cls, english)
        made.zh = chinese
        return made

    def __str__(self) -> str:  # so that who copies the text, as matplotlib does, keeps both
        return self


def say(english: str, **values: Any) -> Said:
    """Return a text of this module in both languages, its names in braces replaced.

    Parameters
    ----------
    english : str
        A key of `CHINESE`.
    **values
        What stands for the names in braces; one may itself be `Said`.

    Raises
    ------
    KeyError
        When the text has no Chinese form.
    """
    chinese = {name: in_chinese(value) for name, value in values.items()}
    plain = {name: str.__str__(v) if isinstance(v, str) else v for name, v in values.items()}
    return Said(english.format(**plain), CHINESE[english].format(**chinese))


def joined(texts: Sequence[str]) -> str:
    """Return texts one after the other, in both languages."""
    return Said(" ".join(texts), "".join(in_chinese(text) for text in texts))


def known(text: str) -> str:
    """Return a text with its Chinese form where this module has one, else as it is."""
    if isinstance(text, Said) or text not in CHINESE:
        return text
    return Said(text, CHINESE[text])


def in_chinese(value: Any) -> Any:
    """Return the Chinese form of what has one, and anything else as it is."""
    return value.zh if isinstance(value, Said) else value


def counted(count: int, noun: Literal["class", "image", "pair"]) -> Said:
    """Return a count with its noun, in both languages."""
    if count == 1:
        return say(f"1 {noun}")
    plural = {"class": "classes", "image": "images", "pair": "pairs"}[noun]
    return say(f"{{count}} {plural}", count=f"{count:,}")


_SPELLED = {
    "mean average precision": "mean AP", "auroc": "AUROC", "pixel auroc": "pixel AUROC",
    "pro": "region overlap",
    "miou": "mean IoU", "iou": "IoU", "dice": "Dice", "boundary f1": "boundary F1",
    "frequency weighted iou": "frequency-weighted IoU",
    "frechet": "Fréchet distance",
}  # fmt: skip


def figure_name(metric: str) -> str:
    """Return the name of a figure, such as mean_iou, in words, in both languages where known."""
    name = metric.replace("_", " ")
    return known(_SPELLED.get(name, name))
