"""Files that follow from the specs alone. `project_files` lists all of them."""
