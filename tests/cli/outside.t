# SPDX-License-Identifier: MIT
# Sockets between programs in Hare and outside: which descriptors go, and which cannot.
. "$(dirname "$0")/../lib/tap.sh"
need_all python3 python3

cat >"$TAP_TMP/outside.py" <<'END'
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print("up", flush=True)
c, _ = s.accept()
while True:
    msg, fds, _, _ = socket.recv_fds(c, 10, 4)
    if not msg:
        break
    print(msg.decode(), *(os.readlink("/proc/self/fd/%d" % fd) for fd in fds), flush=True)
END
cat >"$TAP_TMP/inside.py" <<'END'
import errno, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = open("file", "w")
for fds in [f.fileno()], [0, f.fileno()]:
    try:
        socket.send_fds(s, [b"bad"], fds)
    except OSError as e:
        print(errno.errorcode[e.errno])
socket.send_fds(s, [b"good"], [os.open("/dev/null", os.O_RDONLY)])
f.write("still here"); f.close()
print(open("file").read())
END

limited 60 python3 "$TAP_TMP/outside.py" "$TAP_TMP/sock" >"$TAP_TMP/out" &
until grep -q up "$TAP_TMP/out"; do sleep 0.05; done
is "$(hare_run --chdir "$HARE_AT" -- python3 "$TAP_TMP/inside.py" "$TAP_TMP/sock" 2>&1)" \
	"EXDEV
EXDEV
still here" "a descriptor of Hare does not leave it"
wait
is "$(cat "$TAP_TMP/out")" "up
good /dev/null" "one of the host does"
done_testing
