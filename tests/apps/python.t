# SPDX-License-Identifier: MIT
# Python: subprocess, threading, multiprocessing, tempfile, mmap, sqlite3, shutil, selectors.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all python3 python3

compare "files, os, shutil, pathlib, tempfile, glob" <<'END'
cat >p.py <<'PY'
import os, shutil, tempfile, glob, pathlib, stat, filecmp, tarfile, zipfile, json, io
os.makedirs("a/b/c"); pathlib.Path("a/b/f").write_text("text\n" * 100)
for i in range(50):
    with open(f"a/n{i}", "w", buffering=64) as f:
        for j in range(i): print(j, file=f)
os.link("a/n5", "a/hard"); os.symlink("n6", "a/soft"); os.chmod("a/n7", 0o600)
os.utime("a/n8", (1, 2))
for d, ds, fs in sorted(os.walk("a")): print(d, sorted(ds), len(fs))
for e in sorted(os.scandir("a"), key=lambda e: e.name)[:5]:
    print(e.name, e.is_file(), e.is_symlink(), e.stat().st_size)
shutil.copytree("a", "copy", symlinks=True); c = filecmp.dircmp("a", "copy")
print(c.diff_files, c.left_only, c.right_only)
shutil.move("copy", "moved")
print(sorted(os.listdir("moved"))[:3], os.path.exists("copy"))
shutil.make_archive("arch", "gztar", "a")
print(len(tarfile.open("arch.tar.gz").getnames())); os.remove("arch.tar.gz")
with zipfile.ZipFile("z.zip", "w") as z: z.write("a/b/f"); print(z.namelist())
os.remove("z.zip")
with tempfile.TemporaryDirectory() as t:
    open(os.path.join(t, "x"), "w").close(); print(os.listdir(t))
print(os.path.exists(t))
with tempfile.NamedTemporaryFile("w+") as t:
    t.write("tmp"); t.seek(0); print(t.read(), os.stat(t.name).st_mode & 0o777)
with tempfile.TemporaryFile() as t: t.write(b"anon"); t.seek(0); print(t.read())
with tempfile.SpooledTemporaryFile(max_size=10) as t:
    t.write(b"x" * 100); t.seek(0); print(len(t.read()))
print(sorted(glob.glob("a/n1*"))[:3], len(list(pathlib.Path("a").rglob("*"))))
fd = os.open("raw", os.O_RDWR | os.O_CREAT); os.write(fd, b"0123456789")
os.lseek(fd, 3, 0); print(os.read(fd, 4), os.pread(fd, 2, 8))
os.ftruncate(fd, 5); print(os.fstat(fd).st_size); os.posix_fallocate(fd, 0, 100)
print(os.fstat(fd).st_size)
d = os.dup(fd); os.lseek(d, 0, 0); print(os.read(fd, 2)); os.close(d); os.fsync(fd)
os.close(fd)
dirfd = os.open("a", os.O_RDONLY); print(os.stat("n3", dir_fd=dirfd).st_size)
os.rename("n3", "n3x", src_dir_fd=dirfd, dst_dir_fd=dirfd)
os.replace("a/n3x", "a/n4"); print(os.path.getsize("a/n4"))
print(os.path.samefile("a/n5", "a/hard"), os.readlink("a/soft"))
for call in (lambda: os.mkdir("a"), lambda: os.rmdir("a"), lambda: open("none"), lambda: os.listdir("raw"), lambda: os.unlink("a"), lambda: os.rename("a", "a/b/x")):
    try: call(); print("no error")
    except OSError as e: print(e.errno, e.strerror)
os.setxattr("raw", "user.k", b"v")
print(os.getxattr("raw", "user.k"), os.listxattr("raw")); os.removexattr("raw", "user.k")
json.dump({"k": list(range(10))}, open("j", "w")); print(json.load(open("j"))["k"][9])
print(stat.filemode(os.lstat("a/soft").st_mode))
with open("u8", "w", encoding="utf-8") as f: f.write("grüße €\n")
print(os.path.getsize("u8"), sorted(os.listdir(b"."))[0]); shutil.rmtree("moved")
print(os.access("moved", os.F_OK)); print(os.getcwd() == os.environ["HOME"])
f = open("app", "a+"); f.write("one\n"); f.flush(); g = open("app", "a"); g.write("two\n")
g.close(); f.write("three\n"); f.close(); print(open("app").read())
print(shutil.disk_usage(".").total > 0, shutil.which("sh") is not None)
PY
python3 p.py
END

