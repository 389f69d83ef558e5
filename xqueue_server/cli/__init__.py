"""The `xqueue-server` command: one module for each noun, assembled in `main`."""
