// Two languages: the reader's own at first, then the one chosen.

const WORDS = {
  en: {
    other: "中文",
    picture: "Picture", answer: "Answer",
    invite: "Drop a picture here",
    inviteMore: "or paste one, or choose below",
    choose: "Choose a picture", photograph: "Take a photo", webcam: "Use the camera",
    take: "Take the picture", cancel: "Cancel",
    history: "Earlier pictures", again: "Show {name} again",
    models: "Models", threshold: "“None of these” below", off: "off",
    nothing: "No object is seen here.", noClass: "No class is seen here.",
    noLabel: "No label reaches its threshold.",
    numberSaid: "{name} {value}, {low} to {high}", between: "between {low} and {high}",
    opacity: "Colours over the picture", strength: "Strength of the style",
    drawn: "Drawn, {size} pixels", save: "Save the picture",
    odd: "Anomaly, score {score}", asItShould: "Good, score {score}", oddWord: "Anomaly",
    goodWord: "Good", limit: "Anomaly from this score on", count: "Objects: {n}",
    make: "Make pictures", making: "Making…", madePicture: "Made picture {n}",
    pictures: "Pictures", seed: "Seed", steps: "Steps", ofClass: "Class", eachClass: "each in turn",
    none: "None of these", guess: "Nearest guess: {label}, {score}",
    neighbours: "Nearest training pictures", neighbourAlt: "Training picture {index}: {label}",
    noPicture: "not kept", distance: "at {distance}", vote: "vote {vote}",
    measured: "{metric} {value}", measuredTest: "{metric} {value} on its test images",
    measuredVal: "{metric} {value} on its validation images",
    metrics: { miou: "mean IoU", frechet: "Fréchet distance", auroc: "AUROC", mean_average_precision: "mean AP" }, took: "{ms} ms",
    waiting: "Answers appear here.", working: "Looking…", loading: "Loading the model…",
    curl: "Copy as curl", python: "Copy as Python", copied: "Copied",
    notCopied: "The browser does not allow copying: select it here.",
    retry: "Try again", retryIn: "It asks to wait {s} s.",
    keyAsked: "This server asks for an API key.", keyUse: "Use it",
    noPreview: "{name}: this browser cannot show it.",
    notPicture: "That is not a picture.",
    whereRemote: "Pictures go to this server and are not kept there.",
    whereLocal: "The model runs in this browser: no picture leaves this device.",
    cameraRefused: "The camera was refused. Allow it in the browser's settings for this page.",
    cameraNone: "There is no camera here.",
    cameraBusy: "The camera cannot be opened: another program may be using it.",
    cameraInsecure: "Browsers open the camera only under https or on localhost.",
    problems: {
      unreachable: "The server does not answer. Is it running?",
      "unavailable": "The models are being loaded.",
      "bad-image": "This picture cannot be read.",
      "too-large": "This picture is too large.",
      failed: "That failed.",
    },
  },
  zh: {
    other: "English",
    picture: "图片", answer: "结果",
    invite: "把图片拖到这里",
    inviteMore: "也可以粘贴，或在下面选择",
    choose: "选择图片", photograph: "拍照", webcam: "使用摄像头",
    take: "拍摄", cancel: "取消",
    history: "之前的图片", again: "重新查看 {name}",
    models: "模型", threshold: "低于此值即“都不是”", off: "关",
    nothing: "没有看到物体。", noClass: "没有看到任何类别。",
    noLabel: "没有标签达到阈值。",
    numberSaid: "{name} {value}，{low} 至 {high}", between: "在 {low} 与 {high} 之间",
    opacity: "颜色的不透明度", strength: "风格强度",
    drawn: "已绘制，{size} 像素", save: "保存图片",
    odd: "异常，分数 {score}", asItShould: "正常，分数 {score}", oddWord: "异常",
    goodWord: "正常", limit: "达到此分数即为异常", count: "物体：{n} 个",
    make: "生成图片", making: "正在生成…", madePicture: "生成的图片 {n}",
    pictures: "张数", seed: "随机种子", steps: "步数", ofClass: "类别", eachClass: "轮流各类",
    none: "都不是", guess: "最接近的猜测：{label}，{score}",
    neighbours: "最相近的训练图片", neighbourAlt: "训练图片 {index}：{label}",
    noPicture: "未保存", distance: "距离 {distance}", vote: "票 {vote}",
    measured: "{metric} {value}", measuredTest: "测试集{metric} {value}",
    measuredVal: "验证集{metric} {value}",
    metrics: { accuracy: "准确率", miou: "平均 IoU", frechet: "弗雷歇距离", auroc: "曲线下面积", mean_average_precision: "平均精度均值",
      mean_absolute_error: "平均误差" }, took: "{ms} 毫秒",
    waiting: "结果会显示在这里。", working: "正在识别…", loading: "正在加载模型…",
    curl: "复制为 curl", python: "复制为 Python", copied: "已复制",
    notCopied: "浏览器不允许复制，请在这里手动选择。",
    retry: "重试", retryIn: "请等待 {s} 秒。",
    keyAsked: "此服务器需要 API 密钥。", keyUse: "使用",
    noPreview: "{name}：浏览器无法显示。",
    notPicture: "这不是图片。",
    whereRemote: "图片会发送到此服务器，但不会被保存。",
    whereLocal: "模型在浏览器中运行：图片不会离开本设备。",
    cameraRefused: "摄像头权限被拒绝。请在浏览器设置中允许本页面使用摄像头。",
    cameraNone: "没有找到摄像头。",
    cameraBusy: "无法打开摄像头：可能正被其他程序使用。",
    cameraInsecure: "浏览器只在 https 或 localhost 下允许使用摄像头。",
    problems: {
      unreachable: "服务器没有响应。它在运行吗？",
      unauthorized: "需要 API 密钥。",
      "bad-request": "无法读取请求。", "bad-parameter": "参数无效。",
      "unknown-model": "没有这个模型。", "no-neighbour": "没有这张训练图片。",
      "bad-image": "无法读取这张图片。", "too-large": "图片超出了限制。",
      "unsupported-media-type": "不支持这种文件类型。",
      "too-many-requests": "请求过于频繁。", busy: "服务器繁忙。", "unavailable": "正在加载模型。",
      timeout: "服务器未能及时回答。", "too-slow": "请求未能及时送达。", failed: "出错了。",
    },
  },
};

