# SPDX-License-Identifier: MIT
# All in Hare with four cores in one island of coherent caches.
export POSIX_OPTS="--cores 4 --islands 1"
. "$(dirname "$0")/suite.sh"
posix_suite
