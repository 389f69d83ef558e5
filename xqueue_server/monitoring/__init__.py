"""What this process tells about itself: logs, metrics, traces, errors."""
