"""What a change of the models means for handlers that are written already: their lines, and a patch."""
