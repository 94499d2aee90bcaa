"""A catalogue of the jobs for people: one page in Markdown, one in HTML, both told from the same entries."""
