"""Who publishes: challenger, gate, promotion."""
