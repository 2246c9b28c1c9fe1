#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/filter.h>

/* outcome lies in memory that is shared with both children. Read it when the first child has ended. */
struct outcome {
	pid_t pid;        /* of the command, a child of the caller; 0: there is none */
	const char *step; /* what failed, a string of this program; NULL: nothing before the exec */
	int error;        /* why: errno of that step, or of the exec; 0: the command runs */
};

/* limit is one of a process (getrlimit(2)). */
struct limit {
	int resource;
	uint64_t values[2]; /* soft and hard, as the kernel has them */
};

/* attach is everything the children need, made before they are: they only make system calls. */
struct attach {
	struct outcome *outcome;

	int cgroup; /* cgroup v2 directory to be born in, or -1 */
	const int *tasks; /* tasks files of cgroup v1 */
	size_t ntasks;
	int init; /* pidfd of the guest's init */
	int namespaces; /* CLONE_NEW* */
	int proc; /* the host's /proc, or -1 where no label is to be set */
	const char *label; /* what is written to attr/exec */

	int stdio[3]; /* descriptors above 2, or -1 to leave one as it is */
	bool terminal; /* standard input becomes the controlling terminal */
	const char *cwd;
	unsigned long personality;
	uint64_t files; /* how many a command may open at most, where limits does not say it */
	const struct limit *limits; /* that the guest was given */
	size_t nlimits;
	bool logout; /* the command has no audit login id */
	uint64_t bounding; /* capabilities that stay in the bounding set */
	struct sock_fprog filter;
	const gid_t *groups;
	size_t ngroups;
	uid_t uid;
	gid_t gid;

	char **programs; /* paths to try */
	char **argv;
	char **script; /* argv of the shell that runs what has no known format; its second word is filled in */
	char **env;
};

/* Starts the first child and returns its pid, or -errno. It ends when the command has begun or cannot. */
pid_t sysctl_attach(struct attach *a);
