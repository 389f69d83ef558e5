"""The one process per host that owns Docker or bubblewrap, and how to ask it for a run."""
