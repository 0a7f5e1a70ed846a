# SPDX-License-Identifier: MIT
# --import and --export: what they keep, what they merge, what they refuse. (tests/apps/run.t has
# the everyday ones.)
. "$(dirname "$0")/../lib/tap.sh"

src=$TAP_TMP/src
look() { (cd "$1" && find . -mindepth 1 \( -type d -printf '%p %y %m %U:%G %T@\n' -o \
	-printf '%p %y %m %n %U:%G %s %l %T@\n' \) | sort && find . -type f -exec md5sum {} + | sort); }
through() # IMPORT-OPTIONS... -- : in and out again, into $TAP_TMP/back
{
	rm -rf "$TAP_TMP/back"
	hare_run "$@" --export "/:$TAP_TMP/back" -- true 2>"$TAP_TMP/err"
}

mkdir -p "$src/deep/er" "$src/empty dir"
cd "$src" || exit 1
seq 1 100000 >big
printf 'no newline' >deep/small
ln big deep/er/link
ln big "a name with spaces"
ln -s ../big deep/soft
ln deep/soft deep/er/hardsoft 2>/dev/null
ln -s /no/where dangling
mkfifo -m 620 fifo
truncate -s 1M sparse
printf middle | dd of=sparse bs=1 seek=500000 conv=notrunc status=none
head -c 4096 /dev/zero >zeros
: >none
printf 'odd\nname' >"$(printf 'new\nline')"
chmod 0400 none
chmod 4711 deep/small
chmod 2755 deep/er
chmod 0555 "empty dir"
touch -d '2001-02-03 04:05:06.123456789' deep/small
touch -h -d '1969-12-31 23:00:00.5' dangling
touch -d '2040-01-01' deep/er
if [ "$(id -u)" = 0 ]; then
	chown 12:34 none
	chown -h 56:78 deep/soft
fi
cd - >/dev/null || exit 1

through --import "$src"
is "$?" 0 "a tree in and out"
is "$(look "$TAP_TMP/back")" "$(look "$src")" "everything is kept"
is "$(cat "$TAP_TMP/err")" "" "nothing is said"
is "$(stat -c %b "$TAP_TMP/back/sparse")" "$(stat -c %b "$src/sparse")" "holes are kept"
is "$(stat -c %i "$TAP_TMP/back/big")" "$(stat -c %i "$TAP_TMP/back/deep/er/link")" "links are links"

if need python3 python3 "attributes user.*"; then
	python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.x", b"a\0b")' "$src/none" 2>/dev/null
	xattr=$?
	if [ $xattr = 0 ]; then
		through --import "$src"
		is "$(python3 -c 'import os, sys; print(os.getxattr(sys.argv[1], "user.x"))' \
			"$TAP_TMP/back/none")" "b'a\\x00b'" "attributes user.* are kept"
	else
		skip "user.* attributes on $TAP_TMP" "attributes user.* are kept"
	fi
fi

# Merging: as cp -a would.
mkdir -p "$TAP_TMP/one/d" "$TAP_TMP/two/d/sub"
echo 1 >"$TAP_TMP/one/d/both"
echo 1 >"$TAP_TMP/one/d/only1"
ln -s only1 "$TAP_TMP/one/d/link"
echo two >"$TAP_TMP/two/d/both"
echo two >"$TAP_TMP/two/d/link"
through --import "$TAP_TMP/one" --import "$TAP_TMP/two"
is "$? $(cat "$TAP_TMP/back/d/both" "$TAP_TMP/back/d/only1" "$TAP_TMP/back/d/link")" "0 two
1
two" "the second import merges into the first"
is "$(stat -c %F "$TAP_TMP/back/d/link")" "regular file" "a symlink is replaced, not followed"
mkdir "$TAP_TMP/three"
echo file >"$TAP_TMP/three/d"
through --import "$TAP_TMP/one" --import "$TAP_TMP/three"
is "$? $(wc -l <"$TAP_TMP/err")" "125 2" "a file does not replace a directory"

# Where DST may be.
for dst in "a/b/c" "/a/b/c" "$HARE_AT/a/b/c" "a//b/c/"; do
	is "$(hare_run --import "$TAP_TMP/one:$dst" -- cat "$HARE_AT/a/b/c/d/both" 2>&1)" 1 \
		"--import SRC:$dst"
done
is "$(hare_run --import "$TAP_TMP/two/d/both:x/" -- cat "$HARE_AT/x/both" 2>&1)" two "a file into x/"
is "$(hare_run --import "$TAP_TMP/two/d/both:x" -- cat "$HARE_AT/x" 2>&1)" two "a file as x"
is "$(hare_run --import "$TAP_TMP/two/d/both" -- cat "$HARE_AT/both" 2>&1)" two "a file into the root"
ln -s one "$TAP_TMP/to-one"
is "$(hare_run --import "$TAP_TMP/to-one" -- cat "$HARE_AT/d/both" 2>&1)" 1 "SRC may be a symlink"

# No way out.
hare_run --import "$TAP_TMP/one:../../$TAP_TMP/escape" -- true 2>"$TAP_TMP/err"
is "$? $(wc -l <"$TAP_TMP/err")" "125 2" "DST with .. that leads out is refused"
[ ! -e "$TAP_TMP/escape" ]
ok $? "and nothing was made there"
mkdir "$TAP_TMP/evil"
ln -s "$TAP_TMP" "$TAP_TMP/evil/out"
hare_run --import "$TAP_TMP/evil" --import "$TAP_TMP/one:out/escape" -- true 2>"$TAP_TMP/err"
is $? 125 "DST through a symlink that leads out is refused"
[ ! -e "$TAP_TMP/escape" ]
ok $? "and nothing was made there"
mkdir "$TAP_TMP/target"
ln -s "$TAP_TMP/target" "$TAP_TMP/two/d/sub/away"
mkdir -p "$TAP_TMP/evil2/sub"
ln -s "$TAP_TMP/target" "$TAP_TMP/evil2/sub/d"
hare_run --import "$TAP_TMP/one:sub" --export "sub:$TAP_TMP/evil2/sub" -- true 2>"$TAP_TMP/err"
is "$? $(ls "$TAP_TMP/target")" "125 " "an export does not write through a symlink"

# Failures.
hare_run --export "made:$TAP_TMP/made" -- sh -c "echo 1 >$HARE_AT/made; exit 3"
is "$? $(cat "$TAP_TMP/made")" "3 1" "an export after a failure"
hare_run --export "nothing:$TAP_TMP/made" -- true 2>"$TAP_TMP/err"
is "$? $(wc -l <"$TAP_TMP/err")" "125 1" "an export of what is not there"
mkdir "$TAP_TMP/large"
head -c 150M /dev/urandom >"$TAP_TMP/large/file"
hare_run --memory 128M --import "$TAP_TMP/large" -- true 2>"$TAP_TMP/err"
is "$? $(wc -l <"$TAP_TMP/err")" "125 2" "an import that does not fit"
grep -q 'No space left on device; give Hare more memory' "$TAP_TMP/err"
ok $? "says so"
if [ "$(id -u)" != 0 ]; then
	mkdir "$TAP_TMP/locked" && echo x >"$TAP_TMP/locked/x" && echo y >"$TAP_TMP/locked/y"
	chmod 0 "$TAP_TMP/locked/x"
	through --import "$TAP_TMP/locked"
	is "$? $(wc -l <"$TAP_TMP/err") $(cat "$TAP_TMP/back/y")" "125 2 y" "one unreadable file"
fi
done_testing
