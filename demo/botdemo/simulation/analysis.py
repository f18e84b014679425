"""The AI service: models that analyze the market and produce signals."""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from random import Random

from botdemo.metrics import AnalysisMetrics
from botdemo.simulation.chance import Arrivals, MeanReverting, log_normal
from botdemo.simulation.market import REFERENCE_PRICES
from botdemo.switches import AnalystSwitches

SIGNALS: Mapping[str, float] = {"LONG": 0.4, "SHORT": 0.35, "NEUTRAL": 0.25}
"""The signals and how often each is produced."""

_ANALYSES_PER_SECOND = 0.6
_OPENAI_ERROR_RATIO = 0.001
_RELOADS_PER_SECOND = 1 / 900
_FAILED_LOADS_PER_SECOND = 1.0

log = logging.getLogger("botdemo.analysis")


@dataclass(frozen=True)
class Model:
    """A model in use: median seconds of an analysis and of a load, and its usual confidence."""

    name: str
    version: str
    median: float
    load_seconds: float
    confidence: float
    asks_openai: bool = False


MODELS = (
    Model("lstm-trend", "2.4.1", 0.25, 2.5, 0.70),
    Model("transformer-signal", "1.8.0", 0.6, 4.0, 0.73),
    Model("gpt-4-turbo", "2024-04-09", 1.5, 0.8, 0.76, asks_openai=True),
)


@dataclass(frozen=True)
class Signal:
    """A model's signal for a symbol; `time` is in RFC 3339."""

    symbol: str
    signal: str
    confidence: float
    model: str
    time: str

    def to_json(self) -> str:
        """Return the signal as a message for the queue."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> Signal:
        """Parse a signal from the queue; raise ValueError for anything else."""
        try:
            signal = cls(**json.loads(text))
            known = signal.symbol in REFERENCE_PRICES and signal.signal in SIGNALS
        except TypeError as error:
            raise ValueError(f"not a signal: {error}") from error
        if not known:
            raise ValueError(f"not a signal: {signal.symbol!r} {signal.signal!r}")
        return signal


class Analyst:
    """Analyzes symbols, keeps the state of its models, and holds signals until they are sent."""

    def __init__(self, rng: Random, metrics: AnalysisMetrics) -> None:
        self._rng = rng
        self._metrics = metrics
        self._analysing = Arrivals(rng)
        self._reloading = Arrivals(rng)
        self._failing = Arrivals(rng)
        self._accuracy = MeanReverting(rng, 0.66, 0.015, 3600)
        self._confidence = {
            model.name: MeanReverting(rng, model.confidence, 0.02, 900) for model in MODELS
        }
        self._load_seconds = {
            model.name: log_normal(rng, model.load_seconds, 0.2) for model in MODELS
        }
        self.outbox: deque[Signal] = deque(maxlen=100)
        self.latest: dict[str, Signal] = {}
        self.done = 0
        for model in MODELS:
            metrics.load_failures.labels(model.name)
        for signal in SIGNALS:
            metrics.predictions.labels(signal)

    def advance(
        self, seconds: float, activity: float, now: datetime, switches: AnalystSwitches
    ) -> None:
        """Simulate the analyses of `seconds`, up to `now`; log one per step."""
        for name, confidence in self._confidence.items():
            level = confidence.advance(seconds)
            shown = level if switches.confidence is None else switches.confidence
            self._metrics.model_confidence.labels(name).set(shown)
        accuracy = self._accuracy.advance(seconds)
        self._metrics.accuracy.set(accuracy if switches.accuracy is None else switches.accuracy)
        self._load_models(seconds, switches)

        rate = switches.analyses_per_second
        due = self._analysing.due(
            _ANALYSES_PER_SECOND * activity if rate is None else rate, seconds
        )
        for index in range(due):
            self.analyse(self._rng.choice(list(REFERENCE_PRICES)), now, switches, logged=index == 0)

    def analyse(
        self, symbol: str, now: datetime, switches: AnalystSwitches, *, logged: bool = True
    ) -> Signal:
        """Analyze one symbol: count the analysis, put its signal into the outbox and return it."""
        model = self._rng.choice(MODELS)
        took = log_normal(self._rng, model.median, 0.3)
        if switches.analysis_seconds is not None:
            took = switches.analysis_seconds * self._rng.uniform(0.95, 1.05)
        level = switches.confidence
        if level is None:
            level = self._confidence[model.name].value
        signal = Signal(
            symbol=symbol,
            signal=self._rng.choices(list(SIGNALS), list(SIGNALS.values()))[0],
            confidence=round(min(1.0, max(0.0, self._rng.gauss(level, 0.06))), 4),
            model=model.name,
            time=now.isoformat(timespec="milliseconds"),
        )
        if model.asks_openai:
            self._ask_openai(switches)
        self.done += 1
        self._metrics.analyses.inc()
        self._metrics.duration.observe(took)
        self._metrics.confidence.observe(signal.confidence)
        self._metrics.predictions.labels(signal.signal).inc()
        self.outbox.append(signal)
        self.latest[symbol] = signal
        if logged:
            log.info(
                "%s: %s with confidence %.2f by %s in %.2f s",
                symbol,
                signal.signal,
                signal.confidence,
                model.name,
                took,
            )
        return signal

    def _ask_openai(self, switches: AnalystSwitches) -> None:
        self._metrics.openai_requests.inc()
        failing = switches.openai_error_ratio
        if self._rng.random() < switches.openai_rate_limit_ratio:
            self._metrics.openai_rate_limits.inc()
            self._metrics.openai_errors.inc()
            log.error("OpenAI rejected a request: rate limit reached")
        elif self._rng.random() < (_OPENAI_ERROR_RATIO if failing is None else failing):
            self._metrics.openai_errors.inc()
            log.error("OpenAI answered a request with an error")

    def _load_models(self, seconds: float, switches: AnalystSwitches) -> None:
        for _ in range(self._reloading.due(_RELOADS_PER_SECOND, seconds)):
            model = self._rng.choice(MODELS)
            took = self._load_seconds[model.name] = log_normal(self._rng, model.load_seconds, 0.2)
            log.info("model %s %s loaded in %.2f s", model.name, model.version, took)
        failing = _FAILED_LOADS_PER_SECOND if switches.model_load_failure else 0.0
        for _ in range(self._failing.due(failing, seconds)):
            model = self._rng.choice(MODELS)
            self._metrics.load_failures.labels(model.name).inc()
            log.error("model %s %s could not be loaded", model.name, model.version)
        for model in MODELS:
            last = self._load_seconds[model.name]
            shown = last if switches.model_load_seconds is None else switches.model_load_seconds
            self._metrics.load_duration.labels(model.name).set(shown)
            self._metrics.active.labels(model.name, model.version).set(switches.models_active)
