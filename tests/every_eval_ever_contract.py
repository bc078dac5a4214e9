"""What Every Eval Ever 0.2.2 asks of a record, as far as an export uses it, as a JSON Schema.

Written from the format's published description; stricter than that in one way: no key is allowed
that the export does not write.
"""

from __future__ import annotations

from typing import Any


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "required": list(required),
        "properties": {**required, **optional},
        "additionalProperties": False,
    }


TEXT = {"type": "string"}
NUMBER = {"type": "number"}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}
WHOLE = {"type": "integer"}
DETAILS = {"type": "object", "additionalProperties": TEXT}
TIME = {"type": "string", "pattern": r"^\d+(\.\d+)?$"}

RECORD = closed(
    {
        "schema_version": {"const": "0.2.2"},
        "evaluation_id": {"type": "string", "pattern": r"^.+/.+/\d+(\.\d+)?$"},
        "retrieved_timestamp": TIME,
        "source_metadata": closed(
            {
                "source_type": {"const": "evaluation_run"},
                "source_organization_name": TEXT,
                "evaluator_relationship": {
                    "enum": ["first_party", "third_party", "collaborative", "other"]
                },
            },
            source_name=TEXT,
            source_organization_url=TEXT,
        ),
        "model_info": closed(
            {
                "name": TEXT,
                "id": TEXT,
                # Asked for by the data store's checks.
                "additional_details": closed(
                    {
                        "deployment_type": {
                            "enum": ["self_deployed", "externally_managed", "unknown"]
                        },
                        "model_availability": {
                            "enum": ["open_weights", "closed_weights", "unknown"]
                        },
                    },
                    backend=TEXT,
                ),
            },
            developer=TEXT,
            inference_engine=closed({}, name=TEXT, version=TEXT),
        ),
        "eval_library": closed({"name": TEXT, "version": TEXT}, additional_details=DETAILS),
        "evaluation_results": {
            "type": "array",
            "minItems": 1,
            "items": closed(
                {
                    "evaluation_name": TEXT,
                    "source_data": {
                        "oneOf": [
                            closed(
                                {
                                    "dataset_name": TEXT,
                                    "source_type": {"const": "hf_dataset"},
                                    "hf_repo": TEXT,
                                }
                            ),
                            closed(
                                {"dataset_name": TEXT, "source_type": {"const": "other"}},
                                source_id=TEXT,
                                source_version=TEXT,
                            ),
                        ]
                    },
                    "metric_config": closed(
                        {
                            "lower_is_better": {"type": "boolean"},
                            # A continuous score must have its range.
                            "score_type": {"const": "continuous"},
                            "min_score": NUMBER,
                            "max_score": NUMBER,
                        },
                        evaluation_description=TEXT,
                        metric_id=TEXT,
                        metric_name=TEXT,
                        metric_kind=TEXT,
                        metric_unit=TEXT,
                        metric_parameters={
                            "type": "object",
                            "additionalProperties": {
                                "type": ["string", "number", "boolean", "null"]
                            },
                        },
                    ),
                    "score_details": closed(
                        {"score": NUMBER},
                        details=DETAILS,
                        uncertainty=closed(
                            {},
                            standard_error=closed({"value": NUMBER}, method=TEXT),
                            confidence_interval=closed(
                                {"lower": NUMBER, "upper": NUMBER},
                                confidence_level=SHARE,
                                method=TEXT,
                            ),
                            num_samples=WHOLE,
                        ),
                    ),
                },
                evaluation_result_id=TEXT,
                evaluation_timestamp=TEXT,
                generation_config=closed(
                    {},
                    generation_args=closed(
                        {},
                        temperature=NUMBER,
                        top_p=NUMBER,
                        max_tokens={"type": "integer", "minimum": 1},
                    ),
                    additional_details=DETAILS,
                ),
            ),
        },
    },
    evaluation_timestamp=TEXT,
)
