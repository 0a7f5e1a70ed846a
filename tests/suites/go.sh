# SPDX-License-Identifier: MIT
# Go's own tests of what it asks of a system (os, os/exec, os/signal, syscall, ...): a point a package,
# compared case by case.
. "$(dirname "$0")/lib.sh"
suite_need go golang-go || done_testing
GOROOT=$(go env GOROOT)
suite_need "$GOROOT/src/os/os_test.go" golang-src || done_testing
export GOROOT

PACKAGES=${GO_PACKAGES:-os os/exec os/signal io/fs io/ioutil path/filepath syscall internal/poll archive/tar}
SUITE_EXCEPT=

# The package's folder with its compiled tests: some read files there.
compile() # PACKAGE
{
	local dir=$TAP_TMP/${1//\//_}

	cp -RL "$GOROOT/src/$1" "$dir" && GOCACHE=$TAP_TMP/cache go test -c -o "$dir/run.test" "$1"
}

cases() # RUN OUT PACKAGE
{
	"$1" "$2" 300 bash -c 'cp -R "$0"/. . && exec ./run.test -test.v -test.short -test.parallel 1' \
		"$TAP_TMP/${3//\//_}"
	sed -n 's/^ *--- \([A-Z]*\): \([^ ]*\) .*/\2\t\1/p' "$2" |
		sed 's/\tPASS$/\tok/; s/\tFAIL$/\tfailed/; s/\tSKIP$/\tskipped/' | sort >"$2.cases"
}

for p in $PACKAGES; do
	log=$SUITE_LOGS/go.${p//\//_}
	compile "$p"
	ok $? "$p: its tests compile" || continue
	cases suite_native "$log.tmpfs" "$p"
	for cores in $SUITE_CORES; do
		HARE_OPTS="--cores $cores" cases suite_hare "$log.hare$cores" "$p"
		suite_cases "$p, $cores cores" "$log.tmpfs.cases" "$log.hare$cores.cases"
	done
done
done_testing
