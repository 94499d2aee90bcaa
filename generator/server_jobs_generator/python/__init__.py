"""Write Python text: safe names, formatted code, templates, and a final check of the result."""
