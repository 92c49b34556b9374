"""Explain why a model answers as it does."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`
