# SPDX-License-Identifier: MIT
# Node.js: fs in its three ways, streams, child processes, worker threads.
. "$(dirname "$0")/../lib/tap.sh"
. "$TAP_LIB/compare.sh"
need_all node nodejs

compare "fs: synchronous" <<'END'
cat >p.js <<'JS'
const fs = require('fs'), path = require('path'), os = require('os');
fs.mkdirSync('a/b/c', { recursive: true });
for (let i = 0; i < 40; i++) fs.writeFileSync(`a/f${i}`, 'x'.repeat(i * 10));
console.log(fs.readdirSync('a').length, fs.statSync('a/f7').size, fs.existsSync('none'));
fs.appendFileSync('a/f7', 'more'); console.log(fs.readFileSync('a/f7', 'utf8').slice(-6));
fs.renameSync('a/f1', 'a/b/g'); fs.linkSync('a/f2', 'a/h'); fs.symlinkSync('f2', 'a/s');
console.log(fs.statSync('a/h').nlink, fs.readlinkSync('a/s'), fs.lstatSync('a/s').isSymbolicLink(), path.basename(fs.realpathSync('a/s')));
fs.copyFileSync('a/f3', 'a/copy'); fs.chmodSync('a/copy', 0o600);
console.log((fs.statSync('a/copy').mode & 0o777).toString(8));
fs.utimesSync('a/copy', 5, 6); console.log(fs.statSync('a/copy').mtimeMs);
fs.truncateSync('a/copy', 5); console.log(fs.statSync('a/copy').size);
const fd = fs.openSync('a/rw', 'w+'); fs.writeSync(fd, '0123456789');
const b = Buffer.alloc(4); fs.readSync(fd, b, 0, 4, 3); console.log(b.toString());
fs.ftruncateSync(fd, 2); fs.fsyncSync(fd); fs.closeSync(fd);
for (const f of [() => fs.mkdirSync('a'), () => fs.rmdirSync('a'), () => fs.readFileSync('none'), () => fs.readFileSync('a'), () => fs.openSync('a/f2', 'wx'), () => fs.readdirSync('a/f2'), () => fs.renameSync('a', 'a/b/x')]) try { f(); console.log('no error'); } catch (e) { console.log(e.code, e.syscall); }
const d = fs.opendirSync('a'); let n = 0; while (d.readSync()) n++; d.closeSync();
console.log(n); const t = fs.mkdtempSync(path.join(os.tmpdir(), 'x-')); fs.rmdirSync(t);
fs.cpSync('a', 'z', { recursive: true, verbatimSymlinks: true });
console.log(fs.readdirSync('z', { recursive: true }).length);
fs.rmSync('z', { recursive: true }); console.log(fs.existsSync('z'));
fs.accessSync('a/f2', fs.constants.R_OK); console.log(process.cwd() === process.env.HOME);
JS
node p.js
END

compare "fs: callbacks, promises, streams" <<'END'
cat >p.js <<'JS'
const fs = require('fs'), fsp = fs.promises, { pipeline } = require('stream/promises'), zlib = require('zlib'), readline = require('readline'), crypto = require('crypto');
(async () => {
	await fsp.mkdir('d');
	await Promise.all([...Array(100).keys()].map(i => fsp.writeFile(`d/${i}`, String(i).repeat(i))));
	console.log((await fsp.readdir('d')).length);
	const all = await Promise.all([...Array(100).keys()].map(i => fsp.readFile(`d/${i}`, 'utf8')));
	console.log(all.every((s, i) => s === String(i).repeat(i)));
	await Promise.all([...Array(50).keys()].map(i => fsp.unlink(`d/${i}`)));
	console.log((await fsp.readdir('d')).length); const h = await fsp.open('h', 'w+');
	await h.write('handle');
	console.log((await h.read(Buffer.alloc(10), 0, 10, 0)).bytesRead, (await h.stat()).size);
	await h.close();
	const w = fs.createWriteStream('big');
	for (let i = 0; i < 20000; i++) if (!w.write(`line ${i}\n`)) await new Promise(r => w.once('drain', r));
	await new Promise(r => w.end(r)); console.log((await fsp.stat('big')).size);
	await pipeline(fs.createReadStream('big'), zlib.createGzip(), fs.createWriteStream('big.gz'));
	const hash = crypto.createHash('md5');
	await pipeline(fs.createReadStream('big.gz'), zlib.createGunzip(), hash);
	console.log(hash.digest('hex')); await fsp.rm('big.gz');
	let n = 0;
	for await (const l of readline.createInterface({ input: fs.createReadStream('big', { start: 7 }) })) n++;
	console.log(n); for await (const e of await fsp.opendir('d')) n++; console.log(n);
	await new Promise(r => fs.stat('none', e => { console.log(e.code); r(); }));
	await new Promise(r => fs.access('d', e => { console.log(e); r(); }));
	await fsp.rm('d', { recursive: true }); await fsp.copyFile('h', 'h2');
	await fsp.rename('h2', 'h3'); console.log(await fsp.readFile('h3', 'utf8'));
	fs.readFile('h', (e, b) => fs.writeFile('cb', b, () => fs.readFile('cb', 'utf8', (e, s) => console.log('callback', s))));
})();
JS
node p.js
END

