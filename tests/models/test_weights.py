"""Published weights from a file that stands where torchvision's download would be."""

from __future__ import annotations

from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from sightline.errors import UnknownNameError, WeightsError
from sightline.estimators import load_model
from sightline.models import licences, registry
from sightline.models.weights import licence_of, load_published


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def publish(name, hub):
    """Put a random state dict in the place of the published file."""
    more = {"init_weights": True} if name == "googlenet" else {}
    torch.manual_seed(3)
    model = models.get_model(name, **more)
    file = models.get_model_weights(name).DEFAULT.url.rpartition("/")[2]
    torch.save(model.state_dict(), hub / file)
    return model.eval()


def test_all_weights_are_taken_for_the_same_classes(hub):
    theirs = publish("resnet18", hub)
    ours = registry.card("resnet18").load()().eval()
    found = load_published("resnet18", ours, 1000)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x))
    assert found.fresh == ()
    assert found.mean == (0.485, 0.456, 0.406)
    assert (found.resize, found.crop, found.interpolation) == (256, 224, "bilinear")
    assert len(found.categories) == 1000
    assert found.categories[0] == "tench"
    assert found.metrics["acc@1"] == pytest.approx(69.758)
    assert found.url.endswith("resnet18-f37072fd.pth")
    assert found.recipe.startswith("https://")
    assert found.licence == licences.TORCHVISION


def test_the_head_stays_for_other_classes(hub):
    theirs = publish("alexnet", hub)
    ours = registry.card("alexnet").load()(num_classes=4)
    before = ours.classifier[6].weight.clone()
    found = load_published("alexnet", ours, 4)
    assert found.fresh == ("classifier.6.weight", "classifier.6.bias")
    torch.testing.assert_close(ours.classifier[6].weight, before)
    torch.testing.assert_close(ours.classifier[4].weight, theirs.classifier[4].weight)


def test_a_small_form_takes_the_features(hub):
    theirs = publish("vgg11_bn", hub)
    ours = registry.card("vgg11_bn").load()(num_classes=10, small=True)
    found = load_published("vgg11_bn", ours, 10)
    assert found.fresh == ("classifier.weight", "classifier.bias")
    torch.testing.assert_close(ours.features.state_dict(), theirs.features.state_dict())


def test_a_small_resnet_keeps_its_own_stem(hub):
    publish("resnet18", hub)
    ours = registry.card("resnet18").load()(num_classes=10, small=True)
    found = load_published("resnet18", ours, 10)
    assert found.fresh == ("conv1.weight", "fc.weight", "fc.bias")


def test_grey_answers_as_three_equal_colours(hub):
    theirs = publish("resnet18", hub)
    ours = registry.card("resnet18").load()(in_channels=1).eval()
    found = load_published("resnet18", ours, 1000)
    x = torch.randn(2, 1, 64, 64)
    torch.testing.assert_close(ours(x), theirs(x.expand(-1, 3, -1, -1)), rtol=1e-4, atol=1e-5)
    assert len(found.mean) == len(found.std) == 1


def test_googlenet_sees_images_as_its_weights_want(hub):
    publish("googlenet", hub)
    theirs = models.googlenet(weights="DEFAULT").eval()  # reads the same file
    ours = registry.card("googlenet").load()(aux_logits=False).eval()
    found = load_published("googlenet", ours, 1000)
    pixels = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (found.mean, found.std))
    imagenet = models.get_model_weights("googlenet").DEFAULT.transforms()
    a, b = (torch.tensor(v).view(1, 3, 1, 1) for v in (imagenet.mean, imagenet.std))
    torch.testing.assert_close(
        ours((pixels - mean) / std), theirs((pixels - a) / b), rtol=1e-4, atol=1e-5
    )


def test_torchvisions_own_networks_take_them_too(hub):
    publish("squeezenet1_1", hub)
    card = registry.card("torchvision:squeezenet1_1")
    model = card.load()(num_classes=3, **card.arguments)
    found = load_published(card.name, model, 3)
    assert found.fresh == ("classifier.1.weight", "classifier.1.bias")


def test_offline_says_which_file_goes_where(hub, monkeypatch):
    def offline(*args, **kwargs):
        raise URLError("Temporary failure in name resolution")

    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    model = registry.card("resnet18").load()(num_classes=2)
    with pytest.raises(WeightsError) as error:
        load_published("resnet18", model, 2)
    text = str(error.value)
    assert "\n" not in text
    assert "name resolution" in text
    assert "put the file resnet18-f37072fd.pth" in text
    assert text.endswith(f"into the folder {hub}")
    (hub / "resnet18-f37072fd.pth").write_bytes(b"half a download")
    with pytest.raises(WeightsError, match="is damaged: delete it"):
        load_published("resnet18", model, 2)


def test_other_networks_are_refused(hub):
    publish("resnet18", hub)
    with pytest.raises(WeightsError, match="do not fit ResNet"):
        load_published("resnet18", registry.card("resnet50").load()(), 1000)
    with pytest.raises(UnknownNameError, match="did you mean 'vgg16'"):
        load_published("vgg166", registry.card("resnet18").load()(), 1000)


def test_weights_with_a_licence_of_their_own_say_so():
    swag = models.get_model_weights("vit_h_14").DEFAULT
    assert licence_of(swag).endswith("SWAG/blob/main/LICENSE")


def test_published_weights_are_a_classifier_of_their_own(hub):
    theirs = publish("resnet18", hub)
    model = load_model("imagenet:resnet18,names=en")
    assert model.fitted_.resize == "imagenet-bilinear"
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 420, 3), np.uint8))
    preset = models.get_model_weights("resnet18").DEFAULT.transforms()
    with torch.inference_mode():
        wanted = torch.softmax(theirs(preset(picture)[None]), 1)[0]
    (answer,) = model.predict([picture])
    np.testing.assert_allclose(answer.probabilities, wanted, atol=2e-3)
    assert answer.label == int(wanted.argmax())
