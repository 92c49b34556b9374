"""A site for any static host: the same answers in the browser as from Runtime, also offline."""

from __future__ import annotations

import base64
import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import sightline
from sightline.cli.main import status
from sightline.data import images
from sightline.deploy import npm
from sightline.deploy import site as module
from sightline.deploy.export import Exported, exported
from sightline.deploy.runtime import Runtime
from sightline.deploy.site import RUNTIME, RUNTIME_FILES, site
from sightline.errors import RunError

ASK = """
const [pictures, done] = arguments;
(async () => {
  const { Engine } = await import(new URL("static/local.js", document.baseURI));
  const { decode } = await import(new URL("static/pixels.js", document.baseURI));
  const engine = new Engine();
  await engine.models();
  const said = [];
  for (const [model, encoded, type] of pictures) {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const answer = await engine.predict(new Blob([bytes], { type }), { model, top: 1000 });
    const near = answer.neighbours?.[0];
    if (near) near.rgb = [...(await decode(await engine.neighbour(model, near.index))).rgb];
    said.push(answer);
  }
  return said;
})().then((said) => done({ said }), (error) => done({ error: `${error} ${error.stack}` }));
"""


DECODE = """
const [pictures, done] = arguments;
(async () => {
  const { decode } = await import(new URL("static/pixels.js", document.baseURI));
  const said = [];
  for (const [encoded, type] of pictures) {
    const bytes = Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
    const { rgb, width, height } = await decode(new Blob([bytes], { type }));
    said.push([height, width, [...rgb]]);
  }
  return said;
})().then((said) => done({ said }), (error) => done({ error: `${error} ${error.stack}` }));
"""


def colours(rng: np.random.Generator, height: int, width: int, label: int) -> Image.Image:
    """A large picture in which one colour grows from a corner, with stripes and noise."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    pixels = rng.normal(0, 12, (height, width, 3)) + 90
    pixels[..., label] += 90 * (x + y)
    pixels += 25 * np.sin(40 * (x if label else y))[..., None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    written = io.BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """k-NN on digits, and a small network on colour pictures."""
    folder = tmp_path_factory.mktemp("runs")
    digits = sightline.load_data("digits")
    near = sightline.create_model("knn", digits, k=5).fit(digits.train).save(folder / "near")
    rng = np.random.default_rng(0)
    for i in range(90):
        place = folder / "data" / ("red", "green", "blue")[i % 3] / f"{i}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        colours(rng, 48, 64, i % 3).save(place)
    data = sightline.load_data(folder / "data")
    network = sightline.create_model("convnet", data, epochs=2, size=32)
    return [near, network.fit(data.train).save(folder / "colours")]


@pytest.fixture(scope="module")
def archive() -> Path:
    """ONNX Runtime Web, fetched once into the developer's own cache."""
    try:
        return npm.fetch(RUNTIME)
    except RunError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def runtimes(runs: list[Path]) -> dict[str, Runtime]:
    """Their graphs, exported once for all tests: that takes longer than most of them."""
    return {run.name: Runtime(exported(run)) for run in runs}


@pytest.fixture(scope="module")
def copied(runtimes: dict[str, Runtime]) -> Any:
    """What stands for `export`: copies of the graphs that are there."""

    def copies(source: Path, target: Path, **_: Any) -> Exported:
        ready = runtimes[Path(source).name]
        target.parent.mkdir(parents=True)
        for file in ready.path.parent.iterdir():
            shutil.copy(file, target.parent)
        return Exported(target, ready.about, {}, "copies", 0.0, 1.0)

    return copies


@pytest.fixture(scope="module")
def made(
    runs: list[Path], archive: Path, copied: Any, tmp_path_factory: pytest.TempPathFactory
) -> module.Site:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(npm, "fetch", lambda _: archive)
        patch.setattr(module, "export", copied)
        return site(runs, tmp_path_factory.mktemp("site") / "site")


