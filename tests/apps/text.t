# SPDX-License-Identifier: MIT
# Archives and text tools: tar, gzip, sed -i, awk, grep -r, diff -r, patch, sort -T, ed's kin.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"

TREE='
mkdir -p t/a/b t/c; for i in $(seq 1 30); do seq 1 $i >t/a/f$i; done; echo deep >t/a/b/deep
ln t/a/f1 t/c/hard; ln -s ../a/f2 t/c/soft; ln -s nowhere t/c/dang; mkfifo t/c/pipe; : >t/empty
truncate -s 1M t/sparse; echo end >>t/sparse; chmod 750 t/a/b; chmod 400 t/a/f3; mkdir -m 1777 t/tmp
find t -exec touch -h -d @1000000000 {} +
'

compare "tar" <<END
$TREE
tar cf a.tar --sort=name t; tar tf a.tar | sort | md5sum; mkdir x; tar xpf a.tar -C x
diff -r --no-dereference t x/t && echo same
(cd t && find . -printf '%p %y %m %n %l %T@\n' | sort) >l1
(cd x/t && find . -printf '%p %y %m %n %l %T@\n' | sort) >l2
diff l1 l2 && echo "the same names, modes, links, times"
tar czf a.tgz t; tar tzf a.tgz | wc -l; mkdir y; tar xzf a.tgz -C y --strip-components=1
diff -r --no-dereference t y && echo same
tar cf - t | (mkdir z; cd z; tar xf -); diff -r --no-dereference t z/t && echo piped
tar cSf s.tar t/sparse; [ \$(stat -c %s s.tar) -lt 100000 ] && echo sparse
tar xOf a.tar t/a/b/deep
touch -d @5 l1; tar rf a.tar l1; tar --delete -f a.tar t/empty; tar tf a.tar | grep -c -e l1 -e empty
tar df a.tar t/a | head; echo \$?
tar uf a.tar l1; tar cf e.tar --sort=name --exclude='f*' t; tar tf e.tar | sort; tar xf none; echo \$?
tar c t | tar t | wc -l; tar xf a.tar -C x --overwrite
tar --sort=name --mtime=@0 --owner=0 --group=0 -cf r.tar t/a; sha256sum r.tar
rm -f a.tgz
END

need gzip gzip "gzip" && compare -x '.*[zo2]' "gzip, bzip2, xz" <<'END'
seq 1 30000 >n; cp n m; gzip -k n; gzip -l n.gz | awk 'NR==2{print $2}'
zcat n.gz | cmp - m && echo same; gzip -t n.gz; echo $?
gzip -f m; gunzip m.gz; cmp n m && echo back; zgrep -c 77 n.gz
gzip -9 <n | gunzip | md5sum; gunzip none; echo $?
touch -d @1000000000 m; gzip m; stat -c %Y m.gz; gunzip m.gz; stat -c %Y m
for c in bzip2 xz; do command -v $c >/dev/null || continue; $c -k n; $c -dc n.??* 2>/dev/null | head -c 5 | wc -c; rm -f n.bz2 n.xz; done
END

compare "sed" <<'END'
seq 1 20 >n; cp n m; ln m hard; sed -i s/1/one/ n; cat n | head -3; sed -i.bak 5d n; ls
wc -l n n.bak
sed -i 's/2/two/' m; stat -c '%h %n' m hard; chmod 640 n; sed -i 1d n; stat -c %a n
sed -n '2,4p;$=' n; sed '1~3d' n; sed -e '/one/{s//ONE/;n;d' -e '}' n
sed 's/.*/echo &/e' <<<hi; sed -s -i '1i top' n m; head -2 n m
sed -n 'w out' n; cmp n out && echo w; sed '3r m' n | wc -l; sed -i s/x/y/ none; echo $?
sed --follow-symlinks -i s/top/TOP/ n; head -1 n
ln -s n l; sed -i s/TOP/link/ l; [ -L l ] || echo "-i replaces a symlink"
for i in $(seq 1 30); do echo $i >f$i; done; sed -i s/^/x/ f*; cat f* | sort | md5sum
END

compare "awk" <<'END'
seq 1 1000 | awk '{s += $1} END {print s}'; awk -F: '{print $1}' /etc/passwd | head -2
seq 1 100 | awk '{print > "mod" $1 % 3}'; wc -l mod*
seq 1 10 | awk '{print | "sort -rn"}'
awk 'BEGIN {while ((getline l < "mod0") > 0) n++; print n; close("mod0"); "echo cmd" | getline c; print c}'
awk 'BEGIN {print "app" >> "log"; print "app2" >> "log"; close("log"); system("cat log; exit 3")}'
awk 'BEGIN {printf "%d %s %.2f\n", 3, "x", 2.5; exit 4}'; echo $?
awk '{a[$1 % 5]++} END {for (k in a) print k, a[k]}' <(seq 50) | sort
awk 'NR==FNR {a[$1]; next} $1 in a' mod0 mod1 | wc -l; awk 'END {print NR}' mod*
awk 1 none; echo $?
END

compare "grep, diff, patch, cmp" <<END
$TREE
rm t/c/pipe
grep -r deep t; grep -rl 17 t | sort; grep -rc 3 t/a | sort | head -3
grep -rn --include='f1*' '^11\$' t | sort; grep -q none -r t; echo \$?
grep -R end t --binary-files=text -l | sort; grep -rL 1 t | sort; grep -h 30 -r t/a
grep -m1 1 t/a/f30; grep x none; echo \$?; grep -z -o d.ep t/a/b/deep | tr '\\0' '\\n'
cp -a t u; diff -r --no-dereference t u; echo \$?; echo more >>u/a/f5; rm u/a/f6
echo new >u/new; chmod 600 u/a/f7
diff -r --no-dereference t u; echo \$?; diff -rq --no-dereference t u
diff -ruN --no-dereference t u | sed 's/\\t.*//' >p; cat p
command -v patch >/dev/null && { patch -p1 -d t -s <p; diff -r --no-dereference t u && echo patched; patch -p1 -R -d t -s <p; ls t/new t/a/f6; }
diff -y <(seq 3) <(seq 2 4); diff3 t/a/f1 t/a/f2 t/a/f3; sdiff -s t/a/f1 t/a/f2
cmp t/a/f1 t/a/f2
END

compare -t 120 "sort of more than fits its buffer" <<'END'
mkdir s
seq 1 200000 | awk '{print ($1 * 7919) % 200003, "some text to make the line longer", $1}' >big
sort -S 1M -T s -n big | md5sum; sort -S 1M -T s -k8 big | md5sum
sort -S 1M -T s --compress-program=gzip big | md5sum; ls s
wc big; sort -S 1M -T s -u -o big big; wc -l big; sort -C big; echo $?; md5sum big; rm big
END

done_testing
