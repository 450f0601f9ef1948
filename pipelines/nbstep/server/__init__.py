"""The service: runs started, watched and found again over HTTP. The records in storage stay the truth.

Nothing here runs a notebook or keeps a database. What is told of a run comes from its folder and from its place, as
the launcher's other rooms read them. A name that comes over the wire is looked up exactly, in a folder of the
configuration, and what lies in a folder is believed for what a run did, never for what somebody may do.
"""
