# SPDX-License-Identifier: MIT
# All in Hare with one core.
export POSIX_OPTS="--cores 1"
. "$(dirname "$0")/suite.sh"
posix_suite
