"""What calibration remembers of a tensor: bounded memory, whatever the size of the calibration set."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from tinyptq.errors import EXIT_USAGE, TinyptqError, close_match
from tinyptq.graph import Array

BINS = 4096  # of the percentile histogram, half below zero and half above


class Observer(Protocol):
    """Sees arrays one batch at a time; a class because it is a running state."""

    def observe(self, values: Array) -> None: ...

    def range(self) -> tuple[float, float]: ...


class MinMax:
    """Smallest and largest value ever seen."""

    def __init__(self) -> None:
        self.low, self.high = math.inf, -math.inf

    def observe(self, values: Array) -> None:
        self.low = min(self.low, float(values.min()))
        self.high = max(self.high, float(values.max()))

    def range(self) -> tuple[float, float]:
        return self.low, self.high


class Percentile:
    """The central `percent` % of all values, from a histogram whose bins double in width as values grow."""

    def __init__(self, percent: float) -> None:
        self.tail = (1.0 - percent / 100.0) / 2.0
        self.limit = 2.0**-20  # the histogram spans [-limit, limit)
        self.counts = np.zeros(BINS, np.int64)
        self.extremes = MinMax()

    def observe(self, values: Array) -> None:
        self.extremes.observe(values)
        largest = max(abs(self.extremes.low), abs(self.extremes.high))
        while largest >= self.limit:
            self.widen()
        position = np.floor(values.reshape(-1) * (BINS / 2 / self.limit)).astype(np.int64) + BINS // 2
        self.counts += np.bincount(position, minlength=BINS)

    def widen(self) -> None:
        """Twice the span: neighbouring bins merge towards the middle."""
        merged = self.counts.reshape(-1, 2).sum(axis=1)
        self.counts = np.zeros(BINS, np.int64)
        self.counts[BINS // 4 : BINS // 4 + BINS // 2] = merged
        self.limit *= 2

    def range(self) -> tuple[float, float]:
        cumulative = np.cumsum(self.counts) / max(int(self.counts.sum()), 1)
        width = 2 * self.limit / BINS
        first = int(np.searchsorted(cumulative, self.tail, side="right"))
        last = int(np.searchsorted(cumulative, 1.0 - self.tail, side="left"))
        low, high = -self.limit + first * width, -self.limit + (last + 1) * width
        return max(low, self.extremes.low), min(high, self.extremes.high)


OBSERVERS: dict[str, Callable[[], Observer]] = {
    "min-max": MinMax,
    "percentile-99.9": lambda: Percentile(99.9),
    "percentile-99.99": lambda: Percentile(99.99),
    "percentile-99.999": lambda: Percentile(99.999),
}


DEFAULT_OBSERVER = "min-max"


def make_observer(name: str) -> Observer:
    if name not in OBSERVERS:
        raise TinyptqError(
            "unknown-observer", f"no observer '{name}'", hint=close_match(name, OBSERVERS), exit_code=EXIT_USAGE
        )
    return OBSERVERS[name]()
