# SPDX-License-Identifier: MIT
# Two cores that only serve, two that only run programs, each an island.
export POSIX_OPTS="--cores 4 --split 2"
. "$(dirname "$0")/suite.sh"
posix_suite