def pictures() -> list[tuple[str, bytes, str]]:
    """Thirty digits, and twenty large colour pictures: (model, file, type)."""
    digits = sightline.load_data("digits").test.arrays((8, 8), "crop").X[:30, :, :, 0]
    found = [("near", encoded(Image.fromarray(d), "PNG"), "image/png") for d in digits]
    rng = np.random.default_rng(1)
    for i in range(20):
        height, width = (int(side) for side in rng.integers(200, 900, 2))
        image = colours(rng, height, width, i % 3)
        if i < 12:
            picture = encoded(image, "PNG"), "image/png"
        elif i < 16:  # turned by EXIF
            exif = Image.Exif()
            exif[0x0112] = (3, 6, 8, 5)[i - 12]
            picture = encoded(image, "JPEG", quality=92, exif=exif), "image/jpeg"
        elif i < 18:  # half of it see-through
            alpha = Image.fromarray(np.tile(np.linspace(0, 255, width), (height, 1)).astype("u1"))
            image.putalpha(alpha)
            picture = encoded(image, "PNG"), "image/png"
        else:  # WebP without loss
            picture = encoded(image, "WEBP", lossless=True), "image/webp"
        found.append(("colours", *picture))
    return found


def test_the_browser_says_what_runtime_says(page, made, runtimes, static):
    asked = pictures()
    given = [(model, base64.b64encode(data).decode(), kind) for model, data, kind in asked]
    with static(made.folder) as address:
        page.open(address)
        page.wait(lambda: page.all(".chip"))
        answer = page.driver.execute_async_script(ASK, given)
    assert "error" not in answer, answer["error"]
    assert page.complaints() == []
    worst = 0.0
    for (model, data, _), said in zip(asked, answer["said"], strict=True):
        (wanted,) = runtimes[model].predict([data])
        assert said["label"] == wanted.name
        scores = {one["label"]: one["score"] for one in said["top"]}
        found = np.array([scores[name] for name in wanted.classes])
        worst = max(worst, np.abs(found - wanted.probabilities).max())
        assert said["top"][0]["label"] == wanted.name
        if wanted.neighbours is not None:
            near = said["neighbours"]
            assert [one["index"] for one in near] == wanted.neighbours.indices.tolist()
            np.testing.assert_allclose(
                [one["distance"] for one in near], wanted.neighbours.distances, rtol=1e-9
            )
            trained = runtimes[model].neighbour(near[0]["index"])
            assert near[0]["rgb"] == np.repeat(trained, 3, axis=2).ravel().tolist()
    assert worst < 1e-2, f"largest difference of a probability: {worst:.2g}"


def test_the_browser_reads_the_pixels_that_pillow_reads(page, made, static):
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 256, (9, 14, 4), dtype=np.uint8)
    opaque = Image.fromarray(noise[:, :, :3])
    smooth = opaque.resize((60, 44), Image.Resampling.BICUBIC)
    modes = ("RGB", "L", "P", "LA", "1")
    files = [(encoded(opaque.convert(mode), "PNG"), "image/png", 0) for mode in modes]
    # A profile in which red is blue: Pillow does not convert colours, so nor may the browser.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    files.append((encoded(opaque, "PNG", icc_profile=swapped), "image/png", 0))
    files.append((encoded(Image.fromarray(noise), "PNG"), "image/png", 1))  # on white
    files.append((encoded(opaque, "BMP"), "image/bmp", 0))
    files.append((encoded(opaque.quantize(16), "GIF"), "image/gif", 0))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files.append((encoded(smooth, "JPEG", quality=95, exif=exif), "image/jpeg", 3))
    given = [(base64.b64encode(data).decode(), kind) for data, kind, _ in files]
    with static(made.folder) as address:
        page.open(address)
        answer = page.driver.execute_async_script(DECODE, given)
    assert "error" not in answer, answer["error"]
    for (data, kind, allowed), (height, width, rgb) in zip(files, answer["said"], strict=True):
        wanted = np.asarray(images.to_mode(images.decode(data), "RGB"))
        assert (height, width) == wanted.shape[:2]
        found = np.array(rgb).reshape(wanted.shape)
        assert np.abs(found - wanted.astype(int)).max() <= allowed, kind


