# SPDX-License-Identifier: MIT
# The sqlite3 program: every journal mode, crashes, backups, integrity.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all sqlite3 sqlite3

for mode in delete truncate persist wal memory off; do
	compare -x '.*/db(-wal|-shm|-journal)?' "journal mode $mode" <<END
q() { sqlite3 -batch db "\$@"; echo "status \$?"; }
q 'pragma journal_mode=$mode; create table t(k integer primary key, v text); create index i on t(v);'
q 'pragma journal_mode=$mode; begin; with recursive n(x) as (select 1 union all select x+1 from n where x<5000) insert into t select x, hex(x*7919%10007) from n; commit;'
ls; q 'select count(*), max(k), min(v) from t; pragma integrity_check;'
q 'pragma journal_mode=$mode; begin; delete from t where k%2; select count(*) from t; rollback; select count(*) from t;'
q 'pragma journal_mode=$mode; begin; update t set v=v||"x" where k%3=0; commit; delete from t where k>4000; vacuum; select count(*), sum(length(v)) from t; pragma integrity_check;'
for i in 1 2 3; do (for j in 1 2 3 4 5; do sqlite3 -batch -cmd '.timeout 30000' db "begin immediate; insert into t(v) values('p\$i-\$j'); commit;" || echo "failed"; done) & done
wait
q "select count(*) from t where v like 'p%'; pragma integrity_check;"
q 'select v from t order by v' | md5sum; q 'select bad'; ls
END
done

compare -x '.*/(db|copy|b)(-wal|-shm|-journal)?' "attach, backup, import, export, temporary files" <<'END'
seq 1 2000 | awk '{print $1 ",name" $1 "," $1 * $1 % 101}' >in.csv
sqlite3 -batch db 'create table t(a int, b text, c int);' '.mode csv' '.import in.csv t' 'select count(*), sum(c) from t;' '.output out.csv' 'select * from t order by c, a;'
md5sum out.csv; sqlite3 db '.backup copy'
sqlite3 copy 'select count(*) from t; pragma integrity_check'
sqlite3 db "attach 'copy' as x; select count(*) from t join x.t y using (a);" "vacuum into 'b'"
sqlite3 b 'select sum(c) from t'
sqlite3 db 'pragma temp_store=1; pragma cache_size=10; select count(*) from (select distinct a.c, b.b from t a, t b where a.a < 300 order by b.b, a.c);'
sqlite3 db .schema; echo 'select 1+1;' | sqlite3; sqlite3 /none/db 'select 1'; echo $?
head -c 100 in.csv >bad; sqlite3 bad 'select * from t'; echo $?
END

compare -E -x '.*/db(-wal|-shm|-journal)?' "killed in a transaction, then recovered" <<'END'
for mode in delete wal; do
	rm -f db*
	sqlite3 -batch db "pragma journal_mode=$mode; create table t(k integer primary key, v text); insert into t(v) values('kept');"
	mkfifo in; sqlite3 -batch db <in >/dev/null & p=$!; exec 3>in
	echo "pragma cache_size=5; begin; with recursive n(x) as (select 1 union all select x+1 from n where x<3000) insert into t(v) select hex(randomblob(100)) from n; select 1;" >&3
	for i in $(seq 100); do [ "$(stat -c %s db db-wal 2>/dev/null | sort -n | tail -1)" -gt 200000 ] && break; sleep 0.05; done
	kill -9 $p; exec 3>&-; wait $p; echo "killed $?"; rm in
	sqlite3 -batch db 'select count(*), v from t; pragma integrity_check;'
done; rm -f db*
END

done_testing
