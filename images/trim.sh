#!/bin/sh
# Takes from /opt/nbstep what no run in the image slim uses: the descriptions of Amazon's services but for S3 and those that
# credentials come from, the tests that packages bring along, and the compiled form of pip, which only builds of images run.
set -eu
packages=$(/opt/nbstep/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

find "$packages/botocore/data" -mindepth 1 -maxdepth 1 -type d \
  ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -r {} +
# pip takes botocore for missing from now on: whoever installs boto3 into this environment gets a whole botocore with it,
# whatever its version. What it is, and its licence, can still be read.
mkdir -p /opt/nbstep/share/trimmed
mv "$packages"/botocore-*.dist-info /opt/nbstep/share/trimmed/

find "$packages" -type d \( -name tests -o -name test \) -prune -exec rm -r {} +
find "$packages/pip" -type d -name __pycache__ -prune -exec rm -r {} +
