"""The timings of a request: load, first token, total, tokens per second."""

import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Timings:
    """The times of a request, of all its samples together; None before the first token.

    Attributes:
        load_s: seconds to load the model.
        first_token_s: seconds to the first token.
        total_s: seconds to the last.
        tokens_per_s: tokens per second.
    """

    load_s: float
    first_token_s: float | None
    total_s: float | None
    tokens_per_s: float | None


@dataclass
class Clock:
    """Times of events, in seconds of a monotonic clock."""

    load_s: float = 0.0
    started: float = field(default_factory=time.perf_counter)
    first_token: float | None = None
    last_token: float | None = None
    tokens: int = 0

    def start(self) -> None:
        """Count seconds from now on."""
        self.started = time.perf_counter()

    def tick(self) -> None:
        """Count one token."""
        self.last_token = time.perf_counter()
        self.first_token = self.first_token or self.last_token
        self.tokens += 1

    def timings(self) -> Timings:
        """The times so far."""
        if self.first_token is None or self.last_token is None:
            return Timings(self.load_s, None, None, None)
        total = self.last_token - self.started
        return Timings(self.load_s, self.first_token - self.started, total, self.tokens / total)
