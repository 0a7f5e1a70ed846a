# SPDX-License-Identifier: MIT
# sqlite3 with every kind of journal under writers and readers on all cores: no row lost, none
# twice, integrity_check says ok, also when writers are killed.
. "$(dirname "$0")/lib.sh"
suite_need sqlite3 sqlite3 || done_testing
# A line of the WAL's index is changed by several programs: CAVEATS.md, "Consistency".
case "$SUITE_OPTS" in
*emulated* | *flush*) SUITE_EXCEPT=$'wal: *\tWAL wants coherent caches' ;;
esac
suite_steps sqlite 600 bash "$SUITE_DIR/sqlite.steps" "${SQLITE_ROWS:-150}"
done_testing
