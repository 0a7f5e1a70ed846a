# SPDX-License-Identifier: MIT
# All in Hare with four cores that share nothing.
export POSIX_OPTS="--cores 4"
. "$(dirname "$0")/suite.sh"
posix_suite
