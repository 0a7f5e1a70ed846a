# SPDX-License-Identifier: MIT
# Two cores, each with a kernel of its own: the areas in which processes of both meet.
export POSIX_OPTS="--cores 2 --kernels separate"
export POSIX_ONLY="${POSIX_ONLY:-wait kill exec pipe fifo lock share sock pass procfd notify poll thread mmap orphan}"
. "$(dirname "$0")/suite.sh"
. "$(dirname "$0")/../lib/kernels.sh"
need_kernels
posix_suite
