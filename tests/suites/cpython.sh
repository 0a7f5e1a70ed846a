# SPDX-License-Identifier: MIT
# CPython's own tests of what a file system and a kernel do: a point a module, compared case by case.
. "$(dirname "$0")/lib.sh"
PYTHON=/usr/bin/python3.11
suite_need "$PYTHON" python3.11 && suite_need /usr/lib/python3.11/test/test_os.py libpython3.11-testsuite ||
	done_testing

MODULES=${CPYTHON_MODULES:-os posix posixpath io fileio mmap fcntl shutil subprocess tempfile pathlib glob
	signal threading multiprocessing_fork sqlite3 tarfile zipfile}
# CPYTHON_CASES: patterns of cases to run, of unittest's -k.
SUITE_EXCEPT=

cases() # RUN OUT MODULE: RUN is suite_native or suite_hare
{
	: >"$2.cases"
	chmod 666 "$2.cases"
	# shellcheck disable=SC2086
	"$1" "$2" 900 "$PYTHON" "$SUITE_DIR/cases.py" "$2.cases" "test.test_$3" \
		${CPYTHON_CASES:+-k $CPYTHON_CASES}
}

for module in $MODULES; do
	if [ ! -e /usr/lib/python3.11/test/test_$module.py ] && [ ! -d /usr/lib/python3.11/test/test_$module ]; then
		skip "test_$module, which Debian does not package" "test_$module"
		continue
	fi
	log=$SUITE_LOGS/test_$module
	cases suite_native "$log.tmpfs" "$module"
	ok $? "test_$module: ends on tmpfs" || tail -n 20 "$log.tmpfs" | sed 's/^/# /'
	for cores in $SUITE_CORES; do
		HARE_OPTS="--cores $cores" cases suite_hare "$log.hare$cores" "$module"
		ok $? "test_$module, $cores cores: ends" || tail -n 20 "$log.hare$cores" | sed 's/^/# /'
		suite_cases "test_$module, $cores cores" "$log.tmpfs.cases" "$log.hare$cores.cases"
	done
done
done_testing
