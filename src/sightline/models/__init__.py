"""The mathematics: arrays and tensors in and out; no files, no data sets."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`
