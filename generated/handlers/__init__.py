"""What the jobs of this project do: one module with a `handle` function for each, and the parts they are made of."""
