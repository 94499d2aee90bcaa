"""`server-jobs doctor`: look at the project and its database, and say what to do about each finding."""
