# SPDX-License-Identifier: MIT
# Compilers and make: a generated C project, libraries, programs that then run from here.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all gcc gcc
need_all make make

# A project of N modules with a header each, a library of the even ones, and a program.
PROJECT='
mk() {
	mkdir -p src include
	for i in $(seq 1 $1); do
		echo "#pragma once
int f$i(int x);" >include/m$i.h
		printf "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n" >src/m$i.c
		for j in $(seq 1 $i); do [ $((i % j)) = 0 ] && echo "#include \"m$j.h\"" >>src/m$i.c; done
		echo "int f$i(int x) { char b[32]; snprintf(b, sizeof b, \"%d\", x * $i); return atoi(b) + (int)strlen(b); }" >>src/m$i.c
	done
	{ echo "#include <stdio.h>"; for i in $(seq 1 $1); do echo "#include \"m$i.h\""; done
	echo "int main(void) { int s = 0;"; for i in $(seq 1 $1); do echo "s += f$i($i);"; done; echo "printf(\"sum %d\\n\", s); return s % 100; }"; } >src/main.c
}
'
compare -t 120 "make -j4 of 24 modules, a static library, dependencies" <<END
$PROJECT
mk 24
cat >Makefile <<'MK'
CFLAGS = -O1 -Iinclude -MMD -MP
SRC := \$(sort \$(wildcard src/m*.c))
OBJ := \$(SRC:src/%.c=obj/%.o)
LIB := \$(filter-out obj/main.o,\$(OBJ))
prog: obj/main.o libm.a
	\$(CC) -o \$@ obj/main.o -L. -l:libm.a
libm.a: \$(LIB)
	rm -f \$@; ar rcsD \$@ \$^
obj/%.o: src/%.c | obj
	\$(CC) \$(CFLAGS) -c -o \$@ \$<
obj:
	mkdir -p obj
clean:
	rm -rf obj prog libm.a
-include \$(OBJ:.o=.d)
MK
make -s -j4; echo \$?; ./prog; echo \$?; ls obj | wc -l; ar t libm.a | wc -l; make
make -q; echo \$?
sleep 0.05; touch include/m12.h; make -n | wc -l; make -s -j3; ./prog; echo \$?
cp prog elsewhere; (cd /; \$OLDPWD/elsewhere); echo \$?; make -s clean; ls; make -s -j4
./prog
sed -i 's/return/rettturn/' src/m5.c; make -s -j4 -k 2>/dev/null; echo \$?
sed -i 's/rettturn/return/' src/m5.c; make -s -j4; ./prog; nm prog | grep -c ' T f'
size prog | wc -l; strip prog; ./prog
END

compare "shared library, rpath, dlopen, static program" <<'END'
mkdir lib; echo 'int answer(void) { return 42; }' >a.c
gcc -shared -fPIC -Wl,-soname,liba.so.1 -o lib/liba.so.1.0 a.c
ln -s liba.so.1.0 lib/liba.so.1; ln -s liba.so.1 lib/liba.so
printf '#include <stdio.h>\nint answer(void);\nint main(void) { printf("%%d\\n", answer()); return 0; }\n' >m.c
gcc m.c -Llib -la -o dyn -Wl,-rpath,'$ORIGIN/lib'; ./dyn; gcc m.c -Llib -la -o dyn2
LD_LIBRARY_PATH=lib ./dyn2; ./dyn2 2>/dev/null; echo $?; LD_LIBRARY_PATH=$PWD/lib ./dyn2
printf '#include <dlfcn.h>\n#include <stdio.h>\nint main(int c, char **v) { void *h = dlopen(v[1], RTLD_NOW); int (*f)(void); if (!h) { puts("no"); return 1; } f = (int (*)(void))dlsym(h, "answer"); printf("%%d\\n", f()); return dlclose(h); }\n' >dl.c
gcc dl.c -o dl -ldl; ./dl lib/liba.so; ./dl ./lib/liba.so.1; ./dl none
echo 'int answer(void) { return 43; }' >a2.c; gcc -shared -fPIC -o lib/new a2.c
mv lib/new lib/liba.so.1.0; ./dyn; LD_PRELOAD=./lib/liba.so ./dl lib/liba.so
ldd dyn | grep -c 'liba.so.1 =>'
gcc -static m.c a.c -o st && ./st; file st 2>/dev/null | grep -c 'statically'
gcc -static-pie m.c a.c -o sp && ./sp; gcc -no-pie m.c a.c -o np && ./np
gcc -nostdlib -static -x c - -o raw <<'C' && ./raw
void _start(void) { __asm__ volatile("mov $1,%eax\n mov $1,%edi\n lea msg(%rip),%rsi\n mov $4,%edx\n syscall\n mov $60,%eax\n mov $5,%edi\n syscall\n msg: .ascii \"raw\\n\""); }
C
echo $?
END

