# SPDX-License-Identifier: MIT
# PostgreSQL with its data directory in Hare: initdb, pgbench with clients on all cores and a check that
# its books balance, a clean stop and start, a kill -9 of all of it and the recovery. It refuses to
# run as root: as root this runs it as the user postgres.
. "$(dirname "$0")/lib.sh"
PGBIN=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
suite_need "${PGBIN:-/usr/lib/postgresql}/pgbench" postgresql || done_testing
[ "$(id -u)" != 0 ] || suite_as postgres
suite_steps postgres 900 env PGBIN="$PGBIN" bash "$SUITE_DIR/postgres.steps" "${PGBENCH_TRANSACTIONS:-300}"
done_testing
