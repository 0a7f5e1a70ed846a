# SPDX-License-Identifier: MIT
# Memory of programs that goes while they use it: files that become shorter under a mapping that is made,
# grows or is inherited just then (src/client/cut.c), and a page that a write comes from.
. "$(dirname "$0")/../lib/tap.sh"
. "$(dirname "$0")/points.sh"
need_all taskset util-linux

for p in mapper writer; do
	${CC:-cc} -O1 -std=gnu17 -o "$TAP_TMP/$p" "$TAP_TOP/tests/race/inside/$p.c" || exit 1
done

cut() # NAME OPTIONS...
{
	inside "$@" <<'END'
. "$POINTS"
T=$1
cut() # HOW POINT
{
	local core

	for core in 0 1 2; do
		printf 'a%04095d' 0 >f
		[ "$1" = grown ] || for i in b c d; do printf "$i%04095d" 0 >>f; done
		arm "$2" mapper
		taskset -c 1 "$T/mapper" "$1" f >out & p=$!
		at "$2"
		say $? "$1: it is at \"$2\""
		taskset -c $core truncate -s 4096 f
		say $? "$1: the file is cut, on core $core"
		on "$2"
		wait $p
		same "$? $(cat out)" "0 SIGBUS" "$1: nothing is seen behind the end"
		rm f out
	done
}
cut made shown
cut grown shown
cut stretched shown
cut "in a call" offset
cut forked forking
cut forked born
no_leak
END
}
cut "cut"
cut "cut, one island" --islands 1
cut "cut, emulated" --memory-model emulated

inside "page gone" <<'END'
. "$POINTS"
T=$1
head -c 4096 /dev/zero | tr '\0' x >"$T/from"
arm touched writer
"$T/writer" "$T/from" f >out & p=$!
at touched
say $? "it has seen that the page is there"
truncate -s 0 "$T/from"
on touched
wait $p
same "$(cat out)" "EFAULT written 5" "nothing of it is written; the next write is"
same "$(cat f)" there "and that is what is there"
rm f out
no_leak
END
done_testing
