/* How a process gets into a guest: see attach.go and doc/adr/0003-attach.md. The caller has threads and its children
 * have not, so they may use none of its locks: raw system calls only, and nothing of libc that has a state but errno.
 * glibc's wrappers of setresuid and the like would even signal threads that are not there. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "attach.h"

#define SIGSET_SIZE 8 /* the kernel's sigset_t: 64 signals */

/* How many files a process could open when this program began, in the kernel's words: Go's runtime raises the first number
 * to the second, and children that it does not make itself have that too. */
static uint64_t files[2];

static void __attribute__((constructor)) remember_files(void)
{
	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, files);
}

/* fail ends a child and says at what. */
static void fail(const struct attach *a, const char *step)
{
	a->outcome->error = errno;
	a->outcome->step = step;
	_exit(1);
}

/* try ends the child when a call has failed. */
static void try(const struct attach *a, long result, const char *step)
{
	if (result < 0)
		fail(a, step);
}

/* default_signals undoes handlers, which execve would, and ignored signals, which it would pass on. */
static void default_signals(void)
{
	uint64_t dfl[4] = {0}; /* the kernel's struct sigaction: SIG_DFL. libc's own call keeps two signals for itself. */

	for (int sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, dfl, NULL, SIGSET_SIZE); /* SIGKILL and SIGSTOP refuse */
}

/* confine takes away what root in the guest is not to have: a set of capabilities that execve can give is the bounding
 * set, or the inheritable set and a file's. */
static void confine(const struct attach *a)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	for (int cap = 0; cap < 64; cap++)
		if (!(a->bounding >> cap & 1) && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			try(a, prctl(PR_CAPBSET_DROP, cap, 0, 0, 0), "drop capabilities");
	try(a, syscall(SYS_capget, &header, caps), "read capabilities");
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		caps[i].inheritable = 0;
	try(a, syscall(SYS_capset, &header, caps), "drop capabilities");
}

/* label asks the LSM for the guest's profile from the exec on. The host's /proc knows this process too; the guest's
 * could be anything. */
static void label(const struct attach *a)
{
	if (a->proc < 0)
		return;
	int fd = openat(a->proc, "self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		fd = openat(a->proc, "self/attr/exec", O_WRONLY | O_CLOEXEC);
	try(a, fd, "open the AppArmor label");
	try(a, write(fd, a->label, strlen(a->label)), "set the AppArmor label");
	close(fd);
}

/* identify changes to the command's user. By way of the guest's root: only a change from that takes the capabilities
 * away (capabilities(7)), and the host's root is somebody else. The filter needs them. */
static void identify(const struct attach *a)
{
	try(a, syscall(SYS_setgroups, a->ngroups, a->groups), "set groups");
	try(a, syscall(SYS_setresgid, 0, 0, 0), "become the guest's root group");
	try(a, syscall(SYS_setresuid, 0, 0, 0), "become the guest's root");
	try(a, prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &a->filter, 0, 0), "set the seccomp filter");
	try(a, syscall(SYS_setresgid, a->gid, a->gid, a->gid), "set the group");
	try(a, syscall(SYS_setresuid, a->uid, a->uid, a->uid), "set the user");
}

/* limit gives the command the limits that its guest was given. Only the host's root may raise one. */
static void limit(const struct attach *a)
{
	for (size_t i = 0; i < a->nlimits; i++)
		try(a, syscall(SYS_prlimit64, 0, a->limits[i].resource, a->limits[i].values, NULL), "limit its processes");
}

/* limit_files lets the command open as many files as the caller's own caller could, and no more than the guest's init. */
static void limit_files(const struct attach *a)
{
	uint64_t limit[2];

	for (size_t i = 0; i < a->nlimits; i++)
		if (a->limits[i].resource == RLIMIT_NOFILE)
			return;
	for (int i = 0; i < 2; i++)
		limit[i] = files[i] < a->files ? files[i] : a->files;
	try(a, syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, limit, NULL), "limit how many files it may open");
}

