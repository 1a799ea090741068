"""Why the stack cannot start or go on: lines for a person, one exit code for a script."""

from __future__ import annotations

from typing import ClassVar


class Problem(Exception):
    """Its text says what is wrong and what to do, one line for each thing."""

    code: ClassVar[int] = 1


class BadSetting(Problem):
    code = 2


class WrongJava(Problem):
    code = 3


class BadArchive(Problem):
    code = 4


class PortTaken(Problem):
    code = 5


class NotReady(Problem):
    code = 6


class Crashed(Problem):
    code = 7
