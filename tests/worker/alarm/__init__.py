"""The alarm of a Worker in workerd: exact times, and what happens when something is lost."""
