/* Calls the vsyscall page the way glibc before 2.14 does, and prints the time. */
#include <stdio.h>
#include <sys/time.h>

asm(".text\n.globl old_time\n.type old_time,@function\nold_time:\n"
    "sub $8,%rsp\nmovq $0xffffffffff600400,%rax\ncallq *%rax\nadd $8,%rsp\nret\n.size old_time,.-old_time\n");
asm(".globl old_gettimeofday\n.type old_gettimeofday,@function\nold_gettimeofday:\n"
    "sub $8,%rsp\nmovq $0xffffffffff600000,%rax\ncallq *%rax\nadd $8,%rsp\nret\n.size old_gettimeofday,.-old_gettimeofday\n");
asm(".globl old_getcpu\n.type old_getcpu,@function\nold_getcpu:\n"
    "sub $8,%rsp\nmovq $0xffffffffff600800,%rax\ncallq *%rax\nadd $8,%rsp\nret\n.size old_getcpu,.-old_getcpu\n");
extern long old_time(long *);
extern int old_gettimeofday(struct timeval *, void *);
extern int old_getcpu(unsigned *, unsigned *, void *);

int main(void) {
	struct timeval tv = {0};
	unsigned cpu = 12345;
	long t = old_time(0);
	if (old_gettimeofday(&tv, 0) || tv.tv_sec < t || old_getcpu(&cpu, 0, 0) || cpu == 12345) return 1;
	printf("time %ld\n", t);
	return 0;
}
