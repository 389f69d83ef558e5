"""Uploaded files: where their bytes are kept, and the signed addresses graders get."""
