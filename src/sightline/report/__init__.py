"""Render the folder of a run or a comparison as one self-contained page."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`