compare "subprocess" <<'END'
cat >p.py <<'PY'
import subprocess as S, sys, os, signal
print(S.run(["echo", "a b"], capture_output=True, text=True).stdout)
print(S.check_output("cat | tr a-z A-Z | rev", shell=True, input=b"pipe\n"))
p = S.run(["sh", "-c", "echo out; echo err >&2; exit 3"], stdout=S.PIPE, stderr=S.STDOUT)
print(p.returncode, p.stdout)
with open("o", "w") as f: S.run(["seq", "5"], stdout=f); f.write("after\n")
print(open("o").read())
print(S.run("wc -l", shell=True, stdin=open("o"), capture_output=True).stdout)
big = b"x" * 1000000; print(len(S.run(["cat"], input=big, stdout=S.PIPE).stdout))
a = S.Popen(["seq", "100000"], stdout=S.PIPE)
b = S.Popen(["sort", "-rn"], stdin=a.stdout, stdout=S.PIPE)
c = S.Popen(["head", "-n1"], stdin=b.stdout, stdout=S.PIPE)
a.stdout.close(); b.stdout.close(); print(c.communicate()[0]); b.wait(); a.wait()
p = S.Popen(["sleep", "10"]); p.terminate(); print(p.wait()); p = S.Popen(["sleep", "10"])
p.kill(); print(p.wait())
try: S.run(["sleep", "10"], timeout=0.2)
except S.TimeoutExpired: print("timeout")
for bad in (["/none/such"], ["."], ["./o"]):
    try: S.run(bad)
    except OSError as e: print(type(e).__name__, e.errno)
try: S.run(["true"], cwd="nodir")
except OSError as e: print(type(e).__name__, e.filename)
os.mkdir("d")
print(S.check_output("pwd", cwd="d").decode().strip().endswith("/d"), S.check_output("echo $V", shell=True, env={"V": "7"}))
print(S.run(["sh", "-c", "kill -9 $$"]).returncode, S.run([sys.executable, "-c", "import sys; sys.exit(5)"]).returncode)
r, w = os.pipe(); p = S.Popen(["sh", "-c", f"echo passed >&{w}"], pass_fds=[w])
os.close(w); print(os.read(r, 100)); p.wait()
p = S.Popen(["sh", "-c", "trap 'echo term; exit 4' TERM; echo ready; while :; do sleep 0.02; done"], stdout=S.PIPE, text=True)
print(p.stdout.readline()); p.send_signal(signal.SIGTERM)
print(p.stdout.read(), p.wait())
ps = [S.Popen(["sh", "-c", f"echo {i} >n{i}; exit {i}"]) for i in range(12)]
print([p.wait() for p in ps], sorted(open(f"n{i}").read() for i in range(12)))
p = S.Popen(["cat"], stdin=S.PIPE, stdout=S.PIPE, text=True, bufsize=1)
for i in range(5):
    p.stdin.write(f"line {i}\n"); p.stdin.flush(); print(p.stdout.readline(), end="")
p.stdin.close(); print(p.wait())
print(os.system("exit 6") >> 8, os.popen("echo popen").read(), S.getstatusoutput("echo x; exit 2"))
print(S.run(["sh", "-c", "ps -o pgid= -p $$ | tr -d ' '; echo $$"], start_new_session=True, capture_output=True, text=True).stdout.split()[0] != "")
pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 9"], os.environ)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
PY
python3 p.py
END

compare "threads, queues, selectors, signals" <<'END'
cat >p.py <<'PY'
import threading, queue, selectors, os, signal, time, concurrent.futures as cf, subprocess
lock = threading.Lock()
def work(i):
    for j in range(30):
        with open(f"t{i}_{j}", "w") as f: f.write(f"{i} {j}")
    with lock, open("log", "a") as f: f.write(f"{i}\n")
ts = [threading.Thread(target=work, args=(i,)) for i in range(8)]; [t.start() for t in ts]
[t.join() for t in ts]
print(sorted(map(int, open("log")))); os.remove("log")
print(len([n for n in os.listdir(".") if n.startswith("t")]))
with cf.ThreadPoolExecutor(6) as ex:
    print(sum(ex.map(lambda n: len(open(n).read()) if os.path.isfile(n) else 0, [n for n in os.listdir(".") if n[0] == "t" and n != "tmp"])))
    print(sorted(ex.map(lambda i: subprocess.call(["sh", "-c", f"exit {i}"]), range(10))))