/* run_program tries the paths as execvp(3) does: what is not there is passed over, what may not be run is remembered. */
static void run_program(const struct attach *a)
{
	int denied = 0;

	errno = ENOENT;
	for (char **p = a->programs; *p; p++) {
		execve(*p, a->argv, a->env);
		if (errno == ENOEXEC) {
			a->script[1] = *p;
			execve(a->script[0], a->script, a->env);
		}
		if (errno == EACCES)
			denied = EACCES;
		else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE && errno != ENODEV && errno != ETIMEDOUT)
			return;
	}
	if (denied)
		errno = denied;
}

/* command is the second child: in all the guest's namespaces, it becomes the command. */
static int command(void *arg)
{
	const struct attach *a = arg;
	uint64_t none = 0;

	umask(022);
	default_signals();
	/* In the caller's session it could type into the caller's terminal (TIOCSTI), wherever that is among its streams. */
	try(a, setsid(), "begin a session");
	if (a->terminal)
		try(a, ioctl(STDIN_FILENO, TIOCSCTTY, 0), "take the terminal");
	try(a, personality(a->personality), "set the personality");
	limit_files(a);
	confine(a);
	label(a);
	identify(a);
	try(a, syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, SIGSET_SIZE), "unblock signals");
	run_program(a);
	a->outcome->error = errno;
	_exit(1);
}

/* stdio puts the command's streams in their places. */
static void stdio(const struct attach *a)
{
	for (int i = 0; i < 3; i++) {
		if (a->stdio[i] >= 0)
			try(a, dup2(a->stdio[i], i), "set standard streams");
		fcntl(i, F_SETFD, 0); /* one that is closed stays closed */
	}
}

/* forget closes everything else of the caller's, but /proc. */
static void forget(struct attach *a)
{
	int first = STDERR_FILENO + 1;

	if (a->proc >= 0) {
		if (a->proc != first)
			try(a, dup3(a->proc, first, O_CLOEXEC), "keep /proc");
		a->proc = first++;
	}
	try(a, syscall(SYS_close_range, first, ~0U, 0), "close files");
}

/* logout takes the audit login id away. Where the kernel has locked it (audit's immutable loginuid) it stays: the command
 * runs, and only what gives its users ids of their own fails, as it would on the host. */
static void logout(void)
{
	static const char none[] = "4294967295";
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	ssize_t unused = write(fd, none, sizeof none - 1);
	(void)unused;
	close(fd);
}

/* enter is the first child: alone in a copy of the caller's memory, it enters the guest and makes there the second
 * one, a child of the caller. A process does not change its own pid namespace, only that of its children. */
static void enter(struct attach *a)
{
	static char stack[64 << 10] __attribute__((aligned(16))); /* each child has a copy */

	/* The guest must not trace what is the host's program until the exec, which makes it dumpable again. */
	try(a, prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "become undumpable");
	stdio(a);
	limit(a);
	if (a->logout)
		logout();
	for (size_t i = 0; i < a->ntasks; i++)
		try(a, write(a->tasks[i], "0", 1), "join the guest's cgroup");
	try(a, setns(a->init, a->namespaces), "enter the guest's namespaces");
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		fail(a, "make a session keyring");
	if (chdir(a->cwd) < 0)
		try(a, chdir("/"), "enter /");
	forget(a);
	/* It borrows this memory until the exec, and this child waits: nothing is copied twice. */
	try(a, clone(command, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD, a,
		     &a->outcome->pid), "start a process in the guest");
	_exit(0);
}

pid_t sysctl_attach(struct attach *a)
{
	struct clone_args args = {.exit_signal = SIGCHLD};
	uint64_t all = ~0ULL, before;

	if (a->cgroup >= 0) {
		args.flags = CLONE_INTO_CGROUP;
		args.cgroup = a->cgroup;
	}
	/* The caller's handlers must not run in the children. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, SIGSET_SIZE);
	pid_t pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		enter(a);
	if (pid < 0)
		pid = -errno;
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, SIGSET_SIZE);
	return pid;
}
