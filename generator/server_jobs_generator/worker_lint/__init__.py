"""What of a project's own code cannot work in a Cloudflare Worker; read from its text, nothing of it is run."""
