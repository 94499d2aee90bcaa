"""The generated models and job classes, and whether they enforce their schemas."""
