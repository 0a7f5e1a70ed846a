# SPDX-License-Identifier: MIT
# git: a repository made, branched, merged, cloned, packed and checked.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all git git

# What git writes but that holds inode numbers, times or the name of the place.
VARY='.*/\.git/(modules/sub/)?(index|ORIG_HEAD|objects/info/.*|objects/pack/.*|packed-refs|logs/.*|config)|.*/bare/.*(objects/pack/.*|config|packed-refs|info/.*)'
SETUP='
export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@x GIT_COMMITTER_NAME=C GIT_COMMITTER_EMAIL=c@x GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_DATE="1000000000 +0000" GIT_COMMITTER_DATE="1000000000 +0000" GIT_PAGER=cat GIT_ADVICE=0
git config --global init.defaultBranch main; git config --global advice.detachedHead false; git config --global gc.auto 0
git config --global maintenance.auto false; git config --global pack.threads 1; git config --global protocol.file.allow always; git config --global core.pager cat
'

compare -x "$VARY" "init, add, commit, status, diff, log" <<END
$SETUP
git init -q r; cd r
for i in \$(seq 1 60); do mkdir -p d\$((i % 6)); seq 1 \$i >d\$((i % 6))/f\$i; done
ln -s d1/f1 link; printf '#!/bin/sh\n' >x.sh; chmod +x x.sh
git status --short | wc -l; git add .; git commit -qm first; git log --oneline
git status --short; git ls-files -s | git hash-object --stdin
git rev-parse HEAD HEAD^{tree}
echo change >>d1/f1; rm d2/f2; echo new >new; chmod -x x.sh; git mv d3/f3 moved
git status --short; git diff --stat; git diff; git commit -qam second; git add new
git commit -qm third
git log --format='%h %s' --stat; git show --stat HEAD~1; git rm -q new; git status --short
git reset -q --hard; git status --short; git cat-file -p HEAD:x.sh; git grep -c 30
git blame d1/f1 | head -2 | cut -c1-9
git stash list; echo dirty >>d1/f1; git stash -q; git status --short; git stash pop -q
git status --short; git checkout -q -- .; git tag v1; git describe; git fsck --strict
echo \$?; git count-objects
END

compare -x "$VARY" "branch, merge, conflict, rebase, cherry-pick, worktree" <<END
$SETUP
git init -q r; cd r; seq 1 50 >f; git add f; git commit -qm base; git checkout -q -b side
sed -i '5s/.*/side/' f; echo s >s; git add .; git commit -qm side
git checkout -q main; sed -i '45s/.*/main/' f; git commit -qam main
git merge -q side -m merged; git log --oneline --graph; sed -n '5p;45p' f; ls
git checkout -q -b c1; echo one >f; git commit -qam one; git checkout -q -b c2 HEAD~1
echo two >f; git commit -qam two; git merge c1; echo \$?; git status --short; cat f
git merge --abort; cat f
git rebase -q c1; echo \$?; git checkout --theirs f; git add f
GIT_EDITOR=true git rebase --continue >/dev/null 2>&1; echo \$?; git log --oneline | cat
git checkout -q main; git cherry-pick c1 >/dev/null; echo \$?; git log -1 --format=%s
git worktree add -q ../wt side; ls ../wt
(cd ../wt; echo w >w; git add w; git commit -qm wt); git log --oneline side | head -1
git worktree remove ../wt; git branch -a | cat; git branch -D c1 -q
git bisect start -q HEAD HEAD~3 2>/dev/null >/dev/null; git bisect reset -q 2>/dev/null
git fsck; echo \$?
git log --all --oneline | wc -l; git reflog | wc -l; git diff main side --stat
git archive HEAD | tar t; git clean -nd; git rev-parse HEAD
git format-patch -1 --stdout | sed 's/^-- *\$//;/^[0-9.]*\$/d'
END

compare -x "$VARY" -t 120 "clone, push, pull, gc, repack, bare" <<END
$SETUP
git init -q r; cd r
for i in \$(seq 1 30); do seq 1 \$((i * 20)) >f\$((i % 10)); git add .; git commit -qm "c\$i"; done
git rev-parse HEAD; cd ..
git clone -q r c1; git clone -q --no-hardlinks r c2; git clone -q --bare r bare
git clone -q --depth 3 "file://\$PWD/r" sh; (cd sh; git log --oneline | wc -l); cd c1
git log --oneline | wc -l; git rev-parse HEAD
git remote set-url origin ../bare; echo c1 >c1; git add c1; git commit -qm c1
git push -q origin main; echo \$?; cd ../c2; git remote set-url origin ../bare
git pull -q; cat c1; echo c2 >c2; git add c2; git commit -qm c2; git push -q; cd ../c1
git pull -q; ls; git fsck; echo \$?
cd ../r; find .git/objects -type f | wc -l; git gc -q
find .git/objects -type f | grep -c pack; git fsck --full; echo \$?
git log --oneline | wc -l; git repack -adq; git prune
git count-objects -v | grep -e in-pack -e garbage; git verify-pack .git/objects/pack/*.idx
echo \$?; git status --short; git diff HEAD~20 --stat | tail -1
cd ../bare; git fsck; echo \$?; git gc -q; git log --oneline | wc -l
git bundle create -q ../b.bundle main; cd ..; git clone -q b.bundle fromb -b main
(cd fromb; git log --oneline | wc -l); rm b.bundle; git init -q sm; cd sm
git submodule --quiet add ../r sub; git commit -qm sm; git submodule status | cut -c2-9
END

done_testing
