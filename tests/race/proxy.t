# SPDX-License-Identifier: MIT
# Proxies (src/sched/proxy.c). A program ends while its children use its proxy's descriptors; and a
# program that goes on to a third core, or back to its proxy (src/client/exec_home.c), gets a signal, or
# loses its proxy, at each step of that; and one that goes on before its proxy has stopped with it.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/points.sh"
need_all taskset util-linux
need_all perl perl

${CC:-cc} -O1 -std=gnu17 -o "$TAP_TMP/handler" "$TAP_TOP/tests/race/inside/handler.c" || exit 1

# --- heirs ---

heirs() # NAME OPTIONS...
{
	inside "$@" <<'END'
. "$POINTS"
T=$1

# A program on core 1 that ends with status 3; its child lives on, and has two descriptors of the proxy.
cat >program <<'E'
(echo >born; read -r x <"$T/child"; read -r x <&3 && echo "$x" >&4; echo over >done) &
read -r x <"$T/main"
exit 3
E
begin()
{
	mkfifo "$T/in" "$T/child" "$T/main"
	exec 3<>"$T/in" 4>"$T/data"
	T=$T taskset -c 1 sh program & p=$!
	exec 4>&-
	until_ok test -e born
}
# The child goes on with its read, and comes as far as that the proxy has it.
child_reads() # WHAT
{
	arm "event looked" sh
	echo >"$T/child"
	at "event looked"
	say $? "$1: the child's read is queued"
	on "event looked"
}
ends() # WHAT STATUS DATA
{
	wait $p
	same $? "$2" "$1: the program's status"
	until_ok test -s done
	same "$(cat done) $(cat "$T/data")" "over $3" "$1: what the child read and wrote"
	exec 3>&-
	rm -f born done "$T/in" "$T/child" "$T/main" "$T/data"
}

begin
child_reads "queued before"
arm leaving; echo >"$T/main"; at leaving
say $? "queued before: the program has ended, its proxy is about to"
echo one >&3
on leaving
ends "queued before" 3 one

for point in handed heir; do
	begin
	arm $point; echo >"$T/main"; at $point
	say $? "$point: the proxy has handed over, nobody serves"
	[ $point = handed ] || until_ok gone $p
	child_reads $point
	echo two >&3
	on $point
	ends $point 3 two
done

for point in leaving handed heir; do
	begin
	arm $point; echo >"$T/main"; at $point
	say $? "killed at $point"
	kill_outside "$PID"
	on $point
	until_ok gone "$PID"
	echo >"$T/child"
	if [ $point = heir ]; then s=3; else s=137; fi
	ends "killed at $point" $s ""
done 2>/dev/null
rm program
no_leak
END
}
heirs "heirs"
heirs "heirs, one island" --islands 1

# --- a program that goes on ---

moving() # NAME OPTIONS...
{
	inside "$@" <<'END'
. "$POINTS"
T=$1
mkfifo "$T/m"
entries() { "$HARE" stat | awk '/^processes now/ { print $3 + $4 + $5 }'; }
none_left() { [ "$(entries)" = "$before" ]; }
before=$(entries)
rows() { "$HARE" ps -a | awk -v p=$p '$1 == p && $6 == "sleep"' | wc -l; }
rows_are() { [ "$(rows)" = "$1" ]; }

# Born on core 0, it runs on core 1 and is told to go on, to core 2 or home.
to=2
go_on() # POINT COMM
{
	taskset -c 1 sh -c 'echo up >up; read -r x <"$0"; exec taskset -c $1 sleep 600' "$T/m" $to & p=$!
	until_ok test -s up
	rm up
	arm "$1" "$2"
	echo >"$T/m"
	at "$1"
}
ends() # WHAT STATUS
{
	wait $p 2>/dev/null
	same $? "$2" "$1"
	until_ok none_left
}

each_point() # WHAT POINT...
{
	local what=$1 point comm

	shift
	for point; do
	if [ "$SAME" ] && [ "${point#sent-}" != "$point" ]; then
		continue # there are no messages
	fi
	case $point in moved*) comm=sleep ;; home*) comm='' ;; *) comm=taskset ;; esac
	go_on "$point" $comm
	say $? "$what, $point: it is there"
	kill -USR1 $p
	on "$point"
	ends "$what, $point: a signal ends it" 138

	set -m
	go_on "$point" $comm
	set +m
	kill -USR1 -- -$p
	on "$point"
	ends "$what, $point: a signal for its group" 138

	go_on "$point" $comm
	kill -KILL $p
	on "$point"
	ends "$what, $point: killed" 137

	go_on "$point" $comm
	kill_outside $p
	on "$point"
	ends "$what, $point: its proxy killed" 137

	[ "$PID" != $p ] || continue
	go_on "$point" $comm
	kill_outside "$PID"
	on "$point"
	ends "$what, $point: the process that leaves killed" 137
	done
}
# The program runs there already, and has a handler, when the process that leaves gets a signal from the host.
arm answered-EXEC taskset
taskset -c 1 "$T/handler" & p=$!
at answered-EXEC && until_ok test -e up
say $? "the program runs, the process that left is not its proxy yet"
rm up
kill_outside_by TERM $p
on answered-EXEC
ends "the signal is the program's" 9

leaving="ask-EXEC sent-EXEC answered-EXEC ask-MOVED sent-MOVED answered-MOVED"
each_point "on" $leaving "moved on" "moved last"
to=0
each_point "home" $leaving "moved on" "moved last" "home taken" "home received" "home swapped"

