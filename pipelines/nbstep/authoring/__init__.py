"""What an author does to a notebook before it runs: look at its parameters, tag their cell. It starts nothing."""
