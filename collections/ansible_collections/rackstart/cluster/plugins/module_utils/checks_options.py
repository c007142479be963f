"""Preflight's check of each model by the argument spec of the role that serves it."""

from __future__ import annotations

from collections.abc import Iterator

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.rackstart.cluster.plugins.module_utils.checks_models import complete, reported
from ansible_collections.rackstart.cluster.plugins.module_utils.findings import Finding, Look


def check(look: Look) -> Iterator[Finding]:
    validator = ArgumentSpecValidator(look["model_options"])
    for model in complete(look["models"]):
        problems = validator.validate(model, validate_role_argument_spec=True).error_messages
        yield reported("model.options", model, not problems, "; ".join(problems) or "taken")
