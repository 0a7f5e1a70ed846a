# SPDX-License-Identifier: MIT
# Perl: files, directories, pipes, fork, locks, in-place edits.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all perl perl

compare "files and directories" <<'END'
cat >p.pl <<'PL'
use strict; use warnings; use Fcntl ':flock'; use File::Temp 'tempfile'; use File::Path;
use File::Find; use File::Copy; use Cwd;
open(my $f, '>', 'a') or die; print $f "line $_\n" for 1 .. 100; close $f;
open($f, '+<', 'a'); seek($f, 10, 0); read($f, my $b, 5); print "$b ", tell($f), "\n";
open($f, '>>', 'a'); print $f "more\n"; close $f; print -s 'a', "\n"; mkdir 'd' or die;
mkdir 'd' or print "$!\n"; rename 'a', 'd/a';
print join(',', map { -e $_ ? 1 : 0 } 'a', 'd/a'), "\n";
link 'd/a', 'h'; symlink 'd/a', 's';
print((stat 'h')[3], ' ', readlink('s'), ' ', (lstat 's')[7], "\n"); chmod 0600, 'h';
printf "%o\n", (stat 'd/a')[2] & 07777;
utime 5, 6, 'h'; print join(' ', (stat 'h')[8, 9]), "\n"; truncate 'h', 20;
print -s 'd/a', "\n"; File::Path::make_path('x/y/z'); open($f, '>', "x/y/$_") for 1 .. 5;
undef $f;
find({ wanted => sub { print "$File::Find::name\n" }, preprocess => sub { sort @_ } }, 'x');
copy('h', 'c'); move('c', 'x/c'); print -s 'x/c', "\n";
opendir(my $d, 'x/y'); print join(' ', sort readdir $d), "\n"; rewinddir $d;
my @e = readdir $d; print scalar(@e), "\n"; closedir $d;
print join(' ', sort glob('x/y/*')), "\n";
File::Path::remove_tree('x'); print -d 'x' ? 'there' : 'gone', "\n";
print unlink('h', 's', 'none'), "\n"; rmdir 'd' or print "$!\n";
my ($t, $n) = tempfile(DIR => '.', UNLINK => 1); print $t "x"; close $t; print -s $n, "\n";
open($f, '>', 'lock'); print flock($f, LOCK_EX | LOCK_NB) ? 1 : 0, "\n";
my $p = fork // die;
if (!$p) { open(my $g, '>', 'lock'); exit(flock($g, LOCK_EX | LOCK_NB) ? 1 : 2) } waitpid $p, 0;
print $? >> 8, "\n";
PL
perl p.pl; seq 1 20 >e; perl -pi -e 's/1/one/' e; head -2 e
perl -i.orig -ne 'print unless /2/' e; ls
perl -ne '$s += $_ if /^\d+$/; END { print "$s\n" }' e
END

compare "processes and pipes" <<'END'
cat >p.pl <<'PL'
use strict; use warnings; use POSIX ':sys_wait_h'; use IPC::Open3; use IO::Select; $| = 1;
print `echo backticks`; system('exit 3'); print $? >> 8, "\n";
system('sh', '-c', 'kill -9 $$'); print $? & 127, "\n"; open(my $p, '-|', 'seq 5') or die;
print join(',', map { chomp; $_ } <$p>), "\n"; close $p;
open($p, '|-', 'tr a-z A-Z >up') or die; print $p "to a pipe\n"; close $p; print `cat up`;
pipe(my $r, my $w); my @k;
for my $i (1 .. 5) { my $k = fork // die; if (!$k) { close $r; syswrite $w, "child $i\n"; POSIX::_exit($i) } push @k, $k }
close $w; print sort <$r>; print join(' ', map { waitpid $_, 0; $? >> 8 } @k), "\n";
my $pid = open3(my $in, my $out, undef, 'cat'); print $in "open3\n"; close $in;
print <$out>; waitpid $pid, 0;
local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; select undef, undef, undef, 10; }; print $@;
local $SIG{USR1} = sub { print "usr1\n" }; kill 'USR1', $$; my $n = 0;
local $SIG{CHLD} = sub { while (waitpid(-1, WNOHANG) > 0) { $n++ } };
for (1 .. 3) { my $k = fork // die; POSIX::_exit(0) unless $k } select undef, undef, undef, 0.05 for 1 .. 40;
print "$n\n"; my $k = fork // die;
if (!$k) { exec 'sh', '-c', 'exit 8' } { local $SIG{CHLD} = 'DEFAULT'; } exec 'echo', 'exec at the end';
PL
perl p.pl; perl -e 'print "x" x 200000' | perl -ne 'print length, "\n"'
perl -MFile::Spec -e 'print File::Spec->rel2abs("x") eq "$ENV{HOME}/x" ? "ok\n" : "no\n"'
perl -e 'open F, ">dup"; open STDOUT, ">&F"; print "perl\n"; $| = 1; print ""; system "echo child"; print "end\n"'
cat dup
perl -MDB_File -e1 2>/dev/null
perl -e 'opendir D, "."; chdir D; mkdir "sub"; chdir "sub"; print -d "../sub" ? "ok\n" : "no\n"'
perl -e 'die "dies\n"'; echo $?
END

done_testing
