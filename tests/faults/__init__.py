"""The engine under fire: real processes on real databases, killed, stopped and starved, and an oracle that saw it."""
