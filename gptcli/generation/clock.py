"""The timings of a request: load, first token, total, tokens per second."""

import time
from dataclasses import dataclass, field


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

    def timings(self) -> dict[str, float | None]:
        """Seconds to load, to the first token, and in all; and tokens per second, of all samples together."""
        if self.first_token is None or self.last_token is None:
            return {"load_s": self.load_s, "first_token_s": None, "total_s": None, "tokens_per_s": None}
        total = self.last_token - self.started
        return {
            "load_s": self.load_s,
            "first_token_s": self.first_token - self.started,
            "total_s": total,
            "tokens_per_s": self.tokens / total,
        }
