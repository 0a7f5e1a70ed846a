# SPDX-License-Identifier: MIT
# The short form of suites/threads.sh.
HARE_THREADS_SECONDS=${HARE_THREADS_SECONDS:-3}
configs=("--cores 2" "--cores 4" "--cores 2 --memory-model emulated --chaos 7")
. "$(dirname "$0")/../suites/threads.sh"
