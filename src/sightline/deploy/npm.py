"""Fetch a pinned npm package once, verified by its SHA-512 digest."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sightline.data import store
from sightline.errors import RunError

SECONDS = 600
"""That npm has for a package."""


@dataclass(frozen=True)
class Package:
    """A pinned version of an npm package.

    Parameters
    ----------
    name : str
    version : str
    integrity : str
        ``sha512-`` and the digest of its archive in base64, as npm's own lock files have it.
    """

    name: str
    version: str
    integrity: str

    @property
    def archive(self) -> str:
        """Return the file name of the package's archive."""
        return f"{self.name}-{self.version}.tgz"


def fetch(package: Package) -> Path:
    """Return the archive of a package, from ``SIGHTLINE_HOME/npm`` or fetched with ``npm pack``.

    Raises
    ------
    RunError
        When npm is not there, has no network, or what it brings is not what was pinned.
    """
    folder = store.home() / "npm"
    kept = folder / package.archive
    if kept.is_file() and digest(kept) == package.integrity:
        return kept
    npm = shutil.which("npm")
    mend = f"put {package.archive} into {folder}"
    if npm is None:
        raise RunError(f"npm, which fetches {package.name}, is not installed; install it or {mend}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".npm-", dir=folder) as scratch:
            _pack(npm, package, Path(scratch), mend)
            brought = Path(scratch) / package.archive
            if not brought.is_file() or digest(brought) != package.integrity:
                raise RunError(
                    f"npm brought a {package.archive} that is not the pinned one; "
                    f"check npm's registry, or {mend}"
                )
            brought.replace(kept)
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror or error}") from error
    return kept


def unpack(archive: Path, wanted: Mapping[str, Path]) -> None:
    """Extract some files of a package: from names under its ``package/`` to paths.

    Raises
    ------
    RunError
        When one is not in it.
    """
    with tarfile.open(archive) as tar:
        for name, place in wanted.items():
            try:
                there = tar.extractfile(f"package/{name}")
            except KeyError:
                there = None
            if there is None:
                raise RunError(f"{archive} has no {name}; delete it, and it is fetched again")
            with there, place.open("wb") as out:
                shutil.copyfileobj(there, out)


def digest(path: Path) -> str:
    """Return the SHA-512 digest of a file in npm's notation."""
    with path.open("rb") as file:
        sha512 = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(sha512).decode()}"


def _pack(npm: str, package: Package, folder: Path, mend: str) -> None:
    command = [npm, "pack", f"{package.name}@{package.version}", "--silent"]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL, env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RunError(
            f"npm did not bring {package.name} in {SECONDS} s; is there a network? else {mend}"
        ) from None
    if done.returncode:
        raise RunError(
            f"npm cannot fetch {package.name} {package.version} (npm ended with "
            f"{done.returncode}); is there a network? else {mend}"
        )
