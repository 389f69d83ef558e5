"""The HTTP face: parses, calls a stage, answers."""