compare "fs.watch" <<'END'
cat >w.js <<'JS'
const fs = require('fs');
const w = fs.watch('.', (t, f) => { if (f === 'watched') { w.close(); console.log(f); } });
setTimeout(() => fs.writeFileSync('watched', ''), 50);
JS
node w.js
END

compare "child_process" <<'END'
cat >child.js <<'JS'
process.on('message', m => { if (m === 'end') process.exit(6); process.send({ got: m, pid: process.pid === process.ppid }); });
JS
cat >p.js <<'JS'
const cp = require('child_process'), fs = require('fs'), { once } = require('events');
(async () => {
	console.log(cp.execSync('echo sync; exit 0').toString(), cp.spawnSync('sh', ['-c', 'echo e >&2; exit 4']).status, cp.execFileSync('tr', ['a-z', 'A-Z'], { input: 'in' }).toString());
	const c = cp.spawn('cat'); let out = 0; c.stdout.on('data', d => out += d.length);
	c.stdin.end('y'.repeat(500000)); console.log(await once(c, 'close'), out);
	const rs = await Promise.all([...Array(10).keys()].map(i => new Promise(r => cp.exec(`echo ${i}; exit ${i}`, (e, so) => r([e ? e.code : 0, so.trim()])))));
	console.log(JSON.stringify(rs));
	const k = cp.spawn('sleep', ['20']); k.kill(); console.log(await once(k, 'exit'));
	const bad = cp.spawn('/none/such');
	console.log((await once(bad, 'error'))[0].code);
	const log = fs.openSync('log', 'a');
	const l = cp.spawn('sh', ['-c', 'echo to a file; echo err >&2'], { stdio: ['ignore', log, log] });
	await once(l, 'exit'); fs.writeSync(log, 'parent\n');
	console.log(fs.readFileSync('log', 'utf8'));
	const f = cp.fork('./child.js'); f.send('hello');
	console.log((await once(f, 'message'))[0]); f.send('end');
	console.log(await once(f, 'exit'));
	const a = cp.spawn('seq', ['1', '1000']), b = cp.spawn('wc', ['-l']);
	a.stdout.pipe(b.stdin); let s = ''; b.stdout.on('data', d => s += d);
	await once(b, 'close'); console.log(s.trim());
	const p = cp.spawn('sh', ['-c', 'echo fd3 >&3'], { stdio: ['inherit', 'inherit', 'inherit', 'pipe'] });
	let t = ''; p.stdio[3].on('data', d => t += d); await once(p, 'close');
	console.log(t.trim());
	const e = cp.spawn('sh', ['-c', 'pwd; echo $V'], { cwd: 'tmp', env: { V: '9', PATH: process.env.PATH } });
	let u = ''; e.stdout.on('data', d => u += d); await once(e, 'close');
	console.log(u.trim().split('/').pop());
	try { cp.execSync('exit 3', { stdio: 'ignore' }); } catch (x) { console.log(x.status); } try { cp.execSync('exec sleep 10', { timeout: 200 }); } catch (x) { console.log(x.code || x.signal); }
	process.on('SIGUSR2', () => { console.log('usr2'); process.exitCode = 5; });
	process.kill(process.pid, 'SIGUSR2'); await new Promise(r => setTimeout(r, 50));
})();
JS
node p.js; echo $?
echo 'console.log(require("fs").readFileSync(0, "utf8").length)' >in.js
head -c 200000 /dev/zero | node in.js
node -e 'process.stdout.write("x".repeat(100000))' | wc -c
printf '#!/usr/bin/env node\nconsole.log(process.argv.length, __filename.split("/").pop())\nprocess.exit(8)\n' >s
chmod +x s; ./s a b; echo $?
END

compare "worker threads, modules, require from here" <<'END'
mkdir -p node_modules/m lib
echo 'exports.name = "m"; exports.dep = require("../../lib/x")' >node_modules/m/index.js
echo '{"name":"m","main":"index.js"}' >node_modules/m/package.json
echo 'module.exports = __filename.split("/").slice(-2).join("/")' >lib/x.js
echo 'export const v = 3; export default () => import("./b.mjs")' >a.mjs
echo 'export const w = 4' >b.mjs
cat >p.js <<'JS'
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads'), fs = require('fs');
if (isMainThread) (async () => {
	const r = await Promise.all([...Array(5).keys()].map(i => new Promise((ok, no) => { const w = new Worker(__filename, { workerData: i }); w.on('message', ok); w.on('error', no); })));
	console.log(r, fs.readdirSync('.').filter(n => n.startsWith('w')).sort());
	const sab = new SharedArrayBuffer(4);
	console.log(require('m'), (await import('./a.mjs')).v, (await (await import('./a.mjs')).default()).w);
})();
else { for (let i = 0; i < 10; i++) fs.writeFileSync(`w${workerData}-${i}`, 'x'.repeat(workerData)); parentPort.postMessage(workerData * 2); }
JS
node p.js; node --test --test-reporter=tap /dev/null >/dev/null 2>&1; node --check p.js
echo $?
END

done_testing
