# SPDX-License-Identifier: MIT
# hare run itself: exit statuses, standard streams, import and export, signals, mistakes.
. "$(dirname "$0")/../lib/tap.sh"

run() { hare_run --chdir "$HARE_AT" -- "$@"; }

for code in 0 1 42 255; do
	run sh -c "exit $code"
	is $? $code "exit status $code"
done
run bash -c 'kill -TERM $$' 2>/dev/null
is $? 143 "killed by SIGTERM"
run bash -c 'kill -9 $$' 2>/dev/null
is $? 137 "killed by SIGKILL"
is "$(echo input | run cat)" input "standard input and output"
is "$(run sh -c 'echo out; echo err >&2' 2>&1 >/dev/null)" err "standard error"
head -c 1000000 /dev/urandom >"$TAP_TMP/bytes"
is "$(run md5sum <"$TAP_TMP/bytes")" "$(md5sum <"$TAP_TMP/bytes")" "a megabyte of input"
is "$(run cat "$TAP_TMP/bytes" | md5sum)" "$(md5sum <"$TAP_TMP/bytes")" "and of output"
is "$(run printf '<%s>' 'a b' '' '*' "it's")" "<a b><><*><it's>" "arguments"
is "$(V='x y' run sh -c 'echo "$V"')" "x y" "environment"
is "$(run pwd)" "$HARE_AT" "--chdir"
is "$(run ls -A)" "" "the root is empty"
is "$(run stat -c %a .)" 1777 "and of mode 1777"
is "$(run sh -c 'echo $(ls -d /usr /etc /proc /dev /tmp)')" "/dev /etc /proc /tmp /usr" \
	"what is outside is visible"
run sh -c "echo from inside >$TAP_TMP/outside"
is "$(cat "$TAP_TMP/outside")" "from inside" "and writable"

# What --import brought in and --export took out is looked at from outside.
mkdir -p "$TAP_TMP/tree/sub"
(cd "$TAP_TMP/tree" && seq 1 3000 >f && echo g >sub/g && ln f sub/hard && ln -s sub/g soft &&
	: >empty && truncate -s 300k sub/sparse && chmod 640 f && chmod 1750 sub &&
	touch -d @1000000000 f && touch -h -d @1100000000 soft && touch -d @1200000000 sub)
look() { (cd "$1" && find . -mindepth 1 -printf '%p %y %m %n %s %l %T@\n' |
	sed 's/\( d [0-9]* [0-9]*\) [0-9]*/\1/' | sort && find . -type f -exec md5sum {} + | sort); }
out=$(hare_run --import "$TAP_TMP/tree" --export ".:$TAP_TMP/back" -- sh -c 'pwd; cat soft')
is "$out" "$HARE_AT
g" "--import: the program starts there and sees it"
is "$(look "$TAP_TMP/back")" "$(look "$TAP_TMP/tree")" "--export gives back the same"
hare_run --chdir "$HARE_AT" --import "$TAP_TMP/tree:in/here" --export "made:$TAP_TMP/made" -- \
	sh -c 'cat in/here/soft >/dev/null; cp -a in/here made; rm -r in'
is $? 0 "--import SRC:DST, --export SRC:DST"
is "$(look "$TAP_TMP/made")" "$(look "$TAP_TMP/tree")" "a copy made inside is the same"
is "$(hare_run --import "$TAP_TMP/tree/f:f" --chdir "$HARE_AT" -- wc -l f)" "3000 f" \
	"--import of one file"

# Two at a time are two worlds.
hare_run --chdir "$HARE_AT" -- sh -c "echo 1 >f; touch $TAP_TMP/ready1
	for i in \$(seq 100); do [ -e $TAP_TMP/ready2 ] && break; sleep 0.05; done; cat f" \
	>"$TAP_TMP/one" &
hare_run --chdir "$HARE_AT" -- sh -c "for i in \$(seq 100); do [ -e $TAP_TMP/ready1 ] && break
	sleep 0.05; done; ls; echo 2 >f; touch $TAP_TMP/ready2; cat f" >"$TAP_TMP/two"
wait
is "$(cat "$TAP_TMP/one") $(cat "$TAP_TMP/two")" "1 2" "two instances share nothing"

if [ "${HARE##*/}" = standin ]; then
	done_testing
fi

run /none/such 2>"$TAP_TMP/err"
is $? 127 "a program that does not exist"
is "$(wc -l <"$TAP_TMP/err")" 1 "is one line of message"
run /etc/passwd 2>/dev/null
is $? 126 "one that cannot be run"
for bad in "--cores 0" "--cores x" "--cores -1" "--no-such" "--memory-model none" "--cores" \
	"--islands 0"; do
	# shellcheck disable=SC2086
	limited 20 "$HARE" run $bad -- true >"$TAP_TMP/out" 2>"$TAP_TMP/err"
	is $? 2 "'$bad' is status 2"
	is "$(wc -l <"$TAP_TMP/err")" 1 "'$bad' is one line of message"
	is "$(wc -c <"$TAP_TMP/out")" 0 "'$bad' says nothing on standard output"
done
limited 20 "$HARE" run >/dev/null 2>&1
is $? 2 "no command is status 2"
limited 20 "$HARE" run --import /none/such -- true >/dev/null 2>"$TAP_TMP/err"
is $? 125 "an import that fails"
is "$(wc -l <"$TAP_TMP/err")" 1 "an import that fails is one line of message"

# A signal to hare run reaches the program.
"$HARE" run --cores 2 --chdir "$HARE_AT" -- bash -c "
	trap 'echo got it >$TAP_TMP/sig; exit 9' TERM
	touch $TAP_TMP/up; for i in \$(seq 200); do sleep 0.05; done" &
pid=$!
(sleep 30; kill -9 "$pid") 2>/dev/null &
guard=$!
for i in $(seq 100); do
	[ -e "$TAP_TMP/up" ] && break
	sleep 0.05
done
kill -TERM "$pid"
wait "$pid"
is $? 9 "SIGTERM reaches the program, whose status is passed on"
is "$(cat "$TAP_TMP/sig")" "got it" "its handler ran"
pkill -P "$guard"
kill "$guard" 2>/dev/null

done_testing
