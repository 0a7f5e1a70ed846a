# SPDX-License-Identifier: MIT
# Processes that are killed in fork, before or after the child is born, and a thread that execs while
# another one is in a call whose descriptor goes with that (src/intercept/thread.c, exec.c); and a parent that
# gives its child a group as that execs.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/points.sh"
need_all taskset util-linux

${CC:-cc} -O1 -std=gnu17 -pthread -o "$TAP_TMP/threads" "$TAP_TOP/tests/race/inside/threads.c" || exit 1
${CC:-cc} -O1 -std=gnu17 -o "$TAP_TMP/group" "$TAP_TOP/tests/race/inside/group.c" || exit 1

forks() # NAME OPTIONS...
{
	inside "$@" <<'END'
. "$POINTS"
entries() { "$HARE" stat | awk '/^processes now/ { print $3 + $4 + $5 }'; }
entries_are() { [ "$(entries)" = "$1" ]; }
before=$(entries)

# Forks; parent and child both have a file of Hare open, and the child writes to it.
cat >parent <<'E'
exec 3>>f
(echo child >&3; exit 4) & c=$!
wait $c
echo "parent $?" >&3
E
begin() # POINT...
{
	local point

	for point; do arm "$point" sh; done
	sh parent & p=$!
	for point; do at "$point" || say 1 "at $point"; done
}
ends() # WHAT FILE
{
	wait $p 2>/dev/null
	until_ok entries_are $before
	same "$(entries)" $before "$1: no process is left"
	same "$(tr '\n' ' ' <f)" "$2" "$1: what was written"
	rm f
}

for point in forking fork; do
	begin $point
	kill_outside $PID
	on $point
	ends "the parent killed at $point" ""
done

begin born
kill_outside $PID
on born
ends "the child killed as it is born" "parent 137 "

begin forked born
kill_outside $p
wait $p 2>/dev/null # which cleans up after it
on forked born
ends "the parent killed when the child is born" "child "

begin forked born
child=$PID
kill_outside $p
kill_outside $child
on forked born
ends "both killed" ""
rm parent

# The parent does not wait: that the child is dead only the agent can see, of a core where nobody else forks.
reads() # COMMAND
{
	taskset -c 1 perl -e 'select(undef, undef, undef, 0.3); pipe(R, W); if (!fork) { close R; sleep 600 } close W; sysread(R, $x, 1); print "end\n"' \
		>out & p=$!
	at known || say 1 "at known"
	kill_outside $PID
	"$@" $p
	on known
}
arm known perl
reads true
until_ok test -s out
same "$(cat out)" end "the child killed when it is known, and nobody was told: its pipe ends"
wait $p
arm known perl
reads kill -KILL
wait $p 2>/dev/null
until_ok entries_are $before
same "$(entries)" $before "and its parent, too: no process is left"
rm out
no_leak
END
}
forks "fork"
forks "fork, one island" --islands 1

groups() # NAME OPTIONS...
{
	inside "$@" <<'END'
. "$POINTS"
T=$1
begin()
{
	mkfifo parent child program
	"$T/group" & p=$!
}
ends() # WHAT ERROR LEADS
{
	exec 9>program # when that runs
	[ ! -e "$HARE_RACE/joined.here" ] || on joined
	until_ok test -s error
	echo >&9
	exec 9>&-
	wait $p
	same "$? $(cat error) $(cat group)" "0 $2 $3" "$1"
	rm parent child program error group
}

begin
arm leaves group
echo >child
at leaves
echo >parent
until_ok test -s error
on leaves
ends "the parent gives it a group when its image is made" 0 1

begin
arm joined group
echo >parent
at joined
echo >child
ends "the parent is about to" 0 1

begin
arm ask-EXEC group
echo >child
at ask-EXEC
echo >parent
until_ok test -s error
on ask-EXEC
ends "it has begun its exec: EACCES" 13 0
no_leak
END
}
groups "setpgid and exec"
groups "setpgid and exec, one island" --islands 1

inside "exec and a call" <<'END'
. "$POINTS"
T=$1
mkfifo "$T/go"
"$T/threads" "$T/go" f >out & p=$!
until_ok test -s f
arm offset writer
at offset
say $? "a thread is in a write"
arm freezing threads
arm committed threads
echo >"$T/go"
at freezing
say $? "another one execs, and waits for it"
on freezing offset
at committed
say $? "its descriptor is gone"
same "$(cat "$T/go.bad" 2>/dev/null)" "" "and nobody has seen that"
on committed
wait $p
same "$? $(cat out)" "0 on" "the new program runs"
same "$(tr -d x <f)" "" "the file has what was written"
rm f out "$T/go"
no_leak
END
done_testing
