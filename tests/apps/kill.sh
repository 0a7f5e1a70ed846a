# SPDX-License-Identifier: MIT
# kill.sh CHURN SEED ROUNDS: what kill.t runs inside; prints "ok what" and "not ok
# what". Starts programs that make files, pipes and children, and kills some of them
# with SIGKILL at moments that SEED decides; then looks whether the others, and the file
# system, are well.

churn=$1 seed=$2 rounds=$3
RANDOM=$seed
bad=0

say() # STATUS WHAT
{
	if [ "$1" = 0 ]; then
		echo "ok $2"
	else
		echo "not ok $2"
		bad=1
	fi
}

pause() # at most $1 ms
{
	sleep "0.$(printf %03d $((RANDOM % $1)))"
}

# Waits until a file is there, at most 15 s.
appears()
{
	local i

	for i in $(seq 300); do
		[ -s "$1" ] && return 0
		sleep 0.05
	done
	return 1
}

# Free blocks, and how many inodes and names fsck counts: the same before and after.
space()
{
	echo "$(stat -f -c %f .) $("$HARE" fsck 2>&1 | tail -n 1)"
}

# Kills workers that churn in one directory and starts others in their place.
churners()
{
	local pids=() keep i n status=0 victim

	mkdir churn
	for i in 0 1 2 3; do
		"$churn" churn $((seed * 100 + i)) 0 2>>errors &
		pids[i]=$!
	done
	"$churn" churn $((seed * 100 + 50)) 0 2>>errors &
	keep=$!
	for n in $(seq "$rounds"); do
		pause 60
		i=$((RANDOM % 4))
		victim=${pids[i]}
		kill -9 "$victim"
		wait "$victim" 2>/dev/null
		[ $? = 137 ] || status=1
		"$churn" churn $((seed * 100 + n * 4 + i)) 0 2>>errors &
		pids[i]=$!
	done
	say $status "seed $seed: each killed one has status 137"
	echo x >churn/stop
	status=0
	for i in "$keep" "${pids[@]}"; do
		wait "$i" || status=1
	done
	say $status "seed $seed: the others go on, and end well"
	[ -s errors ] && sed 's/^/# /' errors
	ls -la churn >/dev/null
	say $? "seed $seed: the directory can be listed"
	cat churn/f* >/dev/null 2>&1
	"$churn" churn 1 0
	say $? "seed $seed: and used"
	rm -rf churn
	say $? "seed $seed: and removed"
	[ ! -e churn ]
	say $? "seed $seed: all of it"
}

# A reader sees the end when the writer is killed; a writer SIGPIPE when the reader is.
pipes()
{
	local i w status=0

	for i in 1 2 3; do
		yes "data $i" > >(echo up >up$i; cat >/dev/null; echo "the end" >eof$i) &
		w=$!
		appears up$i || status=1
		pause 100
		kill -9 $w
		wait $w 2>/dev/null
		appears eof$i || status=1
	done
	say $status "seed $seed: a reader sees the end when its writer is killed"
	status=0
	for i in 1 2 3; do
		(yes; echo "$?" >sigpipe$i) 2>/dev/null > >(echo $BASHPID >reader$i; exec sleep 20) &
		appears reader$i || status=1
		pause 100
		kill -9 "$(cat reader$i)"
		appears sigpipe$i && [ "$(cat sigpipe$i)" = 141 ] || status=1
		wait $!
	done
	say $status "seed $seed: a writer gets SIGPIPE when its reader is killed"
	status=0
	for i in 1 2 3; do
		mkfifo fifo$i
		cat fifo$i >/dev/null &
		w=$!
		pause 50
		kill -9 $w
		wait $w 2>/dev/null
		(echo hello >fifo$i) &
		[ "$(timeout 10 cat fifo$i)" = hello ] || status=1
		wait $!
	done
	say $status "seed $seed: a FIFO is good after its reader was killed in open"
}

# A child lives on when its parent is killed, on whatever core it is.
orphans()
{
	local i p status=0

	for i in 1 2 3 4; do
		bash -c "(bash -c 'echo started >born$i; sleep 0.2; seq 1 1000 >child$i') & wait" &
		p=$!
		appears born$i || status=1
		kill -9 $p
		wait $p 2>/dev/null
		appears child$i && sleep 0.1
		[ "$(wc -l <child$i)" = 1000 ] || status=1
	done
	say $status "seed $seed: a killed parent's child goes on and finishes its file"
}

# A file held by a killed process is freed; one removed and shared is not, until the last.
held()
{
	local status=0 p

	seq 1 10000 >shared
	exec 7<shared
	rm shared
	bash -c 'read -r x <&7; echo "$x" >first; sleep 20' &
	p=$!
	appears first || status=1
	kill -9 $p
	wait $p 2>/dev/null
	[ "$(cat <&7 | tail -n 1)" = 10000 ] || status=1
	exec 7<&-
	say $status "seed $seed: an open file is whole after one of its holders was killed"
	status=0
	flock lock bash -c 'echo $$ >locked; exec sleep 20' &
	p=$!
	appears locked || status=1
	kill -9 "$(cat locked)" $p
	wait $p 2>/dev/null
	timeout 10 flock lock true || status=1
	say $status "seed $seed: a killed holder's lock is free"
}

before=$(space)
churners
pipes
orphans
held
# Names, then blocks: what the killed ones held comes back.
find . -mindepth 1 -delete
say $? "seed $seed: all can be removed"
for i in $(seq 30); do
	after=$(space)
	[ "$after" = "$before" ] && break
	sleep 0.1
done
[ "$after" = "$before" ]
status=$?
say $status "seed $seed: all blocks and inodes are free again"
[ $status = 0 ] || printf '# before: %s\n# after: %s\n' "$before" "$after"
"$HARE" fsck
say $? "seed $seed: hare fsck finds nothing"
"$HARE" stat >/dev/null
say $? "seed $seed: hare stat prints"
exit $bad
