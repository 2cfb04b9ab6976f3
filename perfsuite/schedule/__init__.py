"""How long a session will take, and what of it is left out where time is limited."""
