# SPDX-License-Identifier: MIT
# The two programs that the thesis gives for what a network file system cannot do: figure 3-1
# (an offset shared by parent and child) and figure 3-3 (a file removed while it is open).
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all "${CC:-cc}" gcc

cat >"$TAP_TMP/fd_share.c" <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
	dup2(open("file", O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
	if (fork() == 0) {
		execlp("echo", "echo", "hello", (char *)NULL);
		_exit(127);
	}
	wait(NULL);
	printf("world.\n");
	return 0;
}
C
cat >"$TAP_TMP/orphan.c" <<'C'
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char buf[1024];
	struct stat st;
	ssize_t n;
	int fd = open("d/file", O_RDWR), status;

	if (fd < 0 || argc != 2)
		return 1;
	if (fork() == 0) {
		execl(argv[1], argv[1], (char *)NULL);
		_exit(127);
	}
	wait(&status);
	if (status || access("d", F_OK) == 0 || fstat(fd, &st) || st.st_nlink != 0)
		return 2;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	if (pwrite(fd, "still mine", 10, 0) != 10 || pread(fd, buf, 10, 0) != 10)
		return 3;
	printf("%.10s %ld\n", buf, (long)st.st_size);
	return close(fd);
}
C
for prog in fd_share orphan; do
	${CC:-cc} -O1 -o "$TAP_TMP/$prog" "$TAP_TMP/$prog.c"
	ok $? "$prog.c compiles"
done

# Several times, so that the child is placed on every core in turn.
compare "figure 3-1: parent and child share the offset" <<END
for i in 1 2 3 4 5 6 7 8; do $TAP_TMP/fd_share; cat file; mv file file\$i; done
END
for cores in 1 2 3 4 8; do
	out=$(HARE_OPTS="--cores $cores" hare_run --chdir "$HARE_AT" -- bash -c \
		"$TAP_TMP/fd_share && cat file" 2>&1)
	is "$out" "hello
world." "figure 3-1 on $cores cores"
done

compare "figure 3-1 as a shell says it" <<'END'
for i in 1 2 3 4 5 6; do
	(/bin/echo hello; echo world.; /bin/echo and more; sh -c 'echo from sh; /bin/echo below it') >file$i
	cat file$i
done
exec >all; /bin/echo 1; echo 2; (/bin/echo 3; echo 4); /bin/echo 5 & wait; echo 6
END

compare "figure 3-3: a file removed by another lives on" <<END
printf '#!/bin/sh\necho "hello world" >> d/file\nrm -r d\n' >orphan.sh; chmod +x orphan.sh
for i in 1 2 3 4 5 6 7 8; do mkdir d; echo "line 1 of round \$i" >d/file; $TAP_TMP/orphan ./orphan.sh; echo \$?; ls; done
END

compare "figure 3-3 as a shell says it" <<'END'
printf '#!/bin/sh\necho "hello world" >> d/file\nrm -r d\n' >orphan.sh; chmod +x orphan.sh
for i in 1 2 3 4; do
	mkdir d; seq 1 5000 >d/file; exec 3<d/file; read -r first <&3; ./orphan.sh
	ls -d d
	mkdir d; echo another >d/file; cat <&3 | md5sum; echo "$first"; cat d/file
	exec 3<&-; rm -r d
done
END

done_testing
