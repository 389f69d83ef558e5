"""The part of the API for operating: seeing, repairing, administering (docs/reference/api.md)."""
