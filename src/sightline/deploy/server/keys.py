"""Make and check API keys: random, shown once, kept as hashes only."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from pathlib import Path

from sightline.errors import RunError

PREFIX = "sl_"
_HASH = re.compile(r"[0-9a-f]{64}")


def new() -> tuple[str, str]:
    """Return a new key of 256 random bits, and its hash for the file of keys.

    Such a key cannot be guessed, so one round of SHA-256 is enough to hide it.
    """
    key = PREFIX + secrets.token_urlsafe(32)
    return key, digest(key)


def digest(key: str) -> str:
    """Return the SHA-256 hash of a key, in hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Keys:
    """The hashes of the API keys that are admitted.

    Parameters
    ----------
    path : path
        One hash a line, and behind it what you want to remember of its owner; # begins a remark.

    Raises
    ------
    RunError
        When the file cannot be read, or a line of it is no hash.
    """

    def __init__(self, path: Path) -> None:
        self.hashes: list[str] = []
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: the keys cannot be read ({error})") from None
        for number, line in enumerate(lines, 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if not _HASH.fullmatch(words[0]):
                raise RunError(
                    f"{path}, line {number}: the hash is not a SHA-256 in hexadecimal; "
                    "sightline serve --new-key makes one"
                )
            self.hashes.append(words[0])
        if not self.hashes:
            raise RunError(f"{path} has no key; sightline serve --new-key makes one")

    def owner(self, key: str) -> str | None:
        """Return the hash of a key that is admitted; None for any other.

        All hashes are compared, each in constant time, so that the time tells nothing.
        """
        asked = digest(key)
        owner = None
        for known in self.hashes:
            if hmac.compare_digest(known, asked):
                owner = known
        return owner