sel = selectors.DefaultSelector(); fds = {}
for i in range(4):
    r, w = os.pipe(); pid = os.fork()
    if pid == 0:
        os.close(r)
        for j in range(50): os.write(w, b"%d" % i)
        os._exit(i)
    os.close(w); sel.register(r, selectors.EVENT_READ, i); fds[r] = [pid, b""]
while sel.get_map():
    for key, _ in sel.select(5):
        d = os.read(key.fd, 10)
        if d: fds[key.fd][1] += d
        else: sel.unregister(key.fd)
for fd, (pid, data) in fds.items():
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), len(data), set(data))
hits = []; signal.signal(signal.SIGUSR1, lambda s, f: hits.append(s))
os.kill(os.getpid(), signal.SIGUSR1); time.sleep(0.01); print(hits)
signal.signal(signal.SIGALRM, lambda s, f: hits.append(s))
signal.setitimer(signal.ITIMER_REAL, 0.05); r, w = os.pipe()
t = threading.Timer(0.2, lambda: os.write(w, b"x")); t.start()
print(os.read(r, 1), len(hits))
signal.signal(signal.SIGCHLD, lambda s, f: hits.append("chld")); pid = os.fork()
if pid == 0: os._exit(3)
print(os.waitpid(pid, 0)[1] >> 8); time.sleep(0.01); print("chld" in hits)
ev = threading.Event(); q = queue.Queue()
def consumer():
    while (x := q.get()) is not None: open(f"q{x}", "w").close()
    ev.set()
threading.Thread(target=consumer).start(); [q.put(i) for i in range(20)]; q.put(None)
print(ev.wait(20), len([n for n in os.listdir(".") if n.startswith("q")]))
PY
python3 p.py
END

compare -t 90 "multiprocessing" <<'END'
cat >p.py <<'PY'
import multiprocessing as mp, os, time, sys
def sq(x): return x * x
def put(q, i):
    with open(f"mp{i}", "w") as f: f.write(str(i))
    q.put((i, os.getpid()))
def add(v, n):
    for _ in range(n):
        with v.get_lock(): v.value += 1
def echo(c):
    while (m := c.recv()) != "stop": c.send(m.upper() if isinstance(m, str) else len(m))
if __name__ == "__main__":
    for how in ("fork", "spawn"):
        m = mp.get_context(how)
        with m.Pool(3) as p: print(how, sum(p.map(sq, range(200), 10)), p.apply(sq, (7,)))
        q = m.Queue(); ps = [m.Process(target=put, args=(q, i)) for i in range(4)]
        [p.start() for p in ps]
        got = sorted(q.get(timeout=30)[0] for _ in ps); [p.join() for p in ps]
        print(got, [p.exitcode for p in ps], sorted(open(f"mp{i}").read() for i in range(4)))
        a, b = m.Pipe(); p = m.Process(target=echo, args=(b,)); p.start(); a.send("hi")
        print(a.recv()); a.send(b"x" * 300000); print(a.recv()); a.send("stop"); p.join()
        print(p.exitcode)
    v = mp.Value("i", 0); ps = [mp.Process(target=add, args=(v, 200)) for _ in range(4)]
    [p.start() for p in ps]; [p.join() for p in ps]; print(v.value)
    with mp.Manager() as man:
        d = man.dict(); d["a"] = 1; l = man.list(range(3)); l.append(9)
        print(dict(d), list(l))
    from multiprocessing import shared_memory
    s = shared_memory.SharedMemory(create=True, size=100); s.buf[0] = 7; print(s.buf[0])
    s.close(); s.unlink()
    p = mp.Process(target=time.sleep, args=(20,)); p.start(); p.terminate(); p.join()
    print(p.exitcode)
PY
python3 p.py
END

compare "multiprocessing by forkserver" <<'END'
cat >f.py <<'PY'
import multiprocessing as mp
if __name__ == "__main__":
    with mp.get_context("forkserver").Pool(2) as p: print(p.map(abs, [-1, -2]))
PY
python3 f.py
END

compare "mmap, fcntl, struct files" <<'END'
cat >p.py <<'PY'
import mmap, os, fcntl, struct, pickle, dbm.dumb, shelve, array
with open("m", "w+b") as f:
    f.truncate(100000)
    with mmap.mmap(f.fileno(), 0) as m:
        m[0:5] = b"hello"; m[99995:] = b"world"; m.flush(); print(m.find(b"world"), m[:5])
        m.resize(200000); m[199999] = 65
    f.seek(99995); print(f.read(5), os.path.getsize("m"))
    m = mmap.mmap(f.fileno(), 4096, access=mmap.ACCESS_COPY); m[0] = 88; f.seek(0)
    print(f.read(1), m[0])
    with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as m: print(len(m), m[199999])
