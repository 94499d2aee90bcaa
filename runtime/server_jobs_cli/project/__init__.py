"""A command's project: its registry, its database, and the options that commands share."""
