"""Deploy a trained run: as files, an HTTP server, a static page or a bulk job, with their costs."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`
