"""`contracts.lock.json`: every released contract, under version control; how it is read, merged and shortened."""
