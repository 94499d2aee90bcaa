"""Commands that look at stored jobs, change them, or run one."""
