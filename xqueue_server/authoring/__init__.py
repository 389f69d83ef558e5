"""What course teams do: publish graders, try them, and hear of their faults."""
