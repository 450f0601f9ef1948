"""The engine: cells in, events out; papermill's conventions kept, and kept true.

It drives a kernel by its messages and builds the executed notebook as they come. It never writes to storage.
"""
