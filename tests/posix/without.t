# SPDX-License-Identifier: MIT
# Each technique switched off. `make check-matrix` runs all areas so; here are those that it is about.
. "$(dirname "$0")/suite.sh"
POSIX_ONLY=${POSIX_ONLY:-dir link names open orphan pipe readdir rename rw share stat trunc}
for technique in distribution broadcast direct-access directory-cache creation-affinity \
	coalescing local-calls; do
	POSIX_OPTS="--cores 2 --without $technique"
	POSIX_LABEL=" [--without $technique]"
	posix_areas
done
done_testing
