"""Does the AI service respond in time, with confidence, and correctly?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import (
    active_alerts,
    dial,
    distribution,
    heat,
    lines,
    log_lines,
    number,
    pie,
    rows,
)
from dashboards.fields import (
    ANALYSES_PER_MINUTE,
    PER_MINUTE,
    REQUESTS_PER_MINUTE,
    UP_DOWN,
    YES_NO,
    Column,
    Query,
)
from dashboards.frame import Section, dashboard
from dashboards.promql import WINDOW

SERVICE = "python-ai-service"

STATUS = Section(
    None,
    4,
    [
        number(
            "Service Status",
            "Whether Prometheus can scrape the AI service.",
            "While it is down, the engine trades on old signals.",
            Query(f'up{{job="{SERVICE}"}}', "{{job}}"),
            unit=units.NoUnit,
            width=4,
            limit=limits.UP,
            texts=UP_DOWN,
            by_service=True,
        ),
        dial(
            "OpenAI Error Rate",
            "Share of the OpenAI requests of the last five minutes that failed.",
            "Above 5 %, look at OpenAI's own status page first.",
            Query("ai:openai_error_ratio:rate5m * 100", "errors"),
            unit=units.Percent,
            maximum=100,
            width=5,
            limit=limits.OPENAI_ERROR_PERCENT,
        ),
        number(
            "OpenAI Rate Limited",
            "Requests that OpenAI rejected because of its rate limit within the last five minutes.",
            "Each rejection is a missing analysis: send fewer requests, or use another key.",
            Query(
                "round(sum by (service) (increase(openai_rate_limit_errors_total[5m])))",
                "{{service}}",
            ),
            unit=units.Short,
            width=4,
            limit=limits.RATE_LIMITED,
            by_service=True,
        ),
        dial(
            "Prediction Accuracy",
            "Share of the predictions that the market proved right.",
            "Below 55 % they are hardly better than a coin toss.",
            Query("ai_prediction_accuracy * 100", "accuracy"),
            unit=units.Percent,
            maximum=100,
            width=5,
            limit=limits.ACCURACY_PERCENT,
        ),
        number(
            "Model Load Failures",
            "How often each model failed to load within the last ten minutes.",
            "A model that does not load makes no predictions: the log says why.",
            Query(
                "round(sum by (service, model) (increase(model_load_failures_total[10m])))",
                "{{model}}",
            ),
            unit=units.Short,
            width=6,
            limit=limits.LOAD_FAILURES,
            by_service=True,
        ),
    ],
)

SIGNALS = Section(
    None,
    7,
    [
        lines(
            "Analyses per Minute",
            "Market analyses that the service completes per minute.",
            "If it drops while trades continue, the engine trades on old signals.",
            Query("ai:analysis:rate5m * 60", "analyses"),
            unit=ANALYSES_PER_MINUTE,
            width=8,
        ),
        lines(
            "OpenAI API Requests",
            "Requests to OpenAI per minute, those that failed, and those rejected because of the rate limit.",
            "Every analysis depends on one: failures here become missing or late signals.",
            Query(f"sum(rate(openai_requests_total[{WINDOW}])) * 60", "requests"),
            Query(f"sum(rate(openai_errors_total[{WINDOW}])) * 60", "errors"),
            Query(f"sum(rate(openai_rate_limit_errors_total[{WINDOW}])) * 60", "rate limited"),
            unit=REQUESTS_PER_MINUTE,
            width=8,
        ),
        lines(
            "Analysis Duration",
            "50 %, 95 % and 99 % of the analyses take at most this long.",
            "From 10 s on signals arrive too late to trade on.",
            *(
                Query(f"ai:analysis_duration_seconds:{name}", name)
                for name in ("p50", "p95", "p99")
            ),
            unit=units.Seconds,
            width=8,
            limit=limits.ANALYSIS_SECONDS,
        ),
    ],
)

ALERTS_AND_MODELS = Section(
    None,
    6,
    [
        active_alerts(SERVICE),
        rows(
            "Active Models",
            "The active version of each model.",
            "A model with no active version, or with two, is a deployment that stopped half way.",
            {
                "Active": Column(
                    "max by (model, version) (ai_models_active)", units.Short, texts=YES_NO
                )
            },
            labels={"model": "Model", "version": "Version"},
        ),
    ],
)

PREDICTIONS = Section(
    "Predictions",
    8,
    [
        distribution(
            "Model Confidence",
            "Distribution of each model's confidence within the time range.",
            "Bars below 45 % mean that the market differs from what the models were trained on.",
            Query("ai:model_confidence:avg * 100", "{{model}}"),
            unit=units.Percent,
            width=8,
            limit=limits.CONFIDENCE_PERCENT,
        ),
        pie(
            "Predictions by Signal",
            "Predictions per minute, by signal.",
            "If one signal takes all, a model is stuck.",
            Query("ai:predictions_by_signal:rate5m * 60", "{{signal}}"),
            unit=PER_MINUTE,
            width=8,
        ),
        heat(
            "Confidence Scores",
            "Number of analyses by confidence; the more a cell stands out from the background, the more "
            "analyses.",
            "If the band sinks, the models become unsure.",
            f"sum by (le) (rate(ai_confidence_score_bucket[{WINDOW}]))",
            unit=units.PercentUnit,
            width=8,
        ),
    ],
)

MODELS = Section(
    "Models",
    4,
    [
        number(
            "Model Load Time",
            "How long each model took to load.",
            "A load time that keeps growing delays every deployment; a model that is missing failed to load.",
            Query("max by (service, model) (model_load_duration_seconds)", "{{model}}"),
            unit=units.Seconds,
            width=24,
            by_service=True,
        ),
    ],
)

LOGS = Section(
    "AI service log",
    10,
    [
        log_lines(
            "AI Service Log",
            "The latest log lines of python-ai-service.",
            "Timeouts, rejected requests and models that fail to load are here.",
            f'{{job="{SERVICE}"}}',
        )
    ],
)


def build() -> Dashboard:
    """Return the dashboard."""
    return dashboard(
        "ai-analysis",
        "Speed, confidence and accuracy of the AI service, and of what it depends on: OpenAI and its models.",
        [STATUS, SIGNALS, ALERTS_AND_MODELS, PREDICTIONS, MODELS, LOGS],
        services=SERVICE,
    )
