# SPDX-License-Identifier: MIT
# All in Hare with two cores that share nothing.
export POSIX_OPTS="--cores 2"
. "$(dirname "$0")/suite.sh"
posix_suite