def test_it_opens_without_a_network_after_the_first_visit(page, made, static):
    with static(made.folder) as address:
        page.open(address)
        worker = "navigator.serviceWorker.ready.then(() => arguments[0](true))"
        assert page.driver.execute_async_script(worker)
        page.driver.refresh()  # now through the worker
        page.wait(lambda: page.all(".chip"))
    page.driver.refresh()  # the server is gone
    page.wait(lambda: page.all(".chip"))
    digit = sightline.load_data("digits").test.arrays((8, 8), "crop").X[0, :, :, 0]
    page.drop(encoded(Image.fromarray(digit), "PNG"))
    assert len(page.answered(2)) == 2
    page.wait(lambda: [i.get_property("naturalWidth") for i in page.all(".near img")] == [8] * 5)
    assert not page.one("#code").is_displayed()  # there is no server that curl could ask
    page.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["videoCapture"], "origin": address}
    )
    page.one("#webcam").click()
    page.wait(lambda: page.script("return document.querySelector('video').videoWidth") > 0)
    page.one("#take").click()
    page.wait(lambda: page.one("#shown").get_attribute("alt") == "camera.png")
    assert len(page.answered(2)) == 2
    page.driver.execute_cdp_cmd("Browser.resetPermissions", {})
    loaded = page.script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert all(name.startswith((address, f"blob:{address}")) for name in loaded)
    # The tests after this one start without its worker.
    leave = """
    navigator.serviceWorker.getRegistrations()
      .then((all) => Promise.all(all.map((one) => one.unregister()))).then(arguments[0])
    """
    page.driver.execute_async_script(leave)


def test_what_is_no_picture_is_said_on_the_card(page, made, static):
    with static(made.folder) as address:
        page.open(address)
        page.wait(lambda: page.all(".chip"))
        page.drop(b"not an image", "broken.png")
        page.wait(lambda: len(page.all(".card .trouble")) == 2)
        assert "This picture cannot be read." in page.one(".card").text


@pytest.mark.slow
def test_eight_bits_answer_alike_in_the_browser(page, runs, archive, static, tmp_path, monkeypatch):
    monkeypatch.setattr(npm, "fetch", lambda _: archive)
    done = site(runs[1:], tmp_path / "site", precision="int8")
    assert done.exported[0].about.precision == "int8"
    runtime = Runtime(done.exported[0].path)
    asked = [picture for picture in pictures() if picture[0] == "colours"]
    given = [(model, base64.b64encode(data).decode(), kind) for model, data, kind in asked]
    with static(done.folder) as address:
        page.open(address)
        page.wait(lambda: page.all(".answers"))
        answer = page.driver.execute_async_script(ASK, given)
    wanted = [found.name for found in runtime.predict([data for _, data, _ in asked])]
    assert [said["label"] for said in answer["said"]] == wanted


# ---- without a browser


@pytest.fixture
def quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: list[Path], copied: Any
) -> list[Path]:
    """Runs whose graphs exist already, and an ONNX Runtime Web of three empty files."""
    package = tmp_path / "package.tgz"
    with tarfile.open(package, "w:gz") as tar:
        for name in RUNTIME_FILES:
            tar.addfile(tarfile.TarInfo(f"package/dist/{name}"))
    monkeypatch.setattr(npm, "fetch", lambda _: package)
    monkeypatch.setattr(module, "export", copied)
    return runs


def test_a_folder_that_is_no_site_is_not_replaced(quick, tmp_path):
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years")
    with pytest.raises(RunError, match="holds other files"):
        site(quick, folder)
    assert (folder / "thesis.tex").read_text() == "years"


def test_a_site_is_replaced_whole_or_not_at_all(quick, tmp_path, monkeypatch):
    folder = tmp_path / "site"
    site(quick[:1], folder)
    before = (folder / "sw.js").read_text()

    def fails(*_: Any, **__: Any) -> None:
        raise RunError("no")

    with monkeypatch.context() as patch:
        patch.setattr(module, "export", fails)
        with pytest.raises(RunError, match="no"):
            site(quick, folder)
    assert (folder / "sw.js").read_text() == before
    done = site(quick, folder)
    assert (folder / "sw.js").read_text() != before  # so that browsers fetch the new one
    assert set(done.files) == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".site")] == []


