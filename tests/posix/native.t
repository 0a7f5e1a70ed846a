# SPDX-License-Identifier: MIT
# The programs on tmpfs: what they expect is what Linux does.
export POSIX_OPTS="native"
. "$(dirname "$0")/suite.sh"
posix_suite
