#!/bin/sh
# Compiles what pip has just installed into /opt/nbstep, with hashes in the .pyc files instead of times, and gives all of it
# the time SOURCE_DATE_EPOCH, so that equal inputs make equal bytes. What an earlier stage has settled is left alone.
# Then it keeps what a run's first page compiles, which goes by those times.
set -eu
new="-newermt @$SOURCE_DATE_EPOCH"
export PYTHONHASHSEED=0
# shellcheck disable=SC2086 # two words
find /opt/nbstep/lib -name '*.py' $new -print0 |
  xargs -0 -r -n 200 -P "$(nproc)" /opt/nbstep/bin/python -m compileall -q --invalidation-mode unchecked-hash
settle() {
  # shellcheck disable=SC2086
  find /opt/nbstep $new -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}
settle
/opt/nbstep/bin/python -c 'from nbstep_runner.page import renderer; renderer("nothing").rehearse()'
settle
