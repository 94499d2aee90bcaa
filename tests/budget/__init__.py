"""The budget of a job: what a job costs, in counts that do not depend on the machine. `figures.toml` is the table."""
