"""Which cores serve and which ask, so that a figure means so many cores and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from stack.child import die_with_parent

SERVING = 2


@dataclass(frozen=True)
class Cores:
    """Two cores for whatever serves; the load generator takes the others, or shares where there are none."""

    serving: frozenset[int]
    asking: frozenset[int]

    @classmethod
    def split(cls, shared: bool = False) -> Cores:
        """The first two cores this process may use serve."""
        usable = sorted(os.sched_getaffinity(0))
        serving, rest = frozenset(usable[:SERVING]), frozenset(usable[SERVING:])
        return cls(serving, serving if shared or not rest else rest)

    @property
    def shared(self) -> bool:
        return self.serving == self.asking

    def __str__(self) -> str:
        asking = (
            "the load generator shares them" if self.shared else f"the load generator has {len(self.asking)} others"
        )
        return f"{len(self.serving)} cores serve, {asking}"


def pinned_to(cores: frozenset[int]) -> Callable[[], None]:
    """For subprocess' preexec_fn: the child and all its children stay on these cores, and it ends with the bench."""

    def prepare() -> None:
        os.sched_setaffinity(0, cores)
        die_with_parent()

    return prepare
