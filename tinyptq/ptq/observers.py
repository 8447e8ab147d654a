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


class Histogram:
    """Counts of values in bins whose width doubles as values grow; the extremes are kept exactly."""

    def __init__(self) -> None:
        self.limit = 2.0**-20  # the bins span [-limit, limit)
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

    @property
    def edges(self) -> Array:
        """float64 [BINS + 1]: where the bins begin, and the end of the last."""
        return np.linspace(-self.limit, self.limit, BINS + 1)


class Percentile:
    """The central `percent` % of all values."""

    def __init__(self, percent: float) -> None:
        self.tail = (1.0 - percent / 100.0) / 2.0
        self.histogram = Histogram()

    def observe(self, values: Array) -> None:
        self.histogram.observe(values)

    def range(self) -> tuple[float, float]:
        counts, edges, seen = self.histogram.counts, self.histogram.edges, self.histogram.extremes
        cumulative = np.cumsum(counts) / max(int(counts.sum()), 1)
        first = int(np.searchsorted(cumulative, self.tail, side="right"))
        last = int(np.searchsorted(cumulative, 1.0 - self.tail, side="left"))
        return max(float(edges[first]), seen.low), min(float(edges[last + 1]), seen.high)


class MeanSquaredError:
    """The range that makes the expected squared error of rounding and clipping to 256 steps least.

    Error of a value inside: step² / 12; outside: its squared distance from the range. Low and high are lowered in
    turn over fractions of the extremes.
    """

    FRACTIONS = np.linspace(1.0, 0.3, 71)

    def __init__(self) -> None:
        self.histogram = Histogram()

    def observe(self, values: Array) -> None:
        self.histogram.observe(values)

    def range(self) -> tuple[float, float]:
        low, high = min(self.histogram.extremes.low, 0.0), max(self.histogram.extremes.high, 0.0)
        for _ in range(2):
            high = min((high * f for f in self.FRACTIONS), key=lambda candidate: self.error(low, candidate))
            low = min((low * f for f in self.FRACTIONS), key=lambda candidate: self.error(candidate, high))
        return low, high

    def error(self, low: float, high: float) -> float:
        edges, counts = self.histogram.edges, self.histogram.counts
        centres = (edges[:-1] + edges[1:]) / 2
        outside = np.maximum(low - centres, 0.0) + np.maximum(centres - high, 0.0)
        inside = int(counts[outside == 0.0].sum())
        return float((counts * outside**2).sum() + inside * ((high - low) / 255.0) ** 2 / 12.0)


OBSERVERS: dict[str, Callable[[], Observer]] = {
    "min-max": MinMax,
    "percentile-99.9": lambda: Percentile(99.9),
    "percentile-99.99": lambda: Percentile(99.99),
    "percentile-99.999": lambda: Percentile(99.999),
    "mse": MeanSquaredError,
}


DEFAULT_OBSERVER = "percentile-99.99"


def make_observer(name: str) -> Observer:
    if name not in OBSERVERS:
        raise TinyptqError(
            "unknown-observer", f"no observer '{name}'", hint=close_match(name, OBSERVERS), exit_code=EXIT_USAGE
        )
    return OBSERVERS[name]()
