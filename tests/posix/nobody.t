# SPDX-License-Identifier: MIT
# All in Hare with four cores, by a user without privileges.
export POSIX_OPTS="--cores 4"
if [ "$(id -u)" != 0 ] || case ${HARE-} in *standin) true ;; *) false ;; esac; then
	echo "ok 1 # SKIP needs root, and Hare"
	echo "1..1"
	exit 0
fi
export POSIX_USER=65534
. "$(dirname "$0")/suite.sh"
posix_suite
