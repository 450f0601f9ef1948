"""The service for a team: who asks, what they may do, what one of them may cost, and what is told of it."""
