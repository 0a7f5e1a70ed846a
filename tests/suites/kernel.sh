# SPDX-License-Identifier: MIT
# The Linux kernel of Debian's source package, unpacked, configured and built with make -j4: the same
# objects, and a vmlinux that is the same, byte by byte, as on tmpfs.
. "$(dirname "$0")/lib.sh"
SOURCE=/usr/src/linux-source-6.1.tar.xz
suite_need $SOURCE linux-source-6.1 && suite_need flex flex && suite_need bison bison && suite_need bc bc ||
	done_testing
SUITE_OPTS="--memory 6G $SUITE_OPTS"
suite_steps kernel 7000 bash "$SUITE_DIR/kernel.steps" $SOURCE "${KERNEL_JOBS:-4}"
done_testing
