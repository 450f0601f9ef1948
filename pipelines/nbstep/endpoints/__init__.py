"""A served notebook from outside: started, found, asked, looked at, removed. It runs where a host puts it."""
