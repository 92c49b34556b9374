"""Exported generators: the same pictures as the run, by the sampler outside, and over HTTP."""

import asyncio
import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.deploy import generate as deployed
from sightline.errors import ParameterError, RunError, UnknownNameError

pytest.importorskip("onnxruntime")

SMALL = {
    "vae": {"width": 16, "latent": 4, "conditional": True},
    "dcgan": {"width": 4, "latent": 8, "conditional": False},
    "flow": {"width": 8, "steps": 3, "guidance": 2.0},
}
FAST = {"epochs": 2.0, "least_steps": 1, "device": "cpu", "precision": "32-true"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each method, on some of the embedded digits."""
    place = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_HOME", str(place / "home"))
        data = sightline.load_data("digits")
        train = data.with_rows({name: rows[:150] for name, rows in data.rows.items()}).train
        for name, knobs in SMALL.items():
            sightline.create_model(name, **(FAST | knobs)).fit(train).save(place / name)
    return place


@pytest.fixture(scope="module")
def files(runs):
    from sightline.deploy import export

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_HOME", str(runs / "home"))
        return {name: export.export(runs / name, runs / f"{name}.onnx") for name in SMALL}


@pytest.mark.parametrize("name", SMALL)
def test_an_export_makes_the_run_s_pictures(runs, files, name):
    from sightline.deploy.runtime import Runtime

    assert files[name].difference < 0.01
    assert files[name].agreement == 1
    runtime = Runtime(files[name].path)
    model = sightline.load_model(runs / name)
    wanted = deployed.Wanted(n=5, seed=7)
    made = deployed.fulfil(runtime, deployed.wishes(runtime.about, wanted))
    said = model.generate(5, seed=7)
    off = np.abs(np.stack([m.images[0] for m in made]).astype(int) - said)
    assert off.mean() < 1
    if runtime.about.asks["classes"]:
        wanted = deployed.Wanted(n=2, of_class="7")
        made = deployed.fulfil(runtime, deployed.wishes(runtime.about, wanted))
        theirs = model.generate(2, name="7")
        assert np.abs(made[1].images[0].astype(int) - theirs[1]).mean() < 1
    told = deployed.document(made[0])
    row = deployed.row(told)
    assert set(row) == {column for column, _ in deployed.columns()}
    read = np.asarray(Image.open(io.BytesIO(row["picture"])))
    assert np.array_equal(read, made[0].images[0][:, :, 0])


@pytest.mark.parametrize("how", [(4, "euler", 1.0), (3, "heun", 1.0), (3, "heun", 2.5)])
def test_the_sampler_outside_is_the_run_s(runs, files, how):
    from sightline.deploy.runtime import Runtime

    steps, sampler, guidance = how
    runtime = Runtime(files["flow"].path)
    wanted = deployed.Wanted(n=4, steps=steps, sampler=sampler, guidance=guidance)
    made = deployed.fulfil(runtime, deployed.wishes(runtime.about, wanted))
    said = sightline.load_model(runs / "flow").generate(
        4, steps=steps, sampler=sampler, guidance=guidance
    )
    assert np.abs(np.stack([m.images[0] for m in made]).astype(int) - said).max() <= 2


def test_what_cannot_be_asked_for(runs, files):
    from sightline.deploy import bulk, edge, export
    from sightline.deploy.runtime import Runtime

    abouts = {name: Runtime(files[name].path).about for name in ("dcgan", "flow")}
    with pytest.raises(ParameterError, match="knows no classes"):
        deployed.wishes(abouts["dcgan"], deployed.Wanted(of_class="7"))
    with pytest.raises(ParameterError, match="without steps"):
        deployed.wishes(abouts["dcgan"], deployed.Wanted(steps=3))
    with pytest.raises(UnknownNameError, match="unknown class"):
        deployed.wishes(abouts["flow"], deployed.Wanted(of_class="77"))
    runtime = Runtime(files["flow"].path)
    with pytest.raises(ParameterError, match="makes pictures of noise, and answers no pictures"):
        runtime.predict([np.zeros((8, 8, 1), np.uint8)])
    with pytest.raises(ParameterError, match="answers no pictures"):
        bulk.predict(files["flow"].path, str(runs), str(runs / "x.parquet"))
    with pytest.raises(ParameterError, match="no edge runner for the task 'generate'"):
        edge.bundle(runs / "flow", runs / "edge")
    with pytest.raises(ParameterError, match="no model in 8 bits"):
        export.export(runs / "flow", runs / "small.onnx", precision="int8")


def test_half_precision_makes_like_pictures(runs, monkeypatch):
    from sightline.deploy import export

    monkeypatch.setenv("SIGHTLINE_HOME", str(runs / "home"))
    done = export.export(runs / "vae", runs / "half.onnx", precision="fp16")
    assert done.difference < 0.02


def test_a_file_of_other_metadata_is_refused(files, runs):
    import onnx

    from sightline.deploy.runtime import KEY, Runtime

    proto = onnx.load(str(files["dcgan"].path))
    about = json.loads(proto.metadata_props[0].value)
    about["asks"]["latent"] = [3]
    onnx.helper.set_model_props(proto, {KEY: json.dumps(about)})
    onnx.save(proto, str(runs / "odd.onnx"))
    with pytest.raises(RunError, match="does not make pictures as its metadata says"):
        Runtime(runs / "odd.onnx")


def test_the_server_makes_pictures(files):
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("fastapi")
    from sightline.deploy.server.application import Application
    from sightline.deploy.server.settings import Settings

    app = Application([f"f={files['flow'].path}", f"v={files['vae'].path}"], Settings(queue=40))
    app.models.load()

    async def asked():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as c:
            good = await c.post("/v1/generate", json={"n": 3, "seed": 5, "class": "2", "steps": 2})
            again = await c.post("/v1/generate", json={"n": 3, "seed": 5, "class": "2", "steps": 2})
            other = await c.post("/v1/generate", json={"model": "v", "n": 1})
            bad = [
                await c.post("/v1/generate", **given)
                for given in (
                    {"json": {"n": 0}}, {"json": {"class": "77"}}, {"json": {"odd": 1}},
                    {"json": {"model": "v", "steps": 3}}, {"json": {"model": "w"}},
                    {"content": b"no"}, {"json": [1]}, {"json": {"model": 3}},
                    {"json": {"n": 64}},
                )
            ]  # fmt: skip
            png = base64.b64decode(good.json()["results"][0]["picture"].partition(",")[2])
            wrong = await c.post("/v1/predict", content=png, headers={"Content-Type": "image/png"})
            listed = (await c.get("/v1/models")).json()["models"]
            return good, again, other, bad, wrong, listed

    good, again, other, bad, wrong, listed = asyncio.run(asked())
    app.close()
    assert good.status_code == other.status_code == 200
    assert good.json()["model"]["name"] == "f"
    assert len(good.json()["results"]) == 3
    assert good.content == again.content
    assert good.json()["results"][0]["size"] == [8, 8]
    assert [answer.status_code for answer in bad] == [422, 422, 422, 422, 404, 400, 400, 422, 429]
    assert "unknown class" in bad[1].json()["detail"]
    assert wrong.status_code == 422
    assert "ask /v1/generate" in wrong.json()["detail"]
    assert listed[0]["asks"]["kind"] == "flow"
