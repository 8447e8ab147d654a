"""tinyptq."""
