# SPDX-License-Identifier: MIT
# An exec on another core whose agent, or whose own process, is killed while EXEC is under way; a program
# whose agent or proxy stops or dies; and one whose name goes between exec and loader. Nothing is left to chance: who is to die is stopped first,
# and dies when the others are seen waiting for it.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/../lib/processes.sh"
. "$(dirname "$0")/points.sh"

# The agent of a core: they are born in the order of their cores.
agent_of() # CORE
{
	local pid

	for pid in $(below $run | sort -n); do
		[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = hared ] && echo "$pid"
	done | sed -n "$(($1 + 1))p"
}

has_agent() # CORE
{
	[ -n "$(agent_of "$1")" ]
}

# An instance of two cores that runs a script: its commands read `go` and write to the test's folder.
start() # SCRIPT
{
	T=$TAP_TMP
	rm -f "$T"/*
	mkfifo "$T/go"
	export T
	"$HARE" run --cores 2 -- bash -c "echo up >\$T/up; $1" \
		>"$T/out" 2>"$T/err" </dev/null &
	run=$!
	until_ok test -s "$T/up"
	agent=$(agent_of 1)
}

# Its host process sleeps: in an exec, for the reply to EXEC; with all else it is at home.
is_leaving() # PID
{
	grep -q "^202 " "/proc/$1/syscall"
}

# How the instance ended, and what its script said.
ends() # WANT WHAT
{
	wait $run
	is "$? $(tr '\n' ' ' <"$T/out")" "$1" "$2"
}

# A program on another core ends, and closes what it has, after its proxy: what stays is a leak.
# shellcheck disable=SC2016
CLEAN='for i in $(seq 600); do
			"$HARE" fsck >$T/fsck; grep -q " 1 inodes" $T/fsck && break
			sleep 0.05
		done
		cat $T/fsck'
clean="2 cores, 1 inodes, 0 names: 0 violations "

# The exec, up to where EXEC lies in the ring of core 1, whose agent is stopped. A file of Hare goes
# along: a reference of it that stays behind keeps its inode.
leave() # PROGRAM
{
	start "exec 3>/hare/along
		read -r x <\$T/go
		taskset -c 1 $1 & echo \$! >\$T/pid
		wait \$!; echo \$?
		read -r x <\$T/go
		exec 3>&-
		cat /hare/*; rm -f /hare/*
		$CLEAN"
	kill -STOP "$agent"
	until_ok state_is "$agent" T
	echo >"$T/go"
	until_ok test -s "$T/pid"
	pid=$(cat "$T/pid")
	until_ok is_leaving "$pid"
	ok $? "$2: EXEC was sent, nobody takes it"
}

leave 'sh -c "echo ran >/hare/ran; exit 7"' "agent killed"
kill -KILL "$agent"
echo >"$T/go"
ends "0 7 ran $clean" "agent killed: its successor starts the program"

leave 'sh -c "echo ran >/hare/ran; exit 7"' "agent stopped"
kill -CONT "$agent"
echo >"$T/go"
ends "0 7 ran $clean" "agent stopped: it starts the program when it goes on"

leave 'sleep 600' "program killed"
kill -KILL "$pid"
kill -CONT "$agent"
echo >"$T/go"
ends "0 137 $clean" "program killed: it does not come to run"

leave 'sleep 600' "both killed"
kill -KILL "$pid"
kill -KILL "$agent"
echo >"$T/go"
ends "0 137 $clean" "both killed: nothing is left"

# A program that runs on core 1, with a file open, and its proxy.
# shellcheck disable=SC2016
there='sh -c "exec 3>/hare/f; echo up >\$T/there; read -r x; exit \$x"'
settle() # WHAT
{
	start "mkfifo \$T/in; exec 5<>\$T/in
		taskset -c 1 $there <&5 & p=\$!; echo \$p >\$T/pid
		wait \$p; echo \$?
		rm -f /hare/f
		$CLEAN"
	until_ok test -s "$T/there"
	ok $? "$1: a program reads by its proxy"
	pid=$(cat "$T/pid")
}

settle "proxy killed"
kill -STOP "$pid"
until_ok state_is "$pid" T
kill -KILL "$pid"
ends "0 137 $clean" "proxy killed: its program ends, what it had open is closed"

settle "proxy stopped"
kill -STOP "$pid"
until_ok state_is "$pid" T
echo 5 >"$T/in"
kill -CONT "$pid"
ends "0 5 $clean" "proxy stopped: it goes on, and its program's status comes through"

settle "agent killed under a program"
kill -KILL "$agent"
until_ok gone "$agent"
until_ok has_agent 1
echo 6 >"$T/in"
ends "0 6 $clean" "agent killed under a program: status and input come through the next one"

settle "agent stopped under a program"
kill -STOP "$agent"
until_ok state_is "$agent" T
kill -KILL "$pid"
until_ok gone "$pid"
kill -KILL "$agent"
ends "0 137 $clean" "agent and proxy killed: the next agent ends the program"
# What it ran is nobody's when EXEC is about to be sent.
busy() # NAME OPTIONS...
{
	inside "$@" <<'END'
. "$POINTS"
cp "$(command -v taskset)" own
arm ask-EXEC own
taskset -c 1 ./own -c 2 sleep 600 & p=$!
at ask-EXEC
say $? "it is about to go"
(: >>own) 2>/dev/null
say $? "what it ran can be written"
kill -KILL $p
on ask-EXEC
wait $p 2>/dev/null
rm own
no_leak
END
}
busy "busy"
busy "busy, one island" --islands 1

# What was found, checked and counted is what runs, whatever its name leads to when the loader comes.
found() # NAME OPTIONS...
{
	inside "$@" <<'END'
. "$POINTS"
cp "$(command -v env)" env # whose name tells its exec from those of this script
cp "$(command -v taskset)" ts
cp "$(type -P false)" other
printf '#!%s/own /proc/self/exe\n' "$PWD" >script
chmod +x script

# Its exec is at the point; meanwhile `how` is done to the program. It says by what name it is; the
# script is no link, which its interpreter finds wrong.
takes() # POINT COMM HOW WANT WHAT COMMAND...
{
	local point=$1 how=$3 want=$4 what=$5 p

	cp "$(command -v readlink)" own
	arm "$point" "$2"
	shift 5
	"$@" >out 2>err & p=$!
	at "$point" || say 1 "$what: it is at $point"
	$how
	on "$point"
	wait $p
	same "$? $(sed 's/#[0-9]*/#/' out)" "$want" "$what, $how"
	rm -f own moved out err
}
unlinked() { rm own; }
renamed() { mv own moved; }
replaced() { mv own moved && cp other own; }
for how in unlinked renamed replaced; do
	case $how in
	unlinked) want="$PWD/# (deleted)" ;;
	*) want=$PWD/moved ;;
	esac
	takes committed env $how "0 $want" "here" ./env ./own /proc/self/exe
	takes committed env $how "1 $want" "a script's interpreter" ./env ./script
	takes ask-EXEC ts $how "0 $want" "elsewhere" ./ts -c 1 ./own /proc/self/exe
	takes ask-EXEC ts $how "0 $want" "back home" taskset -c 1 ./ts -c 0 ./own /proc/self/exe
done
rm env ts other script
no_leak
END
}
found "found"
found "found, one island" --islands 1
found "found, separate kernels" --kernels separate
done_testing
