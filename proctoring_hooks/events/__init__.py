"""Events of exam attempts as Open edX's services read them from its event bus."""
