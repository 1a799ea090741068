"""A trouble that is met again every second, told when it begins, when its cause changes, and when it is over."""

from __future__ import annotations

import logging


class Outage:
    """Of one thing, named as a person knows it."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._why: str | None = None

    def met(self, why: object) -> None:
        """It fails, for this reason."""
        if str(why) != self._why:
            self._why = str(why)
            self._log.warning("%s fails: %s", self._what, self._why)

    def over(self) -> None:
        """It works."""
        if self._why is not None:
            self._why = None
            self._log.info("%s works again", self._what)
