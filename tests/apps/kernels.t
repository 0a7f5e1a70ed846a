# SPDX-License-Identifier: MIT
# --kernels separate: each core in namespaces of its own. That they are, that programs do not see it, and
# that the death of an agent, a keeper or all of it is as that of a core's, a machine's.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/processes.sh"
. "$(dirname "$0")/../lib/kernels.sh"
need_kernels
export HARE_OPTS="--cores 3 --kernels separate"

# A program in the background, which says when it is so far; $pids: all of the instance.
start() # CMD...
{
	rm -f "$TAP_TMP/up"
	"$HARE" run $HARE_OPTS --chdir "$HARE_AT" -- "$@" >"$TAP_TMP/out" 2>"$TAP_TMP/err" </dev/null &
	run=$!
	for _ in $(seq 200); do
		[ -s "$TAP_TMP/up" ] && break
		sleep 0.05
	done
	pids=$(below $run)
}
named() # COMM: those of $pids
{
	local pid

	for pid in $pids; do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" != "$1" ] || echo "$pid"
	done
}

# --- they are separate

# shellcheck disable=SC2016
got=$(hare_run -- bash -c 'for ns in pid mnt ipc net; do
		for i in 1 2 3; do sh -c "readlink /proc/self/ns/$ns"; done | sort -u | wc -l
	done; for i in 1 2 3; do sh -c "echo \$\$"; done | sort -u | wc -l')
is "$got" "3
3
3
3
3" "three kernels have three namespaces of each kind, and all process numbers differ"

# Numbers of a kernel are used up and begin anew, in its own range: its share of the host's.
cat >"$TAP_TMP/forks.c" <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int share = atoi(argv[1]), home = getpid() / share, other = 0, again = 0, last = 0;

	for (int i = 0; i < share / 2 + 500; i++) {
		int pid = fork();

		if (!pid)
			_exit(0);
		other += pid < 0 || pid / share != home;
		again += pid < last;
		last = pid;
		if (pid > 0)
			waitpid(pid, NULL, 0);
	}
	printf("%d %s\n", other, again ? "again" : "never again");
	return argc - 2;
}
END
share=$(($(cat /proc/sys/kernel/pid_max) / 4))
if [ "$share" -gt 20000 ]; then
	skip "a smaller kernel.pid_max" "process numbers are used again"
elif need "${CC:-cc}" gcc "process numbers are used again"; then
	"${CC:-cc}" -O1 -o "$TAP_TMP/forks" "$TAP_TMP/forks.c"
	is "$(hare_run --cores 4 --placement local -- "$TAP_TMP/forks" $share)" "0 again" \
		"process numbers are used again, and only those of the kernel"
fi

# shellcheck disable=SC2016
start bash -c 'sleep 40 & sleep 40 & sleep 40 & sleep 0.3; echo up >"$0"; sleep 40' "$TAP_TMP/up"
if need python3 python3 "no descriptor is shared"; then
	cat >"$TAP_TMP/shared.py" <<'PY'
# Open descriptions that processes of different PID namespaces have in common (kcmp).
import ctypes, os, sys
KCMP, FILE = 312, 0
libc = ctypes.CDLL(None, use_errno=True)
of = {}
for pid in map(int, sys.argv[1:]):
    try:
        ns = os.readlink("/proc/%d/ns/pid" % pid)
        fds = [int(f) for f in os.listdir("/proc/%d/fd" % pid)]
    except OSError:
        continue
    if ns != os.readlink("/proc/self/ns/pid"):
        of.setdefault(ns, []).extend((pid, fd) for fd in fds)
count = 0
for a in of:
    for b in of:
        for p, f in of[a] if a < b else ():
            for q, g in of[b]:
                r = libc.syscall(KCMP, p, q, FILE, f, g)
                if r < 0 and ctypes.get_errno() in (38, 1):
                    print("no kcmp"); sys.exit()
                if r == 0:
                    print("shared", p, f, q, g, os.readlink("/proc/%d/fd/%d" % (p, f)))
                count += 1
print("kernels", len(of), "compared" if count else "nothing to compare")
PY
	# shellcheck disable=SC2086
	got=$(python3 "$TAP_TMP/shared.py" $pids)
	if [ "$got" = "no kcmp" ]; then
		skip "kcmp(2)" "no descriptor is shared"
	else
		is "$got" "kernels 3 compared" "no open description is in two kernels"
	fi
fi

# --- deaths

for what in agent keeper; do
	# shellcheck disable=SC2016
	[ $what = agent ] || start bash -c '
		for i in 1 2 3; do (sh -c "sleep 2; exit 7"; echo $?) & done
		sleep 0.5; echo up >"$0"; wait
		for i in 1 2 3; do sh -c "echo x \$\$ >>f; readlink /proc/self/ns/pid"; done | sort -u | wc -l
		wc -l <f; "$HARE" fsck | sed "s/.*: //"' "$TAP_TMP/up"
	victim=$(named "$([ $what = agent ] && echo hared || echo hare-kernel)" | sed -n 2p)
	ok "$([ -n "$victim" ]; echo $?)" "the second $what is found"
	kill -9 "$victim"
	[ $what = keeper ] || kill $run
	wait $run 2>/dev/null
	is $? "$([ $what = agent ] && echo 143 || echo 0)" "$what killed: the instance goes on"
	# shellcheck disable=SC2086
	all_gone $pids
	ok $? "$what killed: at the end all ends"
