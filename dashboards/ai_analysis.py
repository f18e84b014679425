"""Does the AI service answer in time, with confidence, and rightly?"""

from __future__ import annotations

from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import limits
from dashboards.builders import (
    YES_NO,
    Column,
    Field,
    Query,
    dial,
    distribution,
    heat,
    lines,
    log_lines,
    number,
    pie,
    rows,
)
from dashboards.frame import Section, dashboard
from dashboards.promql import WINDOW

ANALYSES = Section(
    "Analyses",
    8,
    [
        lines(
            "Analyses per Minute",
            "Market analyses that the service finishes in a minute. Worry when it falls while "
            "trades go on: the engine trades on old signals.",
            Query("ai:analysis:rate5m * 60", "analyses"),
            unit=units.OpsPerMinute,
            width=8,
        ),
        lines(
            "Analysis Duration",
            "Half, 95 % and 99 % of the analyses take at most this long. Worry when p95 is above 5 "
            "s for five minutes; from 10 s on signals come too late.",
            *(
                Query(f"ai:analysis_duration_seconds:{name}", name)
                for name in ("p50", "p95", "p99")
            ),
            unit=units.Seconds,
            width=8,
            limit=limits.ANALYSIS_SECONDS,
        ),
        distribution(
            "Model Confidence",
            "How often each model's confidence had which value in the chosen time range. Worry when "
            "the bars move below 45 %: the market is not what the models were trained on.",
            Query("ai:model_confidence:avg * 100", "{{model}}"),
            unit=units.Percent,
            limit=limits.CONFIDENCE_PERCENT,
        ),
    ],
)

PREDICTIONS = Section(
    "Predictions",
    8,
    [
        pie(
            "Predictions by Signal",
            "Share of each signal in the last five minutes. Worry when one takes all: a model is stuck.",
            Query("ai:predictions_by_signal:rate5m", "{{signal}}"),
            unit=units.OpsPerSecond,
            width=8,
            fields=[
                Field("LONG", colour="green"),
                Field("SHORT", colour="red"),
                Field("NEUTRAL", colour="blue"),
            ],
        ),
        dial(
            "Prediction Accuracy",
            "Share of predictions that the market proved right. Worry below 55 % for an hour: hardly "
            "better than a coin.",
            Query("ai_prediction_accuracy * 100", "accuracy"),
            unit=units.Percent,
            maximum=100,
            limit=limits.ACCURACY_PERCENT,
        ),
        heat(
            "Confidence Scores",
            "How many analyses ended with which confidence, darker for more. Worry when the dark band sinks.",
            f"sum by (le) (rate(ai_confidence_score_bucket[{WINDOW}]))",
            unit=units.PercentUnit,
            width=10,
        ),
    ],
)

OPENAI = Section(
    "OpenAI",
    8,
    [
        lines(
            "OpenAI API Requests",
            "Requests to OpenAI in a minute, those that failed, and those refused for the rate "
            "limit. Worry about any refused one: ask less often, or with another key.",
            Query(f"sum(rate(openai_requests_total[{WINDOW}])) * 60", "requests"),
            Query(f"sum(rate(openai_errors_total[{WINDOW}])) * 60", "errors"),
            Query(f"sum(rate(openai_rate_limit_errors_total[{WINDOW}])) * 60", "rate limited"),
            unit=units.OpsPerMinute,
            fields=[Field("errors", colour="orange"), Field("rate limited", colour="red")],
        ),
        dial(
            "OpenAI Error Rate",
            "Share of OpenAI requests of the last five minutes that failed. Worry above 5 %, and "
            "look at OpenAI's own status page first.",
            Query("ai:openai_error_ratio:rate5m * 100", "errors"),
            unit=units.Percent,
            maximum=100,
            limit=limits.OPENAI_ERROR_PERCENT,
        ),
        number(
            "OpenAI Rate Limited",
            "Requests that OpenAI refused for its rate limit in the last five minutes. Worry about any: ask less "
            "often, or with another key.",
            Query(
                "round(sum by (service) (increase(openai_rate_limit_errors_total[5m])))",
                "{{service}}",
            ),
            unit=units.Short,
            width=6,
            limit=limits.RATE_LIMITED,
            by_service=True,
        ),
    ],
)

MODELS = Section(
    "Models",
    8,
    [
        number(
            "Model Load Time",
            "How long each model took to load. Worry when it grows from start to start, or a model "
            "is missing: it failed to load.",
            Query("max by (service, model) (model_load_duration_seconds)", "{{model}}"),
            unit=units.Seconds,
            width=8,
            by_service=True,
        ),
        number(
            "Model Load Failures",
            "How often each model failed to load in the last ten minutes. Worry about any: read the log below.",
            Query(
                "round(sum by (service, model) (increase(model_load_failures_total[10m])))",
                "{{model}}",
            ),
            unit=units.Short,
            width=8,
            limit=limits.LOAD_FAILURES,
            by_service=True,
        ),
        rows(
            "Active Models",
            "Which version of which model answers. Worry about a model with no active version, or "
            "with two: a deployment stopped half way.",
            {
                "Active": Column(
                    "max by (model, version) (ai_models_active)", units.Short, texts=YES_NO
                )
            },
            labels={"model": "Model", "version": "Version"},
            width=8,
        ),
    ],
)

LOGS = Section(
    "Log of the AI service",
    10,
    [
        log_lines(
            "AI Service Log",
            "The newest lines of python-ai-service. Worry about timeouts, refused requests and "
            "models that do not load.",
            '{job="python-ai-service"}',
        )
    ],
)


def build() -> Dashboard:
    """Give the dashboard."""
    return dashboard(
        "ai-analysis",
        "Speed, confidence and accuracy of the AI service, and what it depends on: OpenAI and its models.",
        [ANALYSES, PREDICTIONS, OPENAI, MODELS, LOGS],
        services="python-ai-service",
    )
