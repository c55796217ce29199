"""The server keeps its own description: whatever is sent, allowed or not, the answer is one that it names."""

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mtvit_core.serving.app import create_app
from support.commands.serve_cases import served


def test_the_server_keeps_its_description(show):
    app = create_app(served(show), ("localhost", "testserver"))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    asked = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode:
            posted = operation.method == "post"
            if mode == schemathesis.GenerationMode.NEGATIVE and not posted:
                continue  # there is nothing to get wrong in a path alone

            @settings(
                max_examples=20 if posted else 2,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case):
                # A body of the right type is mostly no image, and refused.
                response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
                asked.setdefault(case.operation.label, set()).add(response.status_code)

            ask()
    assert set(asked) == {"POST /predict", "GET /model", "GET /health", "GET /ready", "GET /metrics"}
    assert 422 in asked["POST /predict"]
