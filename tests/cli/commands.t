# SPDX-License-Identifier: MIT
# hare ps, stat, trace, fsck, mkdir, help: inside an instance and from outside.
. "$(dirname "$0")/../lib/tap.sh"

run() { hare_run --chdir "$HARE_AT" -- "$@"; }
out=$TAP_TMP/out err=$TAP_TMP/err

# --- help and usage ------------------------------------------------------------------------------
"$HARE" help >"$out"
ok $? "hare help"
for cmd in run boot exec halt ps stat trace fsck mkdir help version; do
	grep -q "^  $cmd " "$out"
	ok $? "hare help lists $cmd"
	"$HARE" help $cmd | head -1 | grep -q "^usage: hare $cmd"
	ok $? "hare help $cmd"
	is "$("$HARE" $cmd --help)" "$("$HARE" help $cmd)" "hare $cmd --help is the same"
	[ $cmd = help ] && continue
	"$HARE" $cmd --no-such-option >"$out.2" 2>"$err" </dev/null
	is "$? $(wc -l <"$err") $(wc -c <"$out.2")" "2 1 0" "hare $cmd --no-such-option: one line, status 2"
done
"$HARE" nonsense 2>"$err"
is "$? $(wc -l <"$err")" "2 1" "an unknown command"
"$HARE" ps --name no-such-instance 2>"$err"
is "$? $(wc -l <"$err")" "125 1" "an instance that is not there"

# --- inside --------------------------------------------------------------------------------------
run "$HARE" ps >"$out"
ok $? "ps inside"
is "$(awk 'NR == 1 { print $1, $2, $3, $NF }' "$out")" "PID PPID CORE COMMAND" "ps has a heading"
is "$(grep -c 'hare ps' "$out")" 1 "ps shows itself, once"
run bash -c 'sleep 5 & sleep 0.3; "$HARE" ps | grep -c "sleep 5$"; kill $!' >"$out"
is "$(cat "$out")" 1 "ps shows another program with its arguments"
run bash -c 'sleep 5 & pid=$!; sleep 0.3; "$HARE" ps | awk -v p=$pid "\$1 == p { print \$2 }"; echo $$
	kill $pid' >"$out"
is "$(sed -n 1p "$out")" "$(sed -n 2p "$out")" "ps: pid and parent are the program's own"

run bash -c 'echo 12345 >f; mkdir d; "$HARE" stat' >"$out"
ok $? "stat inside"
is "$(awk '/^files and directories/ { print $NF }' "$out")" 3 "stat counts inodes"
run bash -c 'echo 12345 >f; "$HARE" stat --json' >"$out"
if need python3 python3 "stat --json"; then
	python3 - "$out" <<'END'
import json, sys
d = json.load(open(sys.argv[1]))
assert sum(c["inodes"] for c in d["cores"]) == d["total"]["inodes"] == 2, d["total"]
assert d["total"]["entries"] == 1
assert set(d["cores"][0]) == set(d["total"]) | {"core", "island"}
END
	ok $? "stat --json is JSON, its total the sum of the cores"
fi

run bash -c 'mkdir a b; for i in 1 2 3; do echo $i >a/$i; ln a/$i b/$i; ln -s x a/s$i; done; mkfifo b/p
	rm a/2; mv b a/b; exec "$HARE" fsck' >"$out"
is "$? $(tail -n 1 "$out" | sed 's/.*: //')" "0 0 violations" "fsck finds nothing"

run bash -c '"$HARE" mkdir --distribute d && touch d/1 d/2 d/3 && ls d | wc -l && "$HARE" fsck' >"$out" 2>&1
is "$? $(head -n 1 "$out")" "0 3" "mkdir --distribute"
run bash -c 'umask 022; "$HARE" mkdir -p --distribute -m 750 x/y/z && stat -c %a x x/y x/y/z; cd x/y/z || exit
	touch a b; rm a b; cd ../../..; rmdir x/y/z x/y x; ls' >"$out" 2>&1
is "$(cat "$out")" "755
755
750" "mkdir -p -m"
run "$HARE" mkdir --distribute "$TAP_TMP/d" >"$out" 2>&1
is "$? $(wc -l <"$out")" "1 1" "mkdir --distribute of a directory of the host"
run bash -c 'mkdir d; "$HARE" mkdir --distribute d' >"$out" 2>&1
is "$? $(grep -c 'File exists' "$out")" "1 1" "mkdir of what is there"
"$HARE" mkdir --distribute "$TAP_TMP/d" >"$out" 2>&1
is "$? $(wc -l <"$out")" "1 1" "mkdir --distribute outside"

# so many servers that a long name alone fills what each may answer at first
"$HARE_TEST_LIMIT" 100 "$HARE" run --cores 62 --at "$HARE_AT" --chdir "$HARE_AT" --placement local -- bash -c '
	"$0" mkdir --distribute d; for i in $(seq 100 199); do >d/$i$(printf %0250d 1); done; ls d | wc -l
	' "$HARE" >"$out" 2>&1
is "$? $(cat "$out")" "0 100" "ls of long names of 62 servers"

# --- trace ---------------------------------------------------------------------------------------
run "$HARE" trace -- sh -c 'echo hello; exit 7' >"$out" 2>"$err"
is "$? $(cat "$out")" "7 hello" "trace: output and status are the program's"
grep -q '^RPC ' "$err" && grep -q '^CREATE\|^RESOLVE\|^OPEN' "$err" || [ -s "$err" ]
ok $? "trace: a summary on stderr"
run "$HARE" trace -- touch "$HARE_AT/f" 2>"$err"
is "$(awk '$1 == "CREATE" { print $2 + $4 }' "$err")" 1 "trace: one CREATE for a touch"
run "$HARE" trace --each -o "$TAP_TMP/trace" -- touch "$HARE_AT/f"
grep -q ' CREATE to core [0-9]* = 0 ' "$TAP_TMP/trace"
ok $? "trace --each -o: the record of it"
grep -q ' openat(0x[0-9a-f]*) = [0-9]*  hare ' "$TAP_TMP/trace"
ok $? "trace --each: the system call of it"
run bash -c '(sleep 0.3; touch g; sleep 0.3; kill -INT $PPID) & exec "$HARE" trace' >"$out" 2>&1
is $? 0 "trace until interrupted"
grep -q CREATE "$out"
ok $? "trace: prints what others do"

# --- from outside ----------------------------------------------------------------------------------
name=test-$$
# shellcheck disable=SC2086
timeout 20 "$HARE" boot --name $name $HARE_OPTS
if ok $? "boot --name"; then
	limited 20 "$HARE" exec --name $name -- sh -c "echo x >$HARE_AT/f; mkdir $HARE_AT/d"
	ok $? "exec --name"
	is "$("$HARE" stat --name $name | awk '/^files and directories/ { print $NF }')" 3 "stat --name"
	"$HARE" fsck --name $name >"$out"
	is "$? $(sed 's/.*: //' "$out")" "0 0 violations" "fsck --name"
	"$HARE" exec --name $name -- sleep 30 &
	sleep 0.5
	is "$("$HARE" ps --name $name | grep -c 'sleep 30$')" 1 "ps --name"
	"$HARE" trace --name $name -- touch "$HARE_AT/g" 2>"$err"
	is "$? $(awk '$1 == "CREATE" { print $2 + $4 }' "$err")" "0 1" "trace --name -- CMD"
	limited 20 "$HARE" halt --name $name
	ok $? "halt --name"
	wait
	"$HARE" ps --name $name 2>/dev/null
	is $? 125 "it is gone"
fi
done_testing
