"""From a run to something that answers elsewhere: files, a server, a page, bulk, their cost."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)  # see `sightline.tasks`
