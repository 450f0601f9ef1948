"""Object stores for the tests of containers, which reach them through the machine's own network."""

from servers.fixtures import gcs_folder, gcs_server, s3_folder, s3_server

__all__ = ["gcs_folder", "gcs_server", "s3_folder", "s3_server"]
