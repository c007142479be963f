"""Rackstart: from bare GPU hosts to a verified LLM endpoint."""

__version__ = "0.1.0"
