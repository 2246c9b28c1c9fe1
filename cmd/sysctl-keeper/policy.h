#include <stddef.h>
#include <stdint.h>

/* call is a rule: what is done when a system call is made. */
struct call {
	const char *name;
	uint32_t action;
};

/* Writes the filter of a policy to a file, for this machine's architecture and those that its kernel runs beside it. Where that
 * fails it returns -errno and what failed in step; -ENOSYS: there is no libseccomp; -ENOENT: step is the name of a system call
 * that is none. */
int sysctl_policy(uint32_t usual, const struct call *calls, size_t n, int no_forced_umount, int fd, const char **step);
