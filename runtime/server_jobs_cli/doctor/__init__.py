"""`server-jobs doctor`: examine the project and its database, with advice for each finding."""
