"""Images for notebooks: what goes in, a name made of it, and the builders that make it. Nothing here starts a run."""
