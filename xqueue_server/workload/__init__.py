"""How much work there is and will be, and the workers that it wants."""