def test_the_worker_keeps_every_file_that_the_page_asks_for(quick, tmp_path):
    folder = site(quick, tmp_path / "site").folder
    line = next(x for x in (folder / "sw.js").read_text().splitlines() if "FILES =" in x)
    kept = set(json.loads(line.partition("FILES = ")[2].rstrip(";")))
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert kept == there - {"index.html", "sw.js", "README.txt"} | {"./"}


def test_runs_of_one_name_are_told_apart(quick, tmp_path):
    folder = site([quick[0], quick[0]], tmp_path / "site").folder
    listed = json.loads((folder / "models.json").read_text())["models"]
    assert [(one["name"], one["folder"]) for one in listed] == [
        ("near", "models/0"), ("near-2", "models/1"),
    ]  # fmt: skip


def test_the_command_writes_several_runs_side_by_side(quick, tmp_path, capsys):
    where = str(tmp_path / "site")
    named = [str(run) for run in quick]
    assert status(["export", *named, "--to", "web", "-o", where, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in said["models"]] == ["near", "colours"]
    assert "models/0/neighbours-0.png" in said["files"]
    assert status(["export", *named, "--to", "web", "-o", where]) == 0
    shown = capsys.readouterr().out
    assert "in all" in shown
    assert "http.server" in shown
    assert status(["export", *named, "-o", where]) == 2
    assert "--to web" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [(1100, 8, 8, 1), (30, 200, 900, 3), (3, 3000, 10, 3)])
def test_every_training_image_is_on_its_sheet(tmp_path, shape):
    X = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    sheets = module._sheets(X, tmp_path)
    a_sheet = sheets["columns"] * sheets["rows"]
    _, height, width, channels = shape
    for i in range(0, len(X), max(1, len(X) // 7)):
        whole = np.asarray(Image.open(tmp_path / f"neighbours-{i // a_sheet}.png"))
        whole = whole.reshape(*whole.shape[:2], channels)
        row, column = divmod(i % a_sheet, sheets["columns"])
        cut = whole[row * height :, column * width :][:height, :width]
        assert (cut == X[i]).all()


def test_without_npm_one_line_says_so(monkeypatch):
    monkeypatch.setattr(npm.shutil, "which", lambda _: None)
    with pytest.raises(RunError, match=r"npm.* is not installed; install it or put onnx.*\.tgz"):
        npm.fetch(RUNTIME)


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("exit 1", "is there a network"),
        ("echo other > onnxruntime-web-1.30.0.tgz", "not the pinned one"),
        ("true", "not the pinned one"),
    ],
)
def test_what_npm_does_not_bring_is_said_and_not_kept(monkeypatch, tmp_path, home, does, says):
    npm_ = tmp_path / "npm"
    npm_.write_text(f"#!/bin/sh\n{does}\n")
    npm_.chmod(0o755)
    monkeypatch.setattr(npm.shutil, "which", lambda _: str(npm_))
    with pytest.raises(RunError, match=says):
        npm.fetch(RUNTIME)
    assert list((home / "npm").iterdir()) == []


def test_a_damaged_package_in_the_cache_is_fetched_again(monkeypatch, tmp_path, home):
    good = tmp_path / "good.tgz"
    good.write_bytes(b"package")
    package = npm.Package("thing", "1.0.0", npm.digest(good))
    npm_ = tmp_path / "npm"
    npm_.write_text(f"#!/bin/sh\ncp {good} thing-1.0.0.tgz\n")
    npm_.chmod(0o755)
    monkeypatch.setattr(npm.shutil, "which", lambda _: str(npm_))
    (home / "npm").mkdir()
    (home / "npm" / "thing-1.0.0.tgz").write_bytes(b"half a pack")
    assert npm.fetch(package).read_bytes() == b"package"


@pytest.mark.parametrize("text", ["7", '"sightline"', '["sightline"]', "{", "[" * 100_000])
def test_a_folder_whose_list_of_models_is_none_is_somebody_elses(tmp_path, text):
    (tmp_path / module.MODELS).write_text(text)
    with pytest.raises(RunError, match="holds other files"):
        module._check(tmp_path)
