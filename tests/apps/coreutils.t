# SPDX-License-Identifier: MIT
# The GNU core utilities on files here.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"

compare "mkdir, rmdir, install, mktemp" <<'END'
mkdir -p a/b/c/d; mkdir -m 700 priv; mkdir a; echo $?
mkdir -v x y; rmdir -v x; rmdir a; echo $?
rmdir -p a/b/c/d; ls
install -d -m 750 inst/bin; echo text >src; install -m 640 src inst/bin/dst
stat -c '%a %s %n' inst/bin/*
install -D src deep/er/file; cat deep/er/file
t=$(mktemp -d ./tmp.XXXXXX); [ -d "$t" ] && stat -c %a "$t"; rmdir "$t"
t=$(mktemp ./f.XXXXXX); stat -c '%a %s' "$t"; rm "$t"
t=$(mktemp); case $t in "$TMPDIR"/*) echo "in TMPDIR" ;; esac; rm "$t"
umask 077; mkdir u; touch v; stat -c '%a %n' u v
END

compare "cp and mv" <<'END'
mkdir -p src/sub; echo one >src/f; echo two >src/sub/g; ln src/f src/hard
ln -s f src/soft
ln -s /etc/hostname src/abs; mkfifo src/pipe; touch -d '2001-02-03 04:05:06.789' src/f
chmod 640 src/f; chmod 1777 src/sub
cp -a src dst; diff -r --no-dereference src dst && echo "cp -a is the same"
stat -c '%a %h %Y %n' dst/f dst/hard; readlink dst/soft dst/abs
cp -r src/sub r; cp src/f f2; cp -p src/f f3; stat -c '%a %Y' f3
cp -l src/f l; stat -c %h src/f; cp -s "$PWD/src/f" s; cat s
cp src/f src/sub/g r; ls r; cp none x; echo $?; cp src x; echo $?
cp --sparse=always src/f sp; cp --reflink=auto src/f rl; cmp src/f rl
cp -u src/f f2; cp -n src/sub/g f2; cat f2; cp -b src/sub/g f2; ls f2*
cp -T src/sub tt; ls tt; cp -t r src/f; cp --parents src/sub/g r; find r | sort
cp f2 f2; echo $?
mv f2 moved; mv moved r/; mv r rr; mv rr dst/; ls dst; mv -n src/f l; ls src/f
mv src/f l; cat l; mv none x; echo $?; mv dst dst/sub; echo $?
mv -b l src/sub/g; ls src/sub; mkdir full; touch full/x; mkdir other; mkdir other/full
touch other/full/y; mv full other; echo $?; mv -T other/full empty; ls empty
echo outside >/tmp/hare-cp-$$; mv /tmp/hare-cp-$$ from-outside; cat from-outside
mv from-outside /tmp/hare-cp-$$; cat /tmp/hare-cp-$$; rm /tmp/hare-cp-$$
rm dst/pipe; mkdir tree; cp -r /usr/share/misc tree 2>/dev/null
cp -a dst /tmp/hare-cpd-$$
diff -r --no-dereference dst /tmp/hare-cpd-$$ && echo same; rm -rf /tmp/hare-cpd-$$
END

compare "ln, readlink, realpath" <<'END'
echo t >t; mkdir d; ln t h; ln -s t s; ln -sr d/../t d/rel; ln -s ../t d/up; ln -s d dl
stat -c '%h %n' t h; readlink s d/rel d/up; cat d/rel d/up
readlink -f d/up | sed "s|$PWD|.|"; readlink -e none; echo $?
readlink -m none/x | sed "s|$PWD|.|"
realpath --relative-to=. dl/../t d/up; realpath -s dl/up | sed "s|$PWD|.|"
ln t h; echo $?; ln -f t h; ln -sf other s; readlink s; ln -sfn t dl; readlink dl
ln d dd; echo $?; ln -s loop loop; cat loop; echo $?; readlink -f loop; echo $?
ln -L s ls 2>&1 | sed 's/.*: //'; ln -P s ps; readlink ps; link t k; unlink k; ls
basename "$(realpath .)" >/dev/null; dirname a/b/c; (cd d && realpath --relative-to=.. .)
END

compare "ls and stat" <<'END'
mkdir d; echo 12345 >f; ln -s f l; mkfifo p; touch -d @1000000000 f
touch -d @1100000000 d
chmod 4755 f; touch .h 'n
l' 'q"x'
ls; ls -a; ls -A; ls -1; ls -F; ls -r; ls -d .*; ls -p; ls -Q; ls -b; ls -q
ls -ln --time-style=+%s f d | awk '{print $1, $2, $5, $6, $7}' | sed 's/ [0-9]* / /2'
ls -lnL --time-style=+ l | awk '{print $1, $2, $5}'; ls -R; ls -t f d; ls -S f l | head -1
ls -U | sort; ls none; echo $?; ls -l p | cut -c1-10; ls -i f | grep -c '[0-9] f'
[ "$(ls -i f | cut -d' ' -f1)" = "$(stat -c %i f)" ] && echo "inode numbers agree"
stat -c '%A %a %F %h %s %u %g %n' f l p; stat -c %Y f d; stat -L -c '%F %s' l
stat -c '%N' l
stat -c '%W %X' f | awk '{print NF}'; stat none; echo $?; stat -c '%F %h' d .
stat -f -c '%l' .; touch -c none; ls none 2>/dev/null; echo $?
END

compare "touch, chmod, truncate" <<'END'
touch -d '2020-01-02 03:04:05.123456789' a; stat -c '%x|%y' a
touch -a -d @5 a; stat -c '%X %Y' a; touch -m -d @6 a; stat -c '%X %Y' a
touch -r a b; stat -c '%X %Y' b; touch -h -d @7 b; ln -s a l; touch -h -d @8 l
stat -c %Y l a
touch -t 200102030405.06 c; stat -c %Y c
chmod 0 a; stat -c %a a; chmod u=rw,g=r,o= a; stat -c %a a; chmod +x a; chmod g+s a
stat -c %a a
chmod --reference=b a; stat -c %a a; mkdir -p d/e; touch d/e/f; chmod -R go-rwx d
stat -c '%a %n' d d/e d/e/f
chmod a=,u+rwX d/e/f; stat -c %a d/e/f; chmod 644 none; echo $?; chmod l 2>&1 | head -1
truncate -s 10 t; truncate -s +5 t; stat -c %s t; truncate -s %8 t; stat -c %s t
truncate -s '<4' t
stat -c %s t; truncate -s 1M big; stat -c '%s' big; du -k --apparent-size big | cut -f1
truncate -r t big; stat -c %s big; fallocate -l 20000 fa; stat -c %s fa
END

compare "cat, head, tail, tac, nl, split, csplit" <<'END'
seq 1 1000 >n
head -n 3 n; head -c 5 n; head -n -997 n; tail -n 3 n; tail -c 7 n; tail -n +998 n
head -q -n1 n n; tac n | head -2; nl -ba n | tail -1; cat -A <<<"tab	x"
cat n - n <<<mid | wc -l
split -l 300 n part.; wc -l part.*; cat part.* | cmp - n && echo joined
split -b 1000 -d n num.; ls num.*; split -n 3 n third.; wc -c third.*
split -l 100 --filter='gzip >$FILE.gz' n z.; zcat z.*.gz | cmp - n && echo filtered
csplit -s n /^250$/ /^500$/; wc -l xx*; fold -w 10 <<<"a long line of text here"
fmt -w 20 <<<"a b c d e f g h i j k l m n"
: >grow; (for i in 1 2 3; do echo "$i"; sleep 0.03; done >>grow) & tail -f --pid=$! -n +1 grow 2>/dev/null | head -3
wait
expand -t4 <<<"a	b"; pr -t -2 -l 3 <<<"$(seq 6)"; head -n 1 none; echo $?
END

compare "sort, uniq, cut, tr, join, comm, paste" <<'END'
printf '%s\n' banana apple cherry apple 10 9 100 >w
sort w; sort -u w; sort -n w; sort -r w; sort -o w w; cat w; sort -c w; echo $?
sort -t: -k3n /etc/passwd | head -2; uniq -c w; uniq -d w; uniq -u w
seq 1 50000 | shuf --random-source=<(yes 12345) >sh; sort -n sh | md5sum; mkdir st
sort -S 100k -T st -n sh | md5sum; sort --parallel=3 -S 200k -T st sh | md5sum; ls st
cut -d: -f1,3 /etc/passwd | head -2; cut -c2-3 w; tr a-z A-Z <w; tr -d a <w; tr -s p <w
tr -c 'a-z\n' _ <w
printf '1 a\n2 b\n' >j1; printf '1 x\n3 y\n' >j2; join j1 j2
join -a1 -e- -o 0,1.2,2.2 j1 j2
comm j1 j2; paste j1 j2; paste -sd, w; tsort <<<"a b b c"
shuf -n 3 -i 1-100 --random-source=/bin/true
sort -m <(seq 1 2 9) <(seq 2 2 10) | paste -sd' '; sort --files0-from=<(printf 'j1\0j2\0')
END

compare "checksums, od, cmp, wc, dd" <<'END'
head -c 300000 /dev/zero | tr '\0' 'x' >x; seq 1 20000 >n
md5sum x n >md5; sha256sum x n >sha; sha1sum n; cksum n; sum n; b2sum n
md5sum -c md5; sha256sum -c sha; echo bad >>n; sha256sum -c sha; echo $?
od -An -tx1 -N 16 n; od -c -j 5 -N 8 n; od -A d -t d4 -N 8 n
base64 <md5 | base64 -d | cmp - md5 && echo b64
cmp x n; echo $?; wc x; wc -L n; wc -c x n
dd if=n of=d bs=512 count=10 2>&1 | head -2
dd if=n of=d bs=100 skip=3 seek=5 count=2 conv=notrunc 2>/dev/null; md5sum d
dd if=n bs=64k 2>/dev/null | md5sum
dd if=/dev/zero of=sp bs=1 seek=1M count=0 2>/dev/null; stat -c %s sp
dd if=n of=up conv=ucase,fsync 2>/dev/null
dd if=x of=ap oflag=append conv=notrunc bs=1000 count=3 2>/dev/null; stat -c %s ap
dd if=n of=dir ibs=7 obs=4096 2>/dev/null; cmp n dir && echo same
dd if=none of=q 2>&1 | tail -1
END

compare "rm, shred, du, df, tee" <<'END'
mkdir -p a/b/c; touch a/1 a/b/2 a/b/c/3; chmod 400 a/1; ln -s a l; rm l; ls
rm a; echo $?; rm -d a; echo $?; rm -v a/b/c/3; rm -rf a; ls; rm none; echo $?; rm -f none
echo $?
mkdir big
for i in $(seq 1 300); do mkdir -p "big/$((i % 10))/$i"; echo $i >"big/$((i % 10))/$i/f"; done
du -s --inodes big; find big | wc -l; rm -r big; ls -d big; touch -- -dash; rm -- -dash
rm ./*
head -c 5000 /dev/urandom >r; du --apparent-size -b r; shred -u r; ls r
echo text | tee t1 t2 | cat; echo more | tee -a t1; cat t1 t2; df . >/dev/null && echo df
df --output=target . | wc -l; sync; sync t1; echo $?; echo 'a
b' | tee t3 | sort -r; rm -i t1 </dev/null; ls t1; yes | rm -i t1 t2 2>/dev/null; ls
END

compare "env, nohup, timeout, nice, xargs, chroot's kin" <<'END'
env -i A=1 B='2 3' env | sort; env -u HOME bash -c 'echo ${HOME-unset}'; env -C / pwd
env false; echo $?
env none; echo $?; env .; echo $?
nohup bash -c 'echo out; echo err >&2' >nh 2>&1; cat nh
timeout 0.1 sleep 5; echo $?; timeout 5 true; echo $?
bash -c "timeout -s KILL 0.1 sleep 5; echo \$?" 2>/dev/null
timeout 5 bash -c 'exit 7'; echo $?; timeout --preserve-status 0.1 sleep 5; echo $?
timeout 5 none; echo $?
nice -n 5 nice; nice -n 5 bash -c 'nice -n 3 nice'
seq 1 20 | xargs -n 3 echo; seq 1 40 | xargs -P 4 -I{} sh -c 'echo {} >x{}'
cat x* | sort -n | md5sum
printf 'a b\0c\nd\0' | xargs -0 -n1 printf '<%s>'; echo; echo 1 2 3 | xargs -n1 false
echo $?
seq 3 | xargs -n1 sh -c 'exit 255' 2>/dev/null; echo $?; xargs -a <(seq 3) echo
seq 3 | xargs -t -n2 2>&1 | sort
stdbuf -oL echo line; setsid -w bash -c 'exit 4'; echo $?; test -x x1; echo $?; expr 3 + 4
printenv TZ
id -u | grep -c .; sleep 0.01; uname -s; nproc >/dev/null && echo nproc; date -d @0 +%F
date -r nh +%Y | grep -c .
flock lk -c 'echo locked'; flock -n lk bash -c 'flock -n lk -c true; echo $?'; ls lk
mkfifo p; cat p & echo fifo >p; wait; tty </dev/null; whoami >/dev/null && echo who
END

done_testing
