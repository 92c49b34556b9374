"""Implement the methods' mathematics on arrays and tensors, without files and data sets."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`
