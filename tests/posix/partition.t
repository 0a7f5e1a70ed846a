# SPDX-License-Identifier: MIT
# Partitioned DRAM: two cores, of which one serves and one runs programs, each with memory of its own. So
# every file is another island's, and each mapping of one a copy. `make check-matrix` runs all areas so.
export POSIX_OPTS="--cores 2 --split 1 --memory-model emulated --without direct-access"
export POSIX_LIMIT=150
. "$(dirname "$0")/suite.sh"
POSIX_ONLY=${POSIX_ONLY:-aio calls cut exec fsops fsx lock mmap model orphan rw share splice thread trunc}
posix_suite
