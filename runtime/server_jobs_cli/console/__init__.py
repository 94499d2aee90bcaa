"""Reading arguments and printing results: tables, log lines, errors and the status of exit."""
