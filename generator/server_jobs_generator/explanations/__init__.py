"""What `server-jobs explain` knows about the rules: why each is one, and an example of the mistake and its fix."""
