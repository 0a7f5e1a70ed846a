# SPDX-License-Identifier: MIT
# The same with caches that evict lines at arbitrary moments.
export POSIX_OPTS="--cores 2 --memory-model emulated --chaos 1"
export POSIX_LIMIT=150
. "$(dirname "$0")/suite.sh"
posix_suite
