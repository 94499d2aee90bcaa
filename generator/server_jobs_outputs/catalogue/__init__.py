"""A catalogue of the jobs for people: one page in Markdown and one in HTML, from the same entries."""
