# SPDX-License-Identifier: MIT
# bash: redirections, pipelines, here-documents, jobs, traps, subshells.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"

compare "redirections" <<'END'
echo one >a; echo two >>a; cat <a
echo err >&2 2>b; { echo out; echo err >&2; } >c 2>&1; cat c
{ echo o; echo e >&2; } 2>d 1>e; cat d e
echo swap 3>&1 >f 1>&3 3>&-
cat <<<"a here-string"
echo x >|a; set -o noclobber; echo y >a; echo "$?"; echo z >|a; set +o noclobber
exec 3<>rw; echo "read and write" >&3; exec 3>&-; cat rw
exec 4<rw; read -r w1 w2 rest <&4; echo "$w1/$w2/$rest"; exec 4<&-
: >empty; wc -c <empty
echo gone >nodir/x; echo "status $?"
cat <missing; echo "status $?"
echo both &>both; echo more &>>both; cat both
while read -r l; do echo "[$l]"; done <c
for i in 1 2 3; do echo $i; done >loop; cat loop
END

compare "/proc/self/fd lists all descriptors" <<'END'
ls -1 /proc/self/fd | wc -l
END

compare "exec redirections and descriptors that stay" <<'END'
exec 5>log 6<&0
echo "to the log" >&5
(echo "from a subshell" >&5)
bash -c 'echo "from another program" >&5'
sh -c 'echo "from sh" >&5' &
wait
exec 5>&-
echo lost >&5; echo "status $?"
cat log
exec >out 2>&1
echo "all output to a file"
ls nonexistent
bash -c 'echo child; exit 3'; echo $?
exec >&-
exec >out2; echo done
END

compare "pipelines" <<'END'
set -o pipefail
seq 1 1000 | sort -rn | head -n 3
seq 1 100000 | tee copy | wc -l; wc -l <copy
yes | head -n 5 | cat -n
echo abc | tr a-c x-z | sed s/x/1/ | cat | cat | cat | cat | rev
false | true; echo "$? ${PIPESTATUS[*]}"
true | false | true; echo "$? ${PIPESTATUS[*]}"
(exit 3) | (exit 4); echo "$? ${PIPESTATUS[*]}"
seq 10 | while read -r n; do echo $((n * n)); done | paste -sd+ | bc
cat copy | (read -r a; read -r b; echo "$a $b"; cat >rest); wc -l <rest
echo "a b c" | { read -r x y z; echo "$z$y$x"; }
{ echo 1; sleep 0.05; echo 2; } | cat
dd if=/dev/zero bs=1000 count=500 2>/dev/null | od -An -tx1 | sort | uniq -c | tr -s ' '
seq 20000 | gzip | gunzip | md5sum
END

compare "here-documents" <<'END'
name=world
cat <<EOF
hello $name $(echo sub) $((1 + 2))
EOF
cat <<'EOF' >quoted
no $name $(echo sub)
EOF
cat quoted
cat <<-EOF
	indented
	EOF
cat <<A; cat <<B
first
A
second
B
for i in $(seq 1 30000); do echo "line $i of a long here-document"; done >big
cat <<EOF | md5sum
$(cat big)
EOF
wc -c <<<"$(cat big)"
f() { cat; }
f <<EOF
to a function
EOF
END

compare "process substitution" <<'END'
seq 1 5 >a; seq 3 7 >b
diff <(sort a) <(sort b); echo "status $?"
comm -12 <(sort a) <(sort b)
paste <(cut -c1 a) <(cut -c1 b) <(seq 5)
tee >(sort -rn >down) >(wc -l >lines) <a >/dev/null
for i in $(seq 100); do [ -s down ] && [ -s lines ] && break; sleep 0.1; done
cat down lines
while read -r x; do s=$((s + x)); done < <(seq 100); echo "$s"
mapfile -t arr < <(seq 5); echo "${arr[*]}"
END

compare "background jobs and wait" <<'END'
(sleep 0.05; echo one >1) & a=$!
(exit 7) & b=$!
(exit 0) & c=$!
wait $b; echo "b $?"
wait $c; echo "c $?"
wait $a; echo "a $?"; cat 1
for i in $(seq 1 20); do (echo "$i" >"job$i"; exit "$i") & done
wait; echo "all $?"; cat job* | sort -n | paste -sd,
wait 999999 2>/dev/null; echo "$?"
sleep 10 & p=$!; kill $p; wait $p 2>/dev/null; echo "killed $?"
kill -0 $p 2>/dev/null; echo "gone $?"
for i in 1 2 3; do (exit $i) & done; wait -n; echo $(($? > 0)); wait
coproc CO { while read -r l; do echo "co:$l"; done; }
pid=$CO_PID
echo hello >&"${CO[1]}"; read -r l <&"${CO[0]}"; echo "$l"
exec {CO[1]}>&-; wait $pid; echo "co $?"
END

compare "traps" <<'END'
trap 'echo exit trap $?' EXIT
trap 'echo usr1' USR1
trap 'echo term; trap - TERM' TERM
trap '' HUP
kill -USR1 $$; kill -TERM $$; kill -HUP $$
(trap 'echo subshell exit' EXIT; exit 3); echo $?
bash -c 'trap "echo child exit" EXIT; kill -INT $$; echo not reached' 2>/dev/null; echo $?
bash -c 'trap "echo caught; exit 9" TERM; kill $$; sleep 5'; echo $?
bash -c 'kill -HUP $$; echo HUP was ignored over exec'
trap 'echo debug >>dbg' DEBUG; :; :; trap - DEBUG; wc -l <dbg
trap 'echo err $?' ERR; false; trap - ERR
f() { trap 'echo return' RETURN; }; f; trap - RETURN
sleep 10 & p=$!
trap 'kill $p; echo woken' USR2
(sleep 0.1; kill -USR2 $$) &
wait $p; echo "interrupted $(($? > 128))"
wait $p 2>/dev/null
wait
END

