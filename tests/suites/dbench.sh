# SPDX-License-Identifier: MIT
# dbench, the file server's load, with 1, 4 and 8 clients.
. "$(dirname "$0")/lib.sh"
suite_need dbench dbench || done_testing
suite_steps dbench 600 bash "$SUITE_DIR/dbench.steps" "${DBENCH_SECONDS:-10}"
done_testing
