# SPDX-License-Identifier: MIT
# git with a repository of 10,000 files: every step's outcome, and what it made, as on tmpfs.
. "$(dirname "$0")/lib.sh"
suite_need git git || done_testing
suite_steps git 600 bash "$SUITE_DIR/git.steps" "${GIT_FILES:-10000}"
done_testing
