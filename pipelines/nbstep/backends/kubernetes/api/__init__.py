"""The cluster's API: the only package that imports ``kubernetes``. Plain dictionaries in and out."""