compare -E "job control" <<'END'
set -m
sleep 10 & p=$!
[ "$(ps -o pgid= -p $p | tr -d ' ')" = $p ] && echo "its own group"
kill -STOP %1
for i in $(seq 100); do [ "$(ps -o stat= -p $p | cut -c1)" = T ] && break; sleep 0.05; done
ps -o stat= -p $p | cut -c1
jobs -s | wc -l
bg %1 >/dev/null
for i in $(seq 100); do [ "$(ps -o stat= -p $p | cut -c1)" = S ] && break; sleep 0.05; done
ps -o stat= -p $p | cut -c1
kill %1; wait $p; echo $?
(sleep 0.05; exit 5) & fg %% >/dev/null; echo "fg $?"
bash -c 'kill -STOP $$; echo resumed; exit 6' & j=$!
for i in $(seq 100); do jobs -s | grep -q . && break; sleep 0.05; done
fg %% >/dev/null; echo $?
# A signal is lost when it comes between bash's fork and its exec: bash's own handler has it.
both() { for i in $(seq 100); do [ "$(ps -o comm= --ppid $$ | grep -c '^sleep')" = 2 ] && break; sleep 0.05; done; }
sleep 20 | sleep 20 & both; kill %%; wait; echo waited
sleep 20 | sleep 20 & both; kill -TERM -- -$(jobs -p %%); wait $!; echo $?
END

compare "subshells, functions, command substitution" <<'END'
x=1; (x=2; cd /; echo "in $x"); echo "out $x $(basename "$(pwd)" | wc -l)"
echo "$(echo "$(echo "$(echo deep)")")"
a=$(exit 4); echo $?
f() { local v=$1; [ "$v" -gt 0 ] && { echo "$v"; f $((v - 1)); }; }; f 5
r=$(for i in 1 2 3; do echo $i; done); echo "$r"
big=$(seq 1 50000); echo "${#big}"
out=$(bash -c 'echo o; echo e >&2; exit 6' 2>err); echo "$out $? $(cat err)"
echo `echo back``echo ticks`
(umask 077; touch private); stat -c %a private; umask
(ulimit -n 50; ulimit -n)
mkdir d; (cd d && touch f && pwd | sed 's/.*\///'); ls d
set -- a "b c" d; for i; do echo "<$i>"; done; (shift; echo $#); echo $#
bash -c 'bash -c "bash -c \"exit 42\""'; echo $?
( ( ( exit 2 ) ) ); echo $?
eval 'echo eval; false'; echo $?
exec 9>&1; v=$(echo captured; echo direct >&9); echo "$v"
echo $BASH_SUBSHELL $(echo $BASH_SUBSHELL)
[ $$ = "$(bash -c 'echo $PPID')" ] && echo "parent is right"
END

compare "globs, tests, read, printf, source" <<'END'
touch a1 a2 b1 .hidden 'sp ace'; mkdir -p d/e; touch d/e/f; ln -s a1 link; ln -s none dang
echo *; echo .h*; echo [ab]1; echo ?1; echo */; echo **/f; shopt -s globstar; echo **/f
shopt -s nullglob; echo none*; shopt -u nullglob; echo none*
shopt -s extglob
echo !(a*|b*)
for t in -e -f -d -L -s -r -w -x; do
	for n in a1 d link dang missing; do [ $t $n ] && printf '%s %s;' $t $n; done
done; echo
echo x >a1; sleep 0.02; echo y >a2; [ a2 -nt a1 ] && echo newer
[ a1 -ot a2 ] && echo older
ln a1 hard; [ a1 -ef hard ] && echo same; [ a1 -ef a2 ] || echo different
printf '%s\n' 'v=5' 'g() { echo "v is $v"; }' >lib.sh; . ./lib.sh; g
printf '#!/bin/bash\necho "script $0 $*"\nexit 3\n' >s.sh; chmod +x s.sh; ./s.sh 1 '2 3'
echo $?
PATH=$PWD:$PATH s.sh
printf 'a:b:c\nd:e:f\n' | while IFS=: read -r x y z; do echo "$z$y$x"; done
IFS= read -r -d '' nul < <(printf 'a\nb\0c'); echo "$nul"
read -r -t 0.05 v < <(sleep 1); echo "timeout $(($? > 128))"
printf '%05d|%-5s|%x|%q\n' 42 ab 255 'a b'
cp /bin/echo myecho; ./myecho "a program stored here"; type ./myecho
v=x; echo ${v^} ${v:-d} ${none:-d}
END

compare -t 120 "a script that makes and removes a thousand files" <<'END'
for i in $(seq 1 1000); do echo "$i" >"f$i"; done
ls | wc -l
cat f* | sort -n | md5sum
for i in $(seq 1 2 200); do rm "f$i"; done
ls -1 | wc -l
for f in f1*; do mv "$f" "g$f"; done
ls -1 gf* | sort -V | tail -n 2
rm gf*
END

done_testing
