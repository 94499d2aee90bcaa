"""Find code of a project that cannot work in a Cloudflare Worker. The code is read, never run."""
