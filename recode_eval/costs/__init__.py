"""What models cost: the user's own prices, and budgets that a command keeps to."""
