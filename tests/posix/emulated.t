# SPDX-License-Identifier: MIT
# All in Hare with two cores on memory that is not coherent.
export POSIX_OPTS="--cores 2 --memory-model emulated"
export POSIX_LIMIT=150
. "$(dirname "$0")/suite.sh"
posix_suite
