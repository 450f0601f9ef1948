"""The pages for people: made on the server, right without a script, with nothing fetched from elsewhere."""
