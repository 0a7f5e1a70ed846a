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

# What Debian's package leaves out; scripts/setup gets it from its source package.
EXTRA=$TAP_TOP/build/suites
export CASES_PATH=$EXTRA

cases() # RUN OUT MODULE: RUN is suite_native or suite_hare
{
	: >"$2.cases"
	chmod 666 "$2.cases"
	# shellcheck disable=SC2086
	"$1" "$2" 900 "$PYTHON" "$SUITE_DIR/cases.py" "$2.cases" "test.test_$3" \
		${CPYTHON_CASES:+-k $CPYTHON_CASES}
}

module() # MODULE, as WHO ("", or " as USER")
{
	local log="$SUITE_LOGS/test_$1$2" cores

	if [ ! -e "/usr/lib/python3.11/test/test_$1.py" ] && [ ! -d "/usr/lib/python3.11/test/test_$1" ] &&
		[ ! -d "$EXTRA/test_$1" ]; then
		skip "the source package python3.11" "test_$1"
		return
	fi
	log=${log// /.}
	cases suite_native "$log.tmpfs" "$1"
	ok $? "test_$1$2: ends on tmpfs" || tail -n 20 "$log.tmpfs" | sed 's/^/# /'
	for cores in $SUITE_CORES; do
		HARE_OPTS="--cores $cores" cases suite_hare "$log.hare$cores" "$1"
		ok $? "test_$1, $cores cores$2: ends" || tail -n 20 "$log.hare$cores" | sed 's/^/# /'
		suite_cases "test_$1, $cores cores$2" "$log.tmpfs.cases" "$log.hare$cores.cases"
	done
}

for m in $MODULES; do
	module "$m" ""
done
# Root may do too much for some cases.
if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1; then
	suite_as nobody
	for m in ${CPYTHON_NOBODY-os posix shutil pathlib tempfile tarfile subprocess}; do
		module "$m" " as nobody"
	done
fi
done_testing