# Killed as it leaves, when its proxy is the program already. More than once: its agent tells its end twice,
# and who reaps the proxy gives the program back in between.
for i in 1 2 3 4 5 6 7 8; do
arm "home received"
go_on answered-MOVED taskset
leaves=$PID
at "home received"
say $? "it leaves, and is received at home"
kill_outside "$leaves"
on answered-MOVED "home received"
ends "killed as it leaves, $i" 137
done

# What it is at home: its descriptors, some of which it has doubled or closed on its way.
taskset -c 1 sh -c 'exec 5>&4 6<&3 3<&-; exec taskset -c 0 sh -c "read -r x <&6; echo \$x >&5
	echo two >&4; ls -l /proc/\$\$/fd >fds; umask; nice"' \
	3<<<one 4>"$T/data" >ids
same "$(tr '\n' ' ' <"$T/data") $(tr '\n' ' ' <ids)" "one two  0022 0 " "at home it reads and writes"
same "$(grep -c "$T/data" fds) $(grep -c ' 3 ->' fds)" "2 0" "what the host has, and no more"
rm fds ids
same "$(taskset -c 1 bash -c 'exec 10>&4; ulimit -n 9
	exec taskset -c 0 bash -c "echo beyond >&10; ulimit -n"' 4>"$T/data") $(cat "$T/data")" \
	"9 beyond" "a descriptor beyond a limit that was lowered"
if [ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -gt 1500 ]; then
taskset -c 1 bash -c 'ulimit -n 1501; exec 1500>high
	exec taskset -c 0 bash -c "echo high >&1500; echo on >&4"' 4>"$T/data"
same "$(cat high "$T/data" | tr '\n' ' ')" "high on " "numbers where the loader has its own"
rm high
fi
spin='i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done'
used=$( { TIMEFORMAT=%U; time taskset -c 1 sh -c "$spin; exec taskset -c 0 sh -c 'exec taskset -c 1 true'"; } 2>&1)
same "${used%.*}${used#*.}" "$(echo "${used%.*}${used#*.}" | grep -v '^0*$')" "what it used before it was at home counts"
arm "home taken"
taskset -c 1 sh -c 'exec taskset -c 0 sleep 600' & p=$!
at "home taken"
kill -PIPE $p
on "home taken"
ends "SIGPIPE on its way home" 141

# Somebody else has a descriptor of the proxy: it serves that one, and the program is beside it.
mkfifo "$T/held" "$T/done"
taskset -c 1 sh -c '(read -r x <"$1"; echo held >&3; : >"$2") & exec taskset -c 0 sleep 600' sh \
	"$T/held" "$T/done" 3>"$T/data" & p=$!
until_ok rows_are 2
say $? "a child has a descriptor: the proxy stays"
echo >"$T/held"
read -r x <"$T/done"
same "$(cat "$T/data")" held "and serves it"
kill $p
ends "a signal ends the program" 143

# It is stopped with the job before it: who stops it stops the program, which goes on as it does.
go_on ask-MOVED taskset
kill_outside_by STOP $p
on ask-MOVED
sleep 0.1
kill -CONT $p
until_ok rows_are 1
say $? "stopped and continued before it knows"
kill -USR1 $p
ends "and a signal ends it" 138
rm "$T/m" "$T/held" "$T/done"
same "$(entries)" "$before" "no process is left"
no_leak
END
}

export SAME=''
moving "moving"
SAME=1
moving "moving, one island" --islands 1

# --- a program that stops and goes on ---

stopping() # NAME OPTIONS...
{
	inside "$@" <<'END'
. "$POINTS"
begin()
{
	taskset -c 1 sh -c 'echo up >up; exec sleep 600' & p=$!
	until_ok test -s up
	rm up
	arm stopping
	kill -STOP $p
	at stopping
}
ends() # WHAT: a program that goes on, and its proxy with it, end by a signal
{
	kill -USR1 $p
	until_ok gone $p
	wait $p
	same $? 138 "$1"
}

begin
kill -CONT $p
on stopping
ends "continued before its proxy has stopped"

begin
kill_outside_by CONT $p
on stopping
ends "the same, by a process outside"

begin
kill -CONT $p
kill -STOP $p
on stopping
until_ok state_is $p T
say $? "continued, and stopped again, before its proxy has stopped: that has"
kill -CONT $p
ends "and goes on"

# A third core's signals are the program's as soon as that runs.
if [ ! "$SAME" ]; then # there the answer is one transaction with what it answers
cat >program <<'E'
sub say_so { open F, ">$_[0]"; print F "$_[0]\n"; close F }
$SIG{CONT} = sub { say_so("cont") };
$SIG{USR1} = sub { say_so("usr1"); exit 3 };
say_so("up");
select(undef, undef, undef, 0.1) while 1;
E
arm answered-EXEC taskset
# It has nothing, and asks nothing, that its proxy would have to serve.
taskset -c 1 perl program </dev/null >/dev/null 2>&1 & p=$!
at answered-EXEC
until_ok test -s up
taskset -c 2 sh -c "kill -CONT $p"
until_ok test -s cont
say $? "SIGCONT comes where the program runs, whose EXEC seems to be under way"
taskset -c 2 sh -c "kill -USR1 $p"
until_ok test -s usr1
say $? "and SIGUSR1 does"
on answered-EXEC
wait $p
same $? 3 "and it ends"
rm program up cont usr1
fi
no_leak
END
}
SAME=''
stopping "stopping"
SAME=1
stopping "stopping, one island" --islands 1
done_testing
