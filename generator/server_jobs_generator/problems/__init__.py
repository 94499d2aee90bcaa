"""Problems of a project's files: a place, a rule, and a message."""
