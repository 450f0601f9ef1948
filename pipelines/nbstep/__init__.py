"""The launcher side: submit, follow, chain, compile, build and view runs of notebooks."""
