"""What people look at: data in, text or HTML out.

Nothing here asks a store or a backend, and nothing here decides how a run ended.
"""
