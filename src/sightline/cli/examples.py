"""Show two examples or more of every verb, under its help."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "compare": (
        ("compare photos/", "every method that suits the images"),
        ("compare photos/ knn resnet18 --budget 10m", "two of them, ten minutes each"),
    ),
    "curve": (
        ("curve photos/", "would more photographs help, and which method most?"),
        ("curve photos/ knn logistic --sizes 100,300,1000 --seeds 5", "two methods, your sizes"),
    ),
    "train": (
        ("train knn photos/ --k 3 -o runs/mine", "knobs are options: train knn --help"),
        ("train resnet18 photos/ --weights imagenet --budget 10m", "from published weights"),
    ),
    "tune": (
        ("tune knn photos/", "the best knobs by five-fold cross-validation"),
        ("tune logistic photos/ --folds 3 -o runs/mine", "three folds, into a folder"),
    ),
    "eval": (
        ("eval runs/mine photos/", "on the test split"),
        ("eval runs/mine photos/ --split val --json", "on validation, for programs"),
    ),
    "predict": (
        ("predict runs/mine new/*.jpg -o answers/", "the answers written on the pictures"),
        ("predict imagenet:efficientnet_lite0 photo.jpg", "1,000 classes, nothing trained"),
        ("predict runs/mine film.mp4 --track -o out/", "objects followed through a video"),
    ),
    "serve": (
        ("serve runs/mine", "a page and an API at http://localhost:8000"),
        ("serve mine=runs/mine other=model.onnx --port 8080", "two models side by side"),
    ),
    "explain": (
        ("explain neighbours runs/mine new/1.jpg", "the training images that decided"),
        ("explain gradients runs/mine", "backpropagation against differences"),
    ),
    "explain anchors": (
        ("explain anchors runs/mine photos/images/1.jpg", "into 1-anchors.png here"),
        ("explain anchors ssd-small 000003 --data shapes", "of a method that is not trained yet"),
    ),
    "explain cam": (
        ("explain cam runs/mine new/1.jpg", "Grad-CAM of its answer, into 1-cam.png and .html"),
        ("explain cam imagenet:efficientnet_lite0 1.jpg --method all --randomise", "every method"),
    ),
    "explain neighbours": (
        ("explain neighbours runs/mine new/1.jpg", "into 1-neighbours.png here"),
        ("explain neighbours runs/mine new/1.jpg -o near.png --json", "for programs"),
    ),
    "explain embedding": (
        ("explain embedding runs/mine photos/", "a page with every picture; mistakes are ringed"),
        ("explain embedding imagenet:efficientnet_lite0 photos/ --method pca", "nothing trained"),
    ),
    "explain filters": (
        ("explain filters imagenet:efficientnet_lite0", "from edges to parts of things"),
        ("explain filters runs/mine --layer stem.0 --layer blocks.4.2.conv_pwl", "these layers"),
    ),
    "explain features": (
        ("explain features imagenet:efficientnet_lite0 photo.jpg", "layer by layer"),
        ("explain features runs/mine photo.jpg --channels 12", "more channels of each"),
    ),
    "explain dream": (
        ("explain dream imagenet:efficientnet_lite0 photo.jpg", "what a middle layer sees, more"),
        ("explain dream imagenet:efficientnet_lite0 --class zebra", "a class, from noise"),
    ),
    "explain gradients": (
        ("explain gradients runs/mine", "of mlp-numpy or convnet-numpy"),
        ("explain gradients runs/mine --images 4 --samples 100", "more of each layer"),
    ),
    "explain proposals": (
        ("explain proposals photos/", "recall against proposals, into proposals-photos.png here"),
        ("explain proposals photos/ --split val --images 200 --most 500", "more pictures"),
    ),
    "style": (
        ("style photo.jpg painting.jpg -o out.png", "half a minute, without a download"),
        ("style photo.jpg painting.jpg --size 1500 --gif way.gif --losses losses.png", "large"),
    ),
    "generate": (
        ("generate runs/flow-mnist -n 64 --class 7 --steps 10 -o grid.png", "sevens, on one sheet"),
        ("generate runs/vae-mnist --between way.gif --nearest near.png", "and are they copies?"),
    ),
    "export": (
        ("export runs/mine -o model.onnx", "one file, checked against the run"),
        ("export runs/mine --to web -o site/", "a page that answers in the browser"),
    ),
    "cost": (
        ("cost runs/mine --rate 50", "50 requests a second at the busiest time"),
        ("cost runs/mine --write-prices prices.toml", "your own prices: edit, then --prices"),
    ),
    "data": (
        ("data show photos/", "a contact sheet"),
        ("data audit photos/", "what would silently ruin training"),
    ),
    "data show": (
        ("data show photos/", "30 images, and what there is of each class"),
        ("data show photos/ --split test --count 60 -o test.png", "more, of the test split"),
    ),
    "data audit": (
        ("data audit photos/", "status 1 when there are errors"),
        ("data audit photos/ --fix clean/", "a cleaned copy"),
        ("data audit photos/ --labels runs/mine", "and which labels are probably wrong"),
    ),
    "data convert": (
        ("data convert photos/ shards/ --to webdataset", "one folder of shards"),
        ("data convert voc/ coco/ --to coco", "from one format to another"),
    ),
    "data list": (
        ("data list", "names to give as DATA"),
        ("data list --json", "for programs"),
    ),
    "plot": (
        ("plot descent", "how optimisers come down"),
        ("plot weights runs/mine", "what a linear model looks for"),
    ),
    "plot overfit": (
        ("plot overfit digits", "accuracy against the width of a network"),
        ("plot overfit photos/ --images 200 --seeds 5", "of your own images"),
    ),
    "plot style": (
        ("plot style photo.jpg painting.jpg", "balances, and what each layer keeps"),
        ("plot style photo.jpg painting.jpg --network imagenet:vgg19 -o vgg.png", "of VGG19"),
    ),
    "plot line": (
        ("plot line", "a built-in example"),
        ("plot line fees.csv --x length --y fee", "two columns of a table"),
    ),
    "plot plane": (
        ("plot plane", "a built-in example"),
        ("plot plane fees.csv --x1 length --x2 width --y fee", "three columns of a table"),
    ),
    "plot sigmoid": (
        ("plot sigmoid", "the logistic curve"),
        ("plot sigmoid --weight 2 --bias -1 -o curve.png", "steeper, and moved"),
    ),
    "plot descent": (
        ("plot descent", "four methods on Rosenbrock's function"),
        ("plot descent --function himmelblau --methods gd,lbfgs --start 0,0", "two on another"),
    ),
    "plot weights": (
        ("plot weights runs/mine", "of a run of linear or logistic"),
        ("plot weights runs/mine -o weights.png --json", "for programs"),
    ),
    "models": (
        ("models", "all methods, the simplest first"),
        ("models show resnet18 --input 3x32x32", "a network layer by layer"),
    ),
    "models show": (
        ("models show knn", "its source, its knobs, what tuning tries"),
        ("models show resnet18 --input 3x32x32 --draw net.png", "its layers, and a drawing"),
    ),
    "runs": (
        ("runs", "what lies in runs/, the newest first"),
        ("runs other/ --json", "of another folder, for programs"),
    ),
}  # fmt: skip
"""Verb -> two command lines or more after `sightline`, each with what it does."""


def under(verb: str) -> str:
    """Return the examples of a verb as the text under its help, in Markdown."""
    lines = (f"- `sightline {line}`\n  ({what})" for line, what in EXAMPLES[verb])
    return "\n".join(("Examples:\n", *lines))
