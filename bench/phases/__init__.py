"""What is measured, a module for each kind; every function takes a fresh start of one subject."""
