# SPDX-License-Identifier: MIT
# fio with verification, by every engine that needs no io_uring; several jobs, on several cores.
. "$(dirname "$0")/lib.sh"
suite_need fio fio || done_testing
suite_steps fio 1800 bash "$SUITE_DIR/fio.steps" "${FIO_SIZE:-8m}"
done_testing
