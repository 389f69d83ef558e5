"""The part of the API for proctored exams: seeing, acting, judging (docs/reference/api.md)."""
