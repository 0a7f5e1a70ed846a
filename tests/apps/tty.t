# SPDX-License-Identifier: MIT
# A terminal: programs that ask for it, interactive bash, ^C, ^Z, ^D, window sizes.
. "$(dirname "$0")/../lib/tap.sh"
need_all python3 python3

cat >"$TAP_TMP/drive.py" <<'PY'
# drive.py CMD...: runs it on a new terminal; says lines and expects answers; TAP
# without plan.
import fcntl, os, pty, re, select, signal, struct, sys, termios, time

pid, fd = pty.fork()
if pid == 0:
    signal.signal(signal.SIGINT, signal.SIG_DFL) # whoever started the tests may ignore them
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
seen = ""

def expect(pattern, what, secs=20):
    global seen
    end = time.time() + secs
    while time.time() < end:
        m = re.search(pattern, seen)
        if m:
            seen = seen[m.end():]
            print("ok", what, flush=True)
            return True
        if select.select([fd], [], [], 0.2)[0]:
            try:
                data = os.read(fd, 4096)
            except OSError:
                break
            if not data:
                break
            seen += data.decode(errors="replace")
    print("not ok", what, flush=True)
    print("# wanted", repr(pattern), "but there is", repr(seen[-400:]), flush=True)
    return False

def say(text):
    os.write(fd, text.encode())

expect(r"[$#] ", "bash prompts")
say("PS1='ready> '; echo\n")
expect(r"\nready> ", "and takes a command")
say("test -t 0 && test -t 1 && test -t 2 && echo yes-$((1+1))\n")
expect(r"yes-2", "its streams are a terminal")
say("/bin/sh -c 'test -t 0 && test -t 1 && echo also-$((1+2))'\n")
expect(r"also-3", "a child's too")
say("stty size; /usr/bin/tty | sed 's/[0-9]*$/N/'\n")
expect(r"33 77\r\n/dev/pts/N", "size and name")
say("sh -c 'read x; echo got-$x'\n")
time.sleep(0.3)
say("a line\n")
expect(r"got-a line", "a child reads a line")
say("cat >f\n")
time.sleep(0.3)
say("typed in\n\x04")
expect(r"ready> ", "^D ends the input")
say("cat f; ls\n")
expect(r"typed in\r\nf\r\n", "which is in the file")
say("sleep 100\n")
time.sleep(0.5)
say("\x03")
expect(r"ready> ", "^C ends a program")
say("echo status-$?\n")
expect(r"status-130", "with SIGINT")
say("sh -c 'trap \"echo caught-it; exit 5\" INT; echo go-$((2+2)); while :; do sleep 0.05; done'\n")
expect(r"go-4", "a program with a handler starts")
say("\x03")
expect(r"caught-it", "its handler runs at ^C")
say("sleep 100 | sleep 100\n")
time.sleep(0.5)
say("\x03")
expect(r"ready> ", "^C ends a pipeline")
say("sleep 101\n")
time.sleep(0.5)
say("\x1a")
expect(r"Stopped +sleep 101", "^Z stops a program")
say("jobs; bg; jobs -r\n")
expect(r"Running +sleep 101", "bg lets it go on")
say("fg\n")
expect(r"sleep 101\r\n", "fg takes it back")
time.sleep(0.3)
say("\x03")
expect(r"ready> ", "^C ends it then")
say("sh -c 'read x; echo got-$x'\n")
time.sleep(0.5)
say("\x1a")
expect(r"Stopped", "^Z stops a program that reads")
say("echo whole-$((3+4))\n")
expect(r"whole-7", "what is typed then is the shell's")
say("fg\n")
expect(r"sh -c.*\r\n", "fg takes it back")
time.sleep(0.3)
say("for it\n")
expect(r"got-for it", "and it reads on")
say("trap 'echo winch' WINCH; echo set-$((3+2))\n")
expect(r"set-5", "a trap for the window's size")
fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
time.sleep(0.2)
say("stty size\n")
expect(r"20 60", "the new size is seen")
say("exec bash -c 'echo end; exit 7'\n")
expect(r"end", "the last program runs")
end = time.time() + 20
while time.time() < end:
    got, status = os.waitpid(pid, os.WNOHANG)
    if got:
        break
    try:
        if select.select([fd], [], [], 0.1)[0]:
            os.read(fd, 4096)
    except OSError:
        time.sleep(0.1)
else:
    os.kill(pid, signal.SIGKILL)
    got, status = os.waitpid(pid, 0)
code = os.waitstatus_to_exitcode(status)
print("ok" if code == 7 else "not ok", "its status is passed on", flush=True)
print("# status", code)
PY

drive() # NAME CMD...
{
	local name=$1 what

	shift
	while read -r what; do
		case $what in
		"ok "*) tap_point 0 "$name: ${what#ok }" ;;
		"not ok "*) tap_point 1 "$name: ${what#not ok }" ;;
		*) echo "$what" ;;
		esac
	done < <(env -u BASH_ENV PS1='$ ' TERM=dumb "$HARE_TEST_LIMIT" -k 120 python3 \
		"$TAP_TMP/drive.py" "$@" 2>&1)
}

mkdir "$TAP_TMP/dir"
cd "$TAP_TMP/dir" || exit 1
drive "outside" bash --norc --noprofile --noediting -i
cd "$TAP_TOP" || exit 1
at=()
[ "$HARE_AT" = /hare ] || at=(--at "$HARE_AT")
# shellcheck disable=SC2086
drive "in Hare" "$HARE" run $HARE_OPTS "${at[@]}" --chdir "$HARE_AT" -- \
	bash --norc --noprofile --noediting -i
# a shell whose terminal is another core's
# shellcheck disable=SC2086
drive "from another core" "$HARE" run $HARE_OPTS "${at[@]}" --chdir "$HARE_AT" -- \
	env bash --norc --noprofile --noediting -i
done_testing