const KEPT = "sightline-language";

function remembered() {
  try {
    return localStorage.getItem(KEPT);
  } catch {  // storage is off
    return null;
  }
}

let language = remembered() ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
if (!(language in WORDS)) language = "en";

export function t(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// The name of a figure, such as accuracy or mean_iou.
export const nameOf = (metric) => WORDS[language].metrics[metric] ?? metric.replaceAll("_", " ");

// The title of a problem in the reader's language, and what the server says of this very one.
export function explain(problem) {
  const title = WORDS[language].problems[problem.kind] ?? (problem.title || WORDS[language].problems.failed);
  const parts = [title, problem.detail];
  if (problem.retryAfter) parts.push(t("retryIn", { s: problem.retryAfter }));
  return parts.filter(Boolean);
}

// What is not nothing is not shown as 0%, nor what is not certain as 100%.
export function percent(share) {
  const format = (x) =>
    new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 }).format(x);
  if (share > 0 && share < 0.0005) return `<${format(0.001)}`;
  if (share < 1 && share >= 0.9995) return `>${format(0.999)}`;
  return format(share);
}

export const number = (value) =>
  new Intl.NumberFormat(language, { maximumSignificantDigits: 4 }).format(value);

export function toggle() {
  language = language === "en" ? "zh" : "en";
  try {
    localStorage.setItem(KEPT, language);
  } catch {
    // then it is asked again next time
  }
}

// Put the words into everything that stands in the page from the start.
export function translate(root) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
  }
}