compare -t 120 "a static program at work on files" <<'END'
cat >s.c <<'C'
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
static void *t(void *a) { char n[20]; for (int i = 0; i < 50; i++) { sprintf(n, "d/%ld-%d", (long)a, i); int f = open(n, O_CREAT | O_RDWR, 0644); if (write(f, n, strlen(n)) < 0) abort(); close(f); } return 0; }
int main(void)
{
	pthread_t th[4]; mkdir("d", 0755);
	for (long i = 0; i < 4; i++) pthread_create(&th[i], 0, t, (void *)i);
	for (int i = 0; i < 4; i++) pthread_join(th[i], 0);
	int n = 0; DIR *d = opendir("d"); while (readdir(d)) n++; closedir(d); printf("%d entries\n", n); fflush(stdout);
	int p[2]; if (pipe(p)) abort();
	if (!fork()) { dup2(p[1], 1); execlp("sh", "sh", "-c", "echo from a child; exit 3", (char *)0); _exit(1); }
	close(p[1]); char b[100]; int r = (int)read(p[0], b, 99), st; b[r] = 0; wait(&st); printf("%s%d\n", b, WEXITSTATUS(st));
	int f = open("m", O_CREAT | O_RDWR, 0644); if (ftruncate(f, 8192)) abort(); char *m = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, f, 0); strcpy(m + 5000, "mapped"); munmap(m, 8192);
	r = (int)pread(f, b, 6, 5000); b[r] = 0; puts(b); FILE *o = fopen("o", "w"); for (int i = 0; i < 10000; i++) fprintf(o, "%d\n", i); fclose(o); struct stat s; stat("o", &s); printf("%ld\n", (long)s.st_size); rename("o", "d/o"); return system("wc -l <d/o");
}
C
gcc -static -O1 -pthread s.c -o s 2>/dev/null && ./s; echo $?; cat d/* | sort | md5sum
rm s; gcc -O1 -pthread s.c -o s && ./s | md5sum
END

compare -t 120 "the jobserver of recursive makes" <<'END'
for d in a b c; do mkdir $d; printf 'all: 1 2 3 4\n%%:\n\t@../job $@ >>../log\n' >$d/Makefile; done
cat >job <<'SH'
#!/bin/bash
# Says how many jobs run now, its own one included.
exec 9>>../lock; flock 9; n=$(($(cat ../n) + 1)); echo $n >../n; flock -u 9
sleep 0.15
flock 9; echo $(($(cat ../n) - 1)) >../n; flock -u 9
echo "$n"
SH
chmod +x job
printf 'all: a b c\n.PHONY: all a b c\na b c:\n\t+@$(MAKE) --no-print-directory -C $@\n' >Makefile
echo 0 >n; make -j4; echo $?
sort -n log | tail -1 | awk '{print ($1 >= 3 && $1 <= 4) ? "up to 4 at a time" : "at most " $1}'
wc -l <log; rm log
echo 0 >n; make -j1; sort -n log | tail -1; rm log; echo 0 >n; make -j2 --output-sync
sort -n log | tail -1 | awk '{print $1 <= 2 ? "at most 2" : $1}'; rm log lock
cat >Makefile <<'MK'
all: x1 x2 bad x3
x%: ; @sleep 0.05; touch $@
bad: ; @exit 3
MK
make -j4 2>&1 | sed 's/.*\*\*\*/***/' | head -1; make -k -j4 >/dev/null 2>&1; echo $?
ls x*; make --jobserver-style=fifo -j2 x1 2>/dev/null >/dev/null; rm -f x*
(sleep 0.3; touch late) & printf 'all:\n\t@for i in 1 2 3 4 5 6 7 8 9 10; do [ -e late ] && exit 0; sleep 0.2; done; exit 1\n' >w.mk
make -f w.mk; echo $?; wait
END

compare "gcc's ways: -pipe, -save-temps, lto, preprocess, assembler, gcov" <<'END'
printf '#include <stdio.h>\nint main(void) { for (int i = 0; i < 3; i++) puts("hi"); return 0; }\n' >m.c
gcc -pipe m.c -o a && ./a; gcc -save-temps m.c -o b; ls; ./b; gcc -E m.c | tail -1
gcc -S m.c -o - | grep -c main; gcc -c m.c; ld -r m.o -o r.o; gcc r.o -o c && ./c
objcopy -O binary m.o m.bin; stat -c %s m.bin >/dev/null && echo objcopy
gcc -flto -O2 m.c -o l && ./l | wc -l; echo 'int x;' | gcc -c -x c - -o x.o
echo m.c -o at >args; gcc @args && ./at | head -1; gcc -M m.c | head -1; gcc none.c
echo $?; echo 'int main(' | gcc -x c - 2>/dev/null; echo $?; mkdir -p o
gcc -Wl,-Map,o/map m.c -o o/p; grep -c main o/map >/dev/null && echo map
rm -rf b-* b r.o l x.o at o
g++ --version >/dev/null 2>&1 && { printf '#include <iostream>\n#include <fstream>\nint main() { std::ofstream("cpp") << "file\\n"; std::ifstream f("cpp"); std::string s; f >> s; std::cout << s << std::endl; try { throw 1; } catch (int) { std::cout << "caught\\n"; } }\n' >m.cc; g++ -O1 m.cc -o cc && ./cc; }
ls
END

done_testing
