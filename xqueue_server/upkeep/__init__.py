"""What time alone makes necessary: expiring, sweeping, removing what may no longer be kept."""
