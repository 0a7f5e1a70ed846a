# SPDX-License-Identifier: MIT
# All in Hare with four cores, by a user without privileges.
POSIX_OPTS="--cores 4"
if [ "$(id -u)" != 0 ]; then
	echo "ok 1 # SKIP needs root"
	echo "1..1"
	exit 0
fi
POSIX_USER=65534
. "$(dirname "$0")/suite.sh"
posix_suite
