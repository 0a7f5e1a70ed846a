#include "unit/fs.h"
#include <time.h>
static struct fsw f;
static char buf[4096];
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return (double)t.tv_sec*1e9+(double)t.tv_nsec;}
#define N 20000
#define BENCH(what, n, ...) do { double t0=now(); for (u32 i=0;i<(n);i++){ __VA_ARGS__; } printf("%-28s %7.1f ns\n", what, (now()-t0)/(n)); } while(0)
int main(void)
{
	static char names[N][16]; static u64 inos[N];
	for (u32 i=0;i<N;i++) snprintf(names[i],16,"file%u",i);
	fsw_new(&f, &(struct world_cfg){ .cores = 1, .size=512<<20 }, 0);
	u64 d = (u64)mk(&f, INO_ROOT, "d", HS_IFDIR|0755);
	struct rep_FSTAT st;
	for (int r=0;r<3;r++) {
	BENCH("create", N, inos[i]=(u64)mk(&f,d,names[i],HS_IFREG|0644));
	BENCH("resolve", N, look(&f,d,names[i]));
	BENCH("resolve hot", N, look(&f,d,names[5]));
	BENCH("fstat", N, FS(&f,fstat,FSTAT,&st,.ino=inos[i]));
	BENCH("write 4K new", N, wr(&f,inos[i],0,buf,4096));
	BENCH("write 4K over", N, wr(&f,inos[i],0,buf,4096));
	BENCH("write 4K hot", N, wr(&f,inos[7],0,buf,4096));
	BENCH("read 4K", N, rd(&f,inos[i],0,buf,4096));
	BENCH("read 4K hot", N, rd(&f,inos[7],0,buf,4096));
	BENCH("read 1 hot", N, rd(&f,inos[7],0,buf,1));
	BENCH("open+close", N, op(&f,inos[i],O_RDONLY); cl(&f,inos[i],O_RDONLY));
	BENCH("unlink", N, rm(&f,d,names[i]));
	BENCH("create+unlink hot", N, mk(&f,d,"x",HS_IFREG|0644);rm(&f,d,"x"));
	BENCH("mkdir+rmdir", N, mk(&f,d,"x",HS_IFDIR|0755);rmdir_all(&f,d,"x"));
	puts("");
	}
	return 0;
}
