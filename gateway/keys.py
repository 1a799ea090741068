"""API keys: hashed in a file that is read again when it changes, compared in constant time, images limited per key.

One line a key: `name:sha256-of-the-key[:images-a-minute]`; `#` begins a comment.
`python -m gateway key NAME` makes a key and its line.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.outage import Outage
from gateway.problems import Problem, of_each_image

log = logging.getLogger("gateway.keys")
LOOK_EVERY_S = 1.0
NO_TIME = ("busy", "backend_unavailable")


@dataclass(frozen=True)
class Key:
    """One caller: never the key itself, only its hash."""

    name: str
    digest: bytes
    per_minute: int


class Bucket:
    """Refills evenly; may be overdrawn by a request of many images, which the next one waits for."""

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self._level = float(per_minute)
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until one image may be sent."""
        self._level = min(self.per_minute, self._level + (now - self._at) * self.per_minute / 60)
        self._at = now
        return max(0.0, (1 - self._level) * 60 / self.per_minute)

    def take(self, images: int) -> None:
        self._level -= images

    def give_back(self, images: int) -> None:
        self._level = min(self.per_minute, self._level + images)


class Keys:
    """The door: lets a request in under its key's name, or raises the problem that says why not."""

    def __init__(self, path: Path | None, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._keys: list[Key] = []
        self._stamp: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")
        self._reading = Outage(log, "the reading of the API keys")
        if path:
            self._keys = read(path, per_minute)
            self._stamp = _stamp(path)

    def admit(self, authorization: str | None, api_key: str | None) -> str | None:
        """As `recognise`, and counts one image; raises the problem too if this key has sent its images."""
        key = self._known(authorization, api_key)
        if key:
            self._limit(key)
        return key.name if key else None

    def recognise(self, authorization: str | None, api_key: str | None) -> str | None:
        """The name of the caller's key; None where no keys are configured."""
        key = self._known(authorization, api_key)
        return key.name if key else None

    def _known(self, authorization: str | None, api_key: str | None) -> Key | None:
        if self._path is None:
            return None
        self._reload()
        scheme, _, token = (authorization or "").partition(" ")
        offered = api_key or (token.strip() if scheme.lower() == "bearer" else "")
        if not offered:
            raise _unauthorized("This server asks for an API key. Send the header `Authorization: Bearer <key>`.")
        digest = hashlib.sha256(offered.encode()).digest()
        found = None
        for key in self._keys:
            if hmac.compare_digest(key.digest, digest):
                found = key
        if found is None:
            raise _unauthorized("This API key is not known here. Check it, or ask the operator for a new one.")
        return found

    def charge(self, name: str | None, images: int) -> None:
        """Count images beyond the one that `admit` counted."""
        bucket = self._buckets.get(name or "")
        if bucket and images > 0:
            bucket.take(images)

    @contextmanager
    def sparing(self, name: str | None, state: Mapping[str, Any]) -> Iterator[None]:
        """Gives back what was counted for images that nobody had time for.

        Counted they are first, so that requests side by side share a limit.
        """
        refusal: Problem | None = None
        try:
            yield
        except Problem as problem:
            refusal = problem
            raise
        finally:
            if bucket := self._buckets.get(name or ""):
                bucket.give_back(sum(met.reason in NO_TIME for met in of_each_image(state, refusal)))

    def _limit(self, key: Key) -> None:
        if not key.per_minute:
            return
        now = self._clock()
        bucket = self._buckets.get(key.name)
        if bucket is None or bucket.per_minute != key.per_minute:
            bucket = self._buckets[key.name] = Bucket(key.per_minute, now)
        if wait := bucket.wait(now):
            seconds = math.ceil(wait)
            raise Problem(
                "rate_limited",
                f"This API key may send {key.per_minute} images a minute. Wait {seconds} s.",
                headers={"retry-after": str(seconds)},
            )
        bucket.take(1)

    def _reload(self) -> None:
        assert self._path
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        try:
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._keys = read(self._path, self._per_minute)
                self._stamp = stamp
                log.info("API keys read again: %d", len(self._keys))
            self._reading.over()
        except (OSError, ValueError) as error:
            self._reading.met(f"API keys stay as they were: {error}")


def read(path: Path, per_minute: int) -> list[Key]:
    """The keys of a file; ValueError names the line that is wrong."""
    keys: dict[str, Key] = {}
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file") from None
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        name, _, rest = entry.partition(":")
        digest, _, limit = rest.partition(":")
        try:
            key = Key(name.strip(), bytes.fromhex(digest), int(limit) if limit else per_minute)
            if not key.name or len(key.digest) != hashlib.sha256().digest_size or key.per_minute < 0:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"{path} line {number}: write `name:sha256-in-hex` or `name:sha256-in-hex:limit`"
            ) from None
        if key.name in keys:
            raise ValueError(f"{path} line {number}: the name {key.name!r} is there twice")
        keys[key.name] = key
    if not keys:
        log.warning("%s has no key, so every request is refused: python -m gateway key NAME makes one", path)
    return list(keys.values())


def generate(name: str) -> tuple[str, str]:
    """A new key, to be given to the caller, and its line for the file; ValueError for a name that no line can have."""
    if not name.strip() or not name.isprintable() or {":", "#"} & set(name):
        raise ValueError(f"a key cannot have the name {name!r}: use letters, digits and the like, no `:` and no `#`")
    key = f"ds_{secrets.token_urlsafe(32)}"
    return key, f"{name}:{hashlib.sha256(key.encode()).hexdigest()}"


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"www-authenticate": 'Bearer realm="dermserve"'})
