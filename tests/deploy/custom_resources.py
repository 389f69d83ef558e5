"""Exactly the fields that our objects of other projects have, from those projects' references:
KEDA's ScaledObject and TriggerAuthentication (2.17 and later), the Prometheus Operator's
ServiceMonitor, PodMonitor and PrometheusRule. A field that is not here is an error."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
TEXT: Schema = {"type": "string", "minLength": 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(ms|s|m|h))+$"}


def record(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "required": sorted(required),
        "properties": required | (optional or {}),
        "additionalProperties": False,
    }


def list_of(schema: Schema) -> Schema:
    return {"type": "array", "items": schema, "minItems": 1}


def mapping(value: Schema) -> Schema:
    return {"type": "object", "additionalProperties": value}


SELECTOR = record(
    {},
    {
        "matchLabels": mapping(TEXT),
        "matchExpressions": list_of(
            record(
                {"key": TEXT, "operator": {"enum": ["In", "NotIn"]}},
                {"values": list_of(TEXT)},
            )
        ),
    },
)
METADATA = record({"name": TEXT, "namespace": TEXT}, {"labels": mapping(TEXT)})
POLICY = record(
    {
        "type": {"enum": ["Pods", "Percent"]},
        "value": {"type": "integer", "minimum": 1},
        "periodSeconds": {"type": "integer", "minimum": 1, "maximum": 1800},
    }
)
SCALING = record(
    {},
    {
        "stabilizationWindowSeconds": {"type": "integer", "minimum": 0, "maximum": 3600},
        "policies": list_of(POLICY),
    },
)
METRICS_API = record(
    {"url": TEXT, "valueLocation": TEXT, "targetValue": TEXT},
    {"authMode": {"enum": ["apiKey", "basic", "tls", "bearer"]}, "activationTargetValue": TEXT},
)
FALLBACK = record(
    {"failureThreshold": COUNT, "replicas": COUNT},
    {
        "behavior": {
            "enum": [
                "static",
                "currentReplicas",
                "currentReplicasIfHigher",
                "currentReplicasIfLower",
            ]
        }
    },
)
SPECS: dict[tuple[str, str], Schema] = {
    ("keda.sh/v1alpha1", "ScaledObject"): record(
        {
            "scaleTargetRef": record({"name": TEXT}, {"apiVersion": TEXT, "kind": TEXT}),
            "triggers": list_of(
                record(
                    {"type": {"const": "metrics-api"}, "metadata": METRICS_API},
                    {"authenticationRef": record({"name": TEXT})},
                )
            ),
        },
        {
            "pollingInterval": COUNT,
            "minReplicaCount": COUNT,
            "maxReplicaCount": COUNT,
            "fallback": FALLBACK,
            "advanced": record(
                {},
                {
                    "horizontalPodAutoscalerConfig": record(
                        {}, {"behavior": record({}, {"scaleUp": SCALING, "scaleDown": SCALING})}
                    )
                },
            ),
        },
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): record(
        {"secretTargetRef": list_of(record({"parameter": TEXT, "name": TEXT, "key": TEXT}))}
    ),
    ("monitoring.coreos.com/v1", "ServiceMonitor"): record(
        {
            "selector": SELECTOR,
            "endpoints": list_of(
                record(
                    {"port": TEXT},
                    {
                        "path": TEXT,
                        "interval": DURATION,
                        "authorization": record(
                            {"credentials": record({"name": TEXT, "key": TEXT})}, {"type": TEXT}
                        ),
                    },
                )
            ),
        }
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): record(
        {
            "selector": SELECTOR,
            "podMetricsEndpoints": list_of(
                record({"port": TEXT}, {"path": TEXT, "interval": DURATION})
            ),
        }
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): record(
        {
            "groups": list_of(
                record(
                    {
                        "name": TEXT,
                        "rules": list_of(
                            record(
                                {"alert": TEXT, "expr": TEXT},
                                {
                                    "for": DURATION,
                                    "labels": mapping(TEXT),
                                    "annotations": mapping(TEXT),
                                },
                            )
                        ),
                    }
                )
            )
        }
    ),
}


def schema_of(api_version: str, kind: str) -> Schema:
    """Raises KeyError: a kind that is neither Kubernetes's own nor known here."""
    return record(
        {
            "apiVersion": {"const": api_version},
            "kind": {"const": kind},
            "metadata": METADATA,
            "spec": SPECS[api_version, kind],
        }
    )
