# SPDX-License-Identifier: MIT
# find and what people do with it.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all find findutils
need_all python3 python3

TREE='
mkdir -p t/a/b/c t/d t/e; for i in 1 2 3 4 5; do echo "$i" >t/a/f$i.txt; echo "$i$i" >t/d/g$i.c; done
: >t/empty; chmod 755 t/a/f1.txt; chmod 4750 t/d/g1.c; ln -s a t/la; ln -s none t/ld
ln t/a/f2.txt t/e/hard; mkfifo t/pipe; truncate -s 100k t/big
touch -d @1000000000 t/a/f1.txt; touch -d @1200000000 t/a/f2.txt; touch -d @1100000000 ref
'

compare "tests" <<END
$TREE
s() { sort; echo --; }
find t | s; find t -type f | s; find t -type d | s; find t -type l | s; find t -type p | s
find t -name '*.txt' | s; find t -iname 'F*.TXT' | s; find t -path '*/a/*' | s
find t -regex '.*g[12]\.c' | s
find t -empty | s; find t -size +50k | s; find t -size 0 -type f | s
find t -newer ref -name 'f[12]*' | s
find t -perm 755 -type f | s; find t -perm -4000 | s; find t -perm /111 -type f | s
find t -links 2 -type f | s; find t -samefile t/a/f2.txt | s
find -L t -type f -name f1.txt | s
find t -maxdepth 1 | s; find t -mindepth 3 | s; find t -depth | tail -1
find t -xtype l | s
find t -not -name '*.c' -a -type f -o -name b | s; find t -prune | s
find t -name a -prune -o -print | s
find t -mtime +1000 | s; find t -mmin -60 -name '*.c' | s; find t -user \$(id -u) | wc -l
find t -nouser | s
find none; echo \$?; find t -inum \$(stat -c %i t/empty); find t -readable -name empty
find t -type f -printf '%p %m %n %s %y\n' | s; find t -printf '%d %f %h %l\n' | s
END

# A script's directory in Hare is the root; that it is in its parent's list leads libc beyond PATH_MAX.
compare "the root in the list of its parent" <<'END'
ls -a .. | grep -cxF "$(basename "$PWD")"
find .. -maxdepth 1 -samefile . | wc -l
python3 -c '
import os
for i in range(20):
    os.mkdir("d" * 250); os.chdir("d" * 250)
cwd = os.getcwd()
print(len(cwd) > 5000, cwd.count("/" + "d" * 250))
for i in range(20):
    os.chdir(".."); os.rmdir("d" * 250)
'
END

compare "actions" <<END
$TREE
find t -name '*.c' -exec cat {} \\; | sort; find t -name '*.txt' -exec cat {} + | sort
find t -name 'f?.txt' -execdir basename {} \\; | sort; find t -name 'g1.c' -ok rm {} \\; </dev/null
ls t/d
find t -type f -print0 | sort -z | xargs -0 wc -c | tail -1
find t -name '*.txt' -exec grep -l 3 {} +
find t -name f1.txt -exec false \\; -o -name f1.txt -print
find t -type f -exec sh -c 'echo \$# files' _ {} +
find t/a -name '*.txt' -exec cp {} t/e \\;; ls t/e; find t -type f -exec chmod 600 {} +
stat -c %a t/e/*
find t/d -name '*.c' -delete; ls t/d; find t -type d -empty | sort
find t -type d -empty -delete; find t | sort
find t -type f -exec mv {} {}.bak \\;; find t | sort; find t -quit
find t -name '*.bak' -fprint list; sort -o list list
find t -delete; ls -d t
END

compare "a deep and wide tree" <<'END'
for i in $(seq 1 40); do mkdir -p "w/$((i % 7))/$i/x/y"; for j in 1 2 3 4 5; do echo "$i $j" >"w/$((i % 7))/$i/x/y/$j"; done; done
find w | wc -l; find w -type f | wc -l; find w -type f -exec cat {} + | sort | md5sum
find w -name 3 -type f -delete; find w -type f | wc -l
find w -path '*/x/y/*' -newer w/1/1/x/y/1 | wc -l >/dev/null
p=d; for i in $(seq 1 60); do p=$p/level; done; mkdir -p "$p"; echo bottom >"$p/f"
find d -type f -exec cat {} \; ; find d -type d | wc -l; rm -rf d w; ls
END

done_testing
