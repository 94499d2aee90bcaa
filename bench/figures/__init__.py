"""The measurements of a run, its targets, and the page and pictures that show them."""
