"""HTTP faces of proctoring: Flask blueprints that parse, call a stage, and answer."""