done
is "$(sort "$TAP_TMP/out")" "$(printf '%s\n' "0 violations" 3 3 7 7 137 | sort)" \
	"a killed kernel's programs died, it is started anew, and the rest noticed nothing more"

# shellcheck disable=SC2016
start bash -c 'sleep 40 & sleep 40 & sleep 0.2; echo up >"$0"; sleep 40' "$TAP_TMP/up"
kill -9 $run
wait $run 2>/dev/null
# shellcheck disable=SC2086
all_gone $pids
ok $? "hare run killed: all kernels end"

# --- programs do not see it

# shellcheck disable=SC2016
got=$(hare_run --chdir "$HARE_AT" -- bash -c '
	seq 1000 | sort -n | tail -n 1
	(sh -c "kill -STOP \$\$; exit 3") & p=$!; sleep 0.3; kill -CONT $p; wait $p; echo $?
	sleep 40 & p=$!; until grep -q sleep /proc/$p/comm; do sleep 0.05; done
	kill -TERM $p; wait $p; echo $?
	sh -c "trap \"echo caught\" USR1; kill -USR1 \$PPID; :" & trap "echo got-it" USR1; wait; wait
	(flock 9; sh -c "echo locked") 9>l
	mkfifo p; cat p & echo through >p; wait
	"$HARE" ps | grep -c "hare ps$"')
is "$got" "1000
3
143
got-it
locked
through
1" "pipes, stop and continue, signals, locks, FIFOs across kernels"

if need ps procps "the processes of all kernels"; then
	# shellcheck disable=SC2016
	got=$(hare_run --chdir "$HARE_AT" -- bash -c 'for i in 1 2 3 4; do (exec -a "sleeper$i" sleep 40) & done
		sleep 0.3; p=$(jobs -p | sort -n | tail -n 1)
		for i in 1 2 3; do sh -c "ps ax -o comm= | grep -cx sleep"; done
		[ "$(pgrep sleep | sort -n)" = "$(jobs -p | sort -n)" ]; echo $?
		for i in 1 2 3; do sh -c "cat /proc/$p/comm; cat -v /proc/$p/cmdline; echo
			readlink /proc/$p/exe /proc/$p/cwd; grep ^PPid /proc/$p/status; ls /proc/$p >/dev/null"; done 2>/dev/null |
			sed "s/$$/parent/" | sort | uniq -c | sed "s/^ *//"
		for i in 1 2 3; do sh -c "nice -n 3 true; renice -n $i $p >/dev/null; ps -o ni= -p $p"; done | tr -d " "
		cat /proc/999999/stat 2>&1 | sed "s/.*: //"
		pkill sleep; wait')
	is "$got" "4
4
4
0
3 $HARE_AT
3 $(readlink -f "$(command -v sleep)")
3 PPid:	parent
3 sleep
3 sleeper4^@40^@
1
2
3
No such file or directory" "ps, pgrep and /proc show the processes of all kernels"
fi

if need make make "make -j"; then
	# shellcheck disable=SC2016
	got=$(hare_run --chdir "$HARE_AT" -- bash -c '
		for i in $(seq 20); do echo "all: f$i"; echo "f$i:; @readlink /proc/self/ns/pid >\$@"; done >Makefile
		make -j6 >log 2>&1; echo $?; cat f* | wc -l; cat f* | sort -u | wc -l')
	is "$got" "0
20
3" "make -j6 over three kernels"
fi

"$HARE" run --cores 4 --kernels 3 -- true 2>"$TAP_TMP/err"
is "$? $(cat "$TAP_TMP/err")" "2 hare: --kernels cannot be '3': give it shared|separate" "a bad value"

if unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_net_namespaces' 2>/dev/null; then
	# shellcheck disable=SC2016
	unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_net_namespaces
		"$0" run --cores 2 --kernels separate -- true' "$HARE" 2>"$TAP_TMP/err"
	is "$? $(cat "$TAP_TMP/err")" "125 hare: no kernel for each island (--kernels separate): this host does \
not let us make its namespaces: No space left on device" "a host that allows no namespaces"
fi

# --- an ordinary user

if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
	cp "$HARE" "${HARE%/*}/hare-ld" "$TAP_TMP/"
	nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
	if got=$(nobody "$TAP_TMP/hare" run $HARE_OPTS -- sh -c 'for i in 1 2 3; do
			sh -c "id -u; readlink /proc/self/ns/user"; done | sort -u | wc -l' 2>&1); then
		is "$got" 4 "an ordinary user stays who he is, and has a user namespace for each kernel"
	else
		skip "user namespaces: $got" "an ordinary user"
	fi
fi
done_testing