r, w = os.pipe(); m = mmap.mmap(-1, 100)
if os.fork() == 0: m[0:3] = b"abc"; os.write(w, b"x"); os._exit(0)
os.read(r, 1); print(m[:3]); os.wait()
with open("l", "w") as f:
    fcntl.flock(f, fcntl.LOCK_EX); pid = os.fork()
    if pid == 0:
        g = open("l", "w")
        try: fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB); os._exit(0)
        except BlockingIOError: os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    fcntl.lockf(f, fcntl.LOCK_EX, 10, 0)
with open("s", "wb") as f: [f.write(struct.pack("<IH", i, i % 7)) for i in range(1000)]
with open("s", "rb") as f: f.seek(6 * 500); print(struct.unpack("<IH", f.read(6)))
pickle.dump([{"n": i} for i in range(100)], open("p", "wb"))
print(len(pickle.load(open("p", "rb"))))
d = dbm.dumb.open("dbm", "c"); [d.__setitem__(str(i), "v" * i) for i in range(50)]
d.close(); print(len(dbm.dumb.open("dbm", "r")))
b = array.array("d", range(1000)); b.tofile(open("arr", "wb")); c = array.array("d")
c.fromfile(open("arr", "rb"), 1000); print(sum(c))
PY
python3 p.py
END

python3 -c 'import sqlite3' 2>/dev/null || skip python3-sqlite3 "sqlite3"
python3 -c 'import sqlite3' 2>/dev/null && compare -x '.*/db[0-9]?' "sqlite3 from several processes" <<'END'
cat >p.py <<'PY'
import sqlite3, os, sys
for i, mode in enumerate(("delete", "truncate", "persist", "wal", "memory")):
    n = f"db{i}"; c = sqlite3.connect(n, timeout=30, isolation_level=None)
    print(c.execute(f"pragma journal_mode={mode}").fetchone())
    c.execute("create table t(k integer primary key, who int, v text)"); c.close()
    pids = []
    for w in range(3):
        pid = os.fork()
        if pid == 0:
            try:
                c = sqlite3.connect(n, timeout=30, isolation_level=None)
                for j in range(15):
                    c.execute("begin immediate")
                    c.execute("insert into t(who, v) values(?, ?)", (w, "x" * 500))
                    c.execute("commit")
                os._exit(0)
            except Exception as e: print(e); os._exit(1)
        pids.append(pid)
    print([os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in pids])
    c = sqlite3.connect(n)
    print(c.execute("select who, count(*) from t group by who").fetchall(), c.execute("pragma integrity_check").fetchone())
    c.close(); os.remove(n)
print(sorted(n for n in os.listdir(".") if n.startswith("db")))
PY
python3 p.py
END

compare -x '.*/__pycache__.*' "modules, packages, bytecode kept here" <<'END'
mkdir -p pkg/sub; echo 'from .sub import deep; name = "pkg " + deep.name' >pkg/__init__.py
: >pkg/sub/__init__.py; echo 'name = "deep"' >pkg/sub/deep.py
python3 -c 'import pkg; print(pkg.name)'; ls pkg/__pycache__ | wc -l
python3 -c 'import pkg; print(pkg.name, pkg.__cached__ is not None)'
printf '#!/usr/bin/python3\nimport sys\nprint(sys.argv[1:], __file__)\nsys.exit(3)\n' >s.py
chmod +x s.py; ./s.py a 'b c'; echo $?
python3 -m compileall -q pkg; echo $?; echo 'print(input() + "!")' >i.py
echo hi | python3 i.py; python3 -c 'import os; os.execvp("echo", ["echo", "exec"])'
python3 -m venv --without-pip v >/dev/null 2>&1 && v/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'
rm -rf v
python3 -c 'import unittest, doctest, logging; logging.basicConfig(filename="log", format="%(message)s"); [logging.warning(i) for i in range(5)]'
cat log; python3 -X dev -c 'print(open("log").read()[:1])' 2>/dev/null
python3 -c 'import asyncio
async def f(i):
    p = await asyncio.create_subprocess_exec("sh", "-c", f"echo {i}; exit {i}", stdout=-1)
    o, _ = await p.communicate(); return o, p.returncode
async def m(): print(await asyncio.gather(*[f(i) for i in range(6)]))
asyncio.run(m())'
END

done_testing
