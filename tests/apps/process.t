# SPDX-License-Identifier: MIT
# Processes on other cores: taskset says which core an exec goes to. What their parents, their
# descriptors, their terminals' relatives, ps and kill see of them; and what is left when agents,
# proxies or the instance itself are killed.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/processes.sh"
need_all taskset util-linux
need_all pgrep procps

if [ "${HARE##*/}" = standin ]; then
	skip hare "processes on other cores"
	done_testing
	exit
fi

# One script in Hare on two cores; a point for each line "ok what" or "not ok what".
inside() # NAME OPTIONS... < SCRIPT
{
	local name=$1 what rc

	shift
	cat >"$TAP_TMP/script"
	HARE_OPTS="--cores 2 --placement local $*" hare_run --chdir "$HARE_AT" -- \
		bash "$TAP_TMP/script" "$HARE" "$TAP_TMP" >"$TAP_TMP/out" 2>"$TAP_TMP/err"
	rc=$?
	told "$name" "$rc"
}

cat >"$TAP_TMP/lib" <<'END'
R="taskset -c 1" L="taskset -c 0"
is() { if [ "$1" = "$2" ]; then echo "ok $3"; else echo "not ok $3: '$1', not '$2'"; fi; }
END

everything()
{
	inside "$@" <<'END'
. "$2/lib"
$R sh -c 'exit 5'
is $? 5 "exit status"
$R sh -c 'kill -9 $$'
is $? 137 "killed by itself"
$R sleep 100 & p=$!
kill -9 $p; wait $p
is $? 137 "killed at once by its parent"
$R sleep 100 & p=$!
sleep 0.2; kill $p; wait $p
is $? 143 "killed later"
$R sh -c 'trap "exit 3" USR1; while :; do sleep 0.02; done' & p=$!
sleep 0.3; kill -USR1 $p; wait $p
is $? 3 "a handler runs"
$R sleep 0.5 & p=$!
kill -STOP $p; sleep 0.1; kill -CONT $p; wait $p
is $? 0 "stopped and continued on its way"
$R sh -c 'kill -STOP $$; exit 6' & p=$!
until "$1" ps | awk -v p=$p '$1 == p && $4 == "T" { n++ } END { exit !n }'; do sleep 0.05; done
kill -CONT $p; wait $p
is $? 6 "it stops itself and is continued"
$R nosuchprogram 2>/dev/null
is $? 127 "a program that is not there"
is "$($R sh -c 'echo $PPID')" $$ "its parent's pid"
is "$(sh -c 'echo $$; exec taskset -c 1 sh -c "echo \$\$"' | uniq | wc -l)" 1 "its own pid"
is "$(echo in | $R cat)" in "a pipe to it"
is "$(echo in | $R cat | $L cat | $R tr a-z A-Z)" IN "a pipeline over both cores"
printf '1\n2\n3\n' >lines
is "$({ $R sh -c 'read a; echo $a'; $L sh -c 'read b; echo $b'; $R cat; } <lines | tr -d '\n')" \
	123 "they share an offset"
{ $R echo one; $L echo two; $R echo three; } >out
is "$(tr '\n' ' ' <out)" "one two three " "and one for writing"
mkdir sub; cd sub
is "$($R pwd)" "$PWD" "its working directory"
cd /tmp
is "$($R pwd)" /tmp "on the host, too"
cd "$OLDPWD/.."
is "$(umask 027; $R sh -c umask)" 0027 "umask"
is "$(X='a b' $R sh -c 'echo "$X"')" "a b" "environment"
is "$(ulimit -n 300; $R sh -c 'ulimit -n')" 300 "limits"
is "$(nice -n 3 $R nice)" "$(nice -n 3 nice)" "nice value"
is "$($R sh -c 'trap "" INT; '"$L"' sh -c "kill -INT \$\$; echo lives"')" lives "ignored signals"
long=$(head -c 100000 /dev/zero | tr '\0' x)
is "$(LONG=$long $R sh -c 'echo ${#LONG}')" 100000 "an environment too big for a message"
rm -f "$2/hostfile"
exec 8<>"$2/hostfile"; echo host >&8
is "$($R sh -c 'cat <&8; echo more >&8'; cat "$2/hostfile" | tr '\n' ' ')" "host more " \
	"a descriptor of the host"
exec 8>&-
$R sh -c 'sleep 50 & echo $! >child; wait' & p=$!
until [ -s child ]; do sleep 0.02; done
is "$(ps -o ppid= -p "$(cat child)" | tr -d ' ')" $p "ps: its child's parent"
is "$(ps -o comm= -p $p)" sh "ps: its name"
is "$(pgrep -P $p)" "$(cat child)" "pgrep -P finds its child"
is "$($R pgrep -P $$ -x sh)" $p "and from there the other way round"
pkill -P $p; wait $p
is $? 0 "pkill -P"
$R sh -c 'sleep 50 & sleep 50 & wait' & p=$!
set -m; $R sh -c "$L sleep 50 & sleep 50 & echo >grp; wait" & g=$!; set +m
until [ -e grp ]; do sleep 0.02; done; sleep 0.1
kill -- -$g; wait $g
is $? 143 "kill of a group that is on two cores"
sleep 0.1
is "$(pgrep -g $g | wc -l)" 0 "all of it"
kill $p; wait $p
t=$( { TIMEFORMAT=%U; time $R sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; } 2>&1)
is "${t%.*}${t#*.}" "$(echo "${t%.*}${t#*.}" | grep -v '^0*$')" "its time is its parent's children's"
is "$(nproc)" 2 "nproc"
is "$($R nproc)" 1 "taskset is inherited"
$R sleep 50 & p=$!
until "$1" ps | awk '$3 == 1 && $6 == "sleep" { n++ } END { exit !n }'; do sleep 0.05; done
is "$(taskset -pc $p | sed 's/.*: //')" 1 "taskset shows it that of a process on another core"
is "$(taskset -pc 0 $p >/dev/null; taskset -pc $p | sed 's/.*: //')" 0 "and sets it"
kill $p; wait $p
taskset -p $p >/dev/null 2>&1
is $? 1 "of one that is no more it does not"
HARE_PLACEMENT=round-robin bash -c 'for i in $(seq 20); do /bin/echo $i; done >rr'
is "$(wc -l <rr)" 20 "placed in turn"
is "$("$1" fsck | sed 's/.*: //')" "0 violations" "fsck"
END
}
inside "what outlives its program" <<'END'
. "$2/lib"
T=$2/late
$R sh -c '(sleep 0.1; echo late; seq 3 | tail -n 1; : >a) & exit 3' >"$T"
is $? 3 "the program's status"
until [ -e a ]; do sleep 0.02; done
is "$(tr '\n' ' ' <"$T")" "late 3 " "a child writes on"
$R sh -c "(sleep 0.1; $L sh -c '(sleep 0.1; echo far; : >b) & exit 0') & exit 0" >"$T"
until [ -e b ]; do sleep 0.02; done
is "$(cat "$T")" far "and what it started on another core"
seq 5 >"$T.in"
$R sh -c 'exec 3<&0; (sleep 0.1; tr "\n" " " <&3 >read; : >c) & exit 0' <"$T.in"
until [ -e c ]; do sleep 0.02; done
is "$(cat read)" "1 2 3 4 5 " "and reads on"
mkfifo "$T.fifo"
$R sh -c '(sleep 0.1; echo one; sleep 0.1; echo two) & exit 0' >"$T.fifo" &
is "$($L cat "$T.fifo" | tr '\n' ' ')" "one two " "a reader outside sees it all, and its end"
END

everything "2 islands"
everything "1 island" --islands 1
everything "emulated" --memory-model emulated
everything "messages only" --islands 1 --without local-calls

# A program that moves from core to core has one proxy, where it was born.
moving() # NAME OPTIONS...
{
	inside "$1" --cores 3 "${@:2}" <<'END'
. "$2/lib"
export HARE=$1
T="taskset -c 2"
cat >hop <<'E'
n=$1; shift
[ "$n" = 0 ] && exec "$@"
exec taskset -c $((n % 3)) sh "$0" $((n - 1)) "$@"
E
rows() { "$HARE" ps -a | awk -v p=$1 '$1 == p' | wc -l; }
entries() { "$HARE" stat | awk '/^processes now/ { print $4 + $5 }'; } # of cores 1 and 2
settled() { for i in $(seq 600); do [ "$("$@")" = $want ] && break; sleep 0.05; done; "$@"; }
before=$(entries)
sh hop 20 sleep 100 & p=$!
until "$HARE" ps | awk '$6 == "sleep" { n++ } END { exit !n }'; do sleep 0.05; done
want=2; is "$(settled rows $p)" 2 "20 execs to and fro leave one proxy"
want=1; is "$(settled entries)" 1 "and nothing else"
kill $p; wait $p
is $? 143 "it serves the program where that is"
sh hop 7 sh -c 'exit 6'
is $? 6 "exit status"
is "$(sh hop 5 sh -c 'echo $PPID')" $$ "its parent's pid"
is "$(sh -c 'echo $$; exec sh hop 4 sh -c "echo \$\$"' | uniq | wc -l)" 1 "its own pid"
sh hop 4 sh -c 'kill -STOP $$; exit 6' & p=$!
until "$HARE" ps | awk -v p=$p '$1 == p && $4 == "T" { n++ } END { exit !n }'; do sleep 0.05; done
kill -CONT $p; wait $p
is $? 6 "it stops itself and is continued"
sh hop 4 sh -c 'trap "exit 3" USR1; echo >ready; while :; do sleep 0.02; done' & p=$!
until [ -e ready ]; do sleep 0.05; done
kill -USR1 $p; wait $p
is $? 3 "a handler runs"
mkdir sub; cd sub
is "$(sh ../hop 5 sh -c 'cd ..; rmdir sub; pwd')" "${PWD%/sub}" "its working directory"
cd ..
t=$( { TIMEFORMAT=%U; time $R sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done
	exec taskset -c 2 true'; } 2>&1)
is "${t%.*}${t#*.}" "$(echo "${t%.*}${t#*.}" | grep -v '^0*$')" "its time on a core that it left"
seq 9 >"$2/in"
is "$(sh hop 5 cat <"$2/in" | tr -d '\n')" 123456789 "a descriptor from where it was born"
is "$($R sh -c 'exec 7<"$1"; exec taskset -c 2 sh -c "exec taskset -c 0 cat <&7"' sh "$2/in" |
	tr -d '\n')" 123456789 "and from a core on its way"
want=$before; is "$(settled entries)" $before "nothing is left"
RANDOM=3
bad=0
for i in $(seq 30); do
	sh hop $((RANDOM % 9 + 2)) sleep 100 <"$2/in" >out & p=$!
	sleep 0.0$((RANDOM % 90 + 10))
	if [ $((i % 2)) = 1 ]; then sig=9; else sig=15; fi
	kill -$sig $p; wait $p
	[ $? = $((128 + sig)) ] || bad=$((bad + 1))
done 2>/dev/null
is $bad 0 "killed on its way"
is "$(settled entries)" $before "nothing is left then either"
is "$("$1" fsck | sed 's/.*: //')" "0 violations" "fsck"
END
}
moving "moving"
moving "moving in one island" --islands 1
moving "moving, emulated" --memory-model emulated

# Agents are killed, one after the other, while programs start and end.
HARE_OPTS="--cores 3" hare_run --chdir "$HARE_AT" -- bash -c '
	for i in $(seq 60); do
		taskset -c $((i % 3)) sh -c "exec taskset -c $((i / 3 % 3)) sh -c \
			\"echo $i >>log; sleep 0.02; exit $((i % 7))\""
		[ $? = $((i % 7)) ] || echo "bad $i"
	done
	wc -l <log; "$1" fsck >/dev/null || echo fsck' sh "$HARE" >"$TAP_TMP/out" 2>&1 &
run=$!
sleep 0.3
boot=$(pgrep -of "^$HARE run --cores 3 ")
for round in 1 2 3 4 5; do
	for agent in $(pgrep -x hared -P "$boot"); do
		kill -9 "$agent"
		sleep 0.05
	done
done
wait $run
is "$? $(cat "$TAP_TMP/out")" "0 60" "agents are killed, and nobody notices"

# A fork bomb ends in EAGAIN, and nothing stays behind.
out=$(HARE_OPTS="--cores 1" hare_run -- perl -e 'pipe(R, W);
	while (defined($pid = fork)) {
		if (!$pid) { close W; sysread R, $byte, 1; exit 0 }
		last if ++$n > 5000;
	}
	$error = $! + 0;
	close W;
	1 while wait() > 0;
	$pid = fork;
	exit 0 if defined $pid && !$pid;
	print "$error ", $n < 2000 ? "bounded" : "wild", " ", waitpid($pid, 0) == $pid, "\n"')
is "$out" "11 bounded 1" "a fork bomb ends in EAGAIN; afterwards there is room again"

# RLIMIT_NPROC counts what the host counts: of an ordinary user all.
if [ "$(id -u)" = 0 ]; then
	out=$(HARE_OPTS="--cores 2" hare_run -- setpriv --reuid 64999 --clear-groups bash -c '
		ulimit -u 40
		for i in $(seq 60); do sleep 2 & done 2>&1 | grep -c -m 1 "Resource temporarily"
		wait; echo on' 2>/dev/null)
	is "$out" "1
on" "RLIMIT_NPROC is EAGAIN"
fi

# No other numbers for the holders of locks: CAVEATS.
out=$(HARE_OPTS="--cores 2" hare_run -- unshare --user --pid --fork true 2>&1)
is "$? ${out##*: }" "1 Invalid argument" "PID namespaces are refused by unshare"
out=$(HARE_OPTS="--cores 2" hare_run -- nsenter --pid=/proc/self/ns/pid true 2>&1)
is "$? ${out##*: }" "1 Invalid argument" "and by setns"

# A proxy sleeps while its program waits for a FIFO of the host, also one that is open both ways and was
# written by it: 20 looks in a row find it asleep.
mkfifo "$TAP_TMP/both" "$TAP_TMP/looked"
HARE_OPTS="--cores 2 --placement local" hare_run -- bash -c 'exec 3<>"$0"
	taskset -c 1 bash -c "echo one >&3; read -r x <&3; echo \$x; read -r x <&3; echo \$x" &
	read -r _ <"$1"; echo two >&3; wait' "$TAP_TMP/both" "$TAP_TMP/looked" >"$TAP_TMP/out" &
run=$!
for i in $(seq 600); do
	for proxy in $(below $run); do
		[[ $(tr '\0' ' ' <"/proc/$proxy/cmdline") == "hare-ld proxy "* ]] && break
		proxy=
	done 2>/dev/null
	[ -n "$proxy" ] && [ -s "$TAP_TMP/out" ] && break
	sleep 0.05
done
asleep=0
for i in $(seq 1000); do
	[ "$(sed 's/.*) //; s/ .*//' "/proc/$proxy/stat")" = S ] && asleep=$((asleep + 1)) || asleep=0
	[ $asleep = 20 ] && break
	sleep 0.01
done
echo >"$TAP_TMP/looked"
wait $run
is "$asleep $(xargs <"$TAP_TMP/out")" "20 one two" "a proxy sleeps while its program waits for a FIFO that is open both ways"

# Sent from outside, to the proxy: also the signals that faults raise go to the program, on another core.
rm "$TAP_TMP/out"
HARE_OPTS="--cores 2 --placement local" hare_run -- taskset -c 1 perl -e '$| = 1;
	for my $s (qw(ILL FPE SEGV BUS)) { $SIG{$s} = sub { $n++; print "$s\n" } }
	print "ready\n"; select(undef, undef, undef, 0.05) while $n < 4' >"$TAP_TMP/out" &
run=$!
for i in $(seq 600); do
	[ -s "$TAP_TMP/out" ] && break
	sleep 0.05
done
for proxy in $(below $run); do
	[[ $(tr '\0' ' ' <"/proc/$proxy/cmdline") == "hare-ld proxy "* ]] && break
done 2>/dev/null
n=1
for s in ILL FPE SEGV BUS; do
	kill -$s "$proxy"
	n=$((n + 1))
	for i in $(seq 100); do
		[ "$(wc -l <"$TAP_TMP/out")" -ge $n ] && break
		sleep 0.05
	done
done
wait $run
is "$? $(xargs <"$TAP_TMP/out")" "0 ready ILL FPE SEGV BUS" "signals of faults that are sent to a proxy"

# A fork bomb over four cores: every program starts two on other cores. It ends in EAGAIN, whichever
# call finds that there is no room, and leaves an instance in which all cores run programs.
cat >"$TAP_TMP/bomb" <<'END'
use POSIX;
my $core = shift;
for my $n (1, 2) {
	last if -e "go"; # else there would always be more
	my $pid = fork;
	if (!defined $pid) { say_error(); last }
	next if $pid;
	$core = ($core + $n) % 4;
	exec "taskset", "-c", $core, "perl", $0, $core;
	say_error();
	_exit(1);
}
select(undef, undef, undef, 0.05) until -e "go";
sub say_error { my $e = $! + 0; open(my $f, ">>", "errors"); syswrite $f, "$e\n" }
END
cat >"$TAP_TMP/script" <<'END'
ulimit -u 40
taskset -c 1 perl "$2/bomb" 1 2>/dev/null &
for i in $(seq 1200); do [ -s errors ] && break; sleep 0.05; done
: >go
wait
for i in $(seq 1200); do pgrep -x -u 64999 perl >/dev/null || break; sleep 0.05; done
sort -u errors
for core in 0 1 2 3; do taskset -c $core sh -c 'echo on'; done
rm go errors
END
if [ "$(id -u)" = 0 ]; then
	mkdir -m 777 "$TAP_TMP/bombs"
	out=$(HARE_OPTS="--cores 4" hare_run --chdir "$TAP_TMP/bombs" -- setpriv --reuid 64999 \
		--clear-groups bash "$TAP_TMP/script" "$HARE" "$TAP_TMP" 2>"$TAP_TMP/err" |
		tr '\n' ' ')
	is "$out" "11 on on on on " "a fork bomb over four cores ends in EAGAIN, and all cores go on"
fi

# What is left when the instance is killed: nothing.
mark=$((RANDOM + 100000))
HARE_OPTS="--cores 2" hare_run -- bash -c "taskset -c 1 sleep $mark & taskset -c 0 sleep $mark &
	sleep $mark" &
run=$!
for i in $(seq 100); do
	[ "$(pgrep -fc "^sleep $mark")" -ge 3 ] && break
	sleep 0.05
done
boot=$(pgrep -of "^$HARE run .*sleep $mark")
kill -9 "$boot"
wait $run 2>/dev/null
for i in $(seq 60); do
	pgrep -f "sleep $mark" >/dev/null || break
	sleep 0.05
done
is "$(pgrep -f "sleep $mark" | wc -l)" 0 "hare run is killed: no process is left"

# And when the program ends before those that it started.
HARE_OPTS="--cores 2" hare_run -- bash -c "(trap '' HUP TERM INT; taskset -c 1 sleep $mark &
	setsid sleep $mark & nohup sleep $mark >/dev/null 2>&1 & sleep $mark) & sleep 0.3; exit 9"
is $? 9 "the program ends"
is "$(pgrep -f "sleep $mark" | wc -l)" 0 "and with it what it left behind"
done_testing
