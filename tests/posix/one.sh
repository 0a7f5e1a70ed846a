# SPDX-License-Identifier: MIT
# All in Hare with the options in $POSIX_OPTS: for tests/matrix.
. "$(dirname "$0")/suite.sh"
posix_suite
