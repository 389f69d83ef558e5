"""The JSON API for graders: parses, calls a stage, answers (docs/reference/api.md)."""
