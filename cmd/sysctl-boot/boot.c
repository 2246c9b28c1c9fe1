/* sysctl-boot starts one instance and goes away. It is the keeper's main job, and a program of its own: liblxc's monitor is a fork of this
 * process and keeps its memory for as long as the instance runs (doc/adr/0026).
 *
 * It is started by the manager, often before it knows what to boot, in a mount namespace of its own; the monitor it leaves
 * behind stays in that namespace for as long as the instance runs, so the instance's root is mounted nowhere else and is gone when the
 * monitor is.
 *
 * Its input is one packet on the socket that is file descriptor 3. The packet carries descriptors: of a file with the
 * request, of the detached mount that becomes the root, of each cgroup.procs to be entered besides, and of one detached
 * mount for each disk. The request is NUL-terminated strings: name, lxcpath, mount point, the cgroup.procs file to
 * join, how many are entered besides, where in the guest each disk goes ("=" and where it is put aside, of one below
 * /dev), and then pairs of liblxc key and value; keys that begin with "keeper." are for this program itself (own). Its output is one
 * packet: the init's pid, or "!" and why not. A socket that is closed ends it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <lxc/lxccontainer.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CONNECTION = 3, MAX_FDS = 253 }; /* SCM_MAX_FD, include/net/scm.h */

/* request is what a packet brings: the text, and the descriptors of the root and of the disks. */
struct request {
	char *text, *end;
	int fds[MAX_FDS];
	int nfds;
};

static void answer(const char *line) {
	size_t left = strlen(line);

	while (send(CONNECTION, line, left, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* fail tells the starter why, in one line, and ends. */
static void __attribute__((noreturn, format(printf, 1, 2))) fail(const char *format, ...) {
	char line[1024] = "!";
	va_list args;

	va_start(args, format);
	vsnprintf(line + 1, sizeof(line) - 1, format, args);
	va_end(args);
	answer(line);
	_exit(1);
}

/* receive waits for the one packet there is: descriptors, the first of which is a file with the text. A starter
 * that has no work after all, or died, closes its end. */
static void receive(struct request *r) {
	char byte;
	struct iovec io = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
	} control;
	struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t n;

	do
		n = recvmsg(CONNECTION, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		_exit(0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || (message.msg_flags & MSG_CTRUNC))
		fail("request: no descriptors");
	r->nfds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(r->fds, CMSG_DATA(c), r->nfds * sizeof(int));

	struct stat st;
	if (fstat(r->fds[0], &st) < 0 || st.st_size == 0)
		fail("request: empty");
	r->text = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, r->fds[0], 0);
	if (r->text == MAP_FAILED)
		fail("request: mmap: %s", strerror(errno));
	r->end = r->text + st.st_size;
	if (r->end[-1] != '\0')
		fail("request: short");
	close(r->fds[0]);
}

/* next takes one string off the request. */
static char *next(struct request *r) {
	char *s = r->text;

	if (s == r->end)
		fail("request: short");
	r->text += strlen(s) + 1;
	return s;
}

/* enter moves this process into the cgroup of an open cgroup.procs. */
static void enter(int procs, const char *name) {
	if (write(procs, "0", 1) != 1)
		fail("cgroup: join %s: %s", name, strerror(errno));
	close(procs);
}

/* join moves this process into a cgroup, made where it is not there, through the path of its cgroup.procs. */
static void join(char *procs) {
	char *name = strrchr(procs, '/');

	for (char *p = procs + 1; p <= name; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(procs, 0755) < 0 && errno != EEXIST)
			fail("cgroup: mkdir %s: %s", procs, strerror(errno));
		*p = '/';
	}
	int fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fail("cgroup: join %s: %s", procs, strerror(errno));
	enter(fd, procs);
}

/* hide keeps the hierarchies of cgroup v1 out of this mount namespace, where the host has cgroup v2 alone but somebody mounts
 * one where liblxc looks (cgfsng.c, __initialize_cgroups): it would take the host for a hybrid one, and then it sets no limit
 * and no device filter of cgroup v2. It looks again whenever the guest reboots, so what comes later must not come here. */
static void hide(void) {
	struct statfs fs;
	char line[4352], path[4400], *name, *end;

	if (statfs("/sys/fs/cgroup", &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
		return;
	if (mount("", "/sys/fs/cgroup", "", MS_PRIVATE, NULL) < 0)
		fail("make /sys/fs/cgroup private: %s", strerror(errno));
	FILE *f = fopen("/proc/self/cgroup", "re");
	if (!f)
		fail("/proc/self/cgroup: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (!(name = strchr(line, ':')) || !(end = strchr(++name, ':')) || end == name)
			continue;
		*end = '\0';
		if (strncmp(name, "name=", 5) == 0)
			name += 5;
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", name);
		while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
			;
		if (errno != EINVAL && errno != ENOENT)
			fail("unmount %s: %s", path, strerror(errno));
	}
	fclose(f);
}

/* attach moves a detached mount to a path inside the guest's root, which is resolved there: the guest's links lead nowhere
 * else. liblxc binds the root with what is mounted in it. */
static void attach(int mount, const char *root, const char *path) {
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		fail("attach disk at %s: open %s: %s", path, root, strerror(errno));
	int target = syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (target < 0)
		fail("attach disk at %s: %s", path, strerror(errno));
	if (syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		fail("attach disk at %s: move_mount: %s", path, strerror(errno));
	close(target);
	close(dir);
	close(mount);
}

/* ours makes a directory a tmpfs in this mount namespace alone, at the first call: there is one. */
static void ours(const char *dir) {
	static int made;

	if (made++)
		return;
	if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755") < 0)
		fail("files: mount %s: %s", dir, strerror(errno));
}

/* put_aside mounts a detached mount below a directory of ours, from where liblxc binds it to the guest's /dev. path is
 * that directory's and what follows in the guest, from /dev on. */
static void put_aside(int mount, char *path) {
	char *below = strstr(path, "/dev/"), *last = strrchr(path, '/');
	struct stat st;

	*below = '\0';
	ours(path);
	*below = '/';
	for (char *p = below + 1; p <= last; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			fail("disk: mkdir %s: %s", path, strerror(errno));
		*p = '/';
	}
	if (fstat(mount, &st) < 0)
		fail("disk: %s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode) ? mkdir(path, 0755) < 0 && errno != EEXIST : mknod(path, S_IFREG | 0644, 0) < 0)
		fail("disk: make %s: %s", path, strerror(errno));
	if (syscall(SYS_move_mount, mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		fail("disk: move_mount %s: %s", path, strerror(errno));
	close(mount);
}

static void mounts(struct request *r, const char *root, int joins) {
	/* What the host mounts and unmounts later reaches this namespace, so nothing of it is pinned; what is
	 * attached here stays here. */
	if (mount("", "/", "", MS_REC | MS_SLAVE, NULL) < 0)
		fail("make mounts slave: %s", strerror(errno));
	if (r->nfds < 2 + joins)
		fail("request: no root");
	if (syscall(SYS_move_mount, r->fds[1], "", AT_FDCWD, root, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		fail("attach root: move_mount %s: %s", root, strerror(errno));
	close(r->fds[1]);
	/* Disks are mounted and unmounted here while the guest runs. That reaches the guest, whose mounts are slaves of these, and
	 * there is no other way: in a user namespace it gets these mounts locked together. */
	if (mount("", root, "", MS_SHARED, NULL) < 0)
		fail("share root: %s", strerror(errno));
	for (int i = 2 + joins; i < r->nfds; i++) {
		char *path = next(r);
		if (*path == '=')
			put_aside(r->fds[i], path + 1);
		else
			attach(r->fds[i], root, path);
	}
}

/* added are bits of the personality (personality(2)) that the guest's init has beside what lxc.arch names. */
static unsigned long added;

/* personality takes the place of libc's for liblxc, which calls it in the child that becomes init, with what lxc.arch names
 * and nothing else: that would take away every bit that the child inherited. The monitor must not have the bits: it and its
 * hooks are programs of the host. */
int personality(unsigned long persona) {
	if (persona != 0xffffffff) /* which only asks */
		persona |= added;
	return syscall(SYS_personality, persona);
}

/* is_init reports whether a process, which may be dead and not yet waited for, is the first of a pid namespace below this one. */
static int is_init(pid_t pid) {
	char line[256], last[16] = {0};
	int levels = 0;

	snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
	FILE *f = fopen(line, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "NSpid:", 6) != 0)
			continue;
		for (char *word = strtok(line + 6, " \t\n"); word; word = strtok(NULL, " \t\n"), levels++)
			snprintf(last, sizeof(last), "%s", word);
		break;
	}
	fclose(f);
	return levels > 1 && strcmp(last, "1") == 0;
}

/* waitpid takes the place of libc's for liblxc, which tells its hooks nothing of how the init ended: the environment of
 * those that come after it has its status, as wait(2) has it, and how often the guest has asked for a reboot so far. Where liblxc cannot
 * start it again it tells its hooks of a reboot once more (lxc_end, start.c), and that number is still the same. */
pid_t waitpid(pid_t pid, int *status, int options) {
	static int asked;
	char number[16];
	int init = pid > 0 && is_init(pid), raw = 0;
	pid_t got = syscall(SYS_wait4, pid, &raw, options, NULL);

	if (got > 0 && status)
		*status = raw;
	if (got > 0 && init) {
		snprintf(number, sizeof(number), "%d", raw);
		setenv("SYSCTL_ENDED", number, 1);
		if (WIFSIGNALED(raw) && WTERMSIG(raw) == SIGHUP) {
			snprintf(number, sizeof(number), "%d", ++asked);
			setenv("SYSCTL_REBOOTS", number, 1);
		}
	}
	return got;
}

/* put makes a file of the guest's in that directory of ours. */
static void put(const char *path, const char *content) {
	char dir[256];
	size_t length = strlen(content);

	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	ours(dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || fchmod(fd, 0644) < 0 || write(fd, content, length) != (ssize_t)length)
		fail("files: write %s: %s", path, strerror(errno));
	close(fd);
}

/* logout takes the audit login id of whoever starts the guest away. Where the kernel has locked it, it stays. */
static void logout(const char *none) {
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	ssize_t unused = write(fd, none, strlen(none));
	(void)unused;
	close(fd);
}

/* hook is liblxc's command line of the start-host hook, which waits at the gate, a named pipe, and does more where one of the
 * records is there. */
static struct {
	const char *line, *gate, *records[2];
} hook;

/* quick does the work of the start-host hook where it only has to wait, and reports whether that is so. A guest's init waits for it,
 * and a shell would need longer to begin than for all that it does. */
static int quick(const char *line, int *status) {
	char go[8];
	ssize_t n;

	if (!hook.line || !hook.gate || strncmp(line, "exec ", 5) != 0 || strncmp(line + 5, hook.line, strlen(hook.line)) != 0)
		return 0;
	for (int i = 0; i < 2; i++)
		if (!hook.records[i] || access(hook.records[i], F_OK) == 0 || errno != ENOENT)
			return 0;
	*status = 0;
	int fd = open(hook.gate, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT;
	do
		n = read(fd, go, sizeof(go));
	while (n < 0 && errno == EINTR);
	*status = n <= 0 && access(hook.gate, F_OK) == 0; /* shut, and who could open it is gone */
	return 1;
}

/* execl takes the place of libc's for liblxc, which has a shell run each hook (run_buffer, utils.c). This is the child that would
 * become it. */
int execl(const char *path, const char *arg, ...) {
	char *argv[16] = {(char *)arg};
	va_list rest;
	int n = 0, status;

	va_start(rest, arg);
	while (argv[n] && ++n < 15)
		argv[n] = va_arg(rest, char *);
	va_end(rest);
	if (n == 3 && strcmp(argv[1], "-c") == 0 && quick(argv[2], &status))
		_exit(status);
	return execv(path, argv);
}

/* own does what is asked of the keeper and not of liblxc. */
static void own(const char *what, const char *value) {
	if (strcmp(what, "hook") == 0)
		hook.line = value;
	else if (strcmp(what, "gate") == 0)
		hook.gate = value;
	else if (strcmp(what, "limits") == 0)
		hook.records[0] = value;
	else if (strcmp(what, "wiring") == 0)
		hook.records[1] = value;
	else if (strcmp(what, "personality") == 0)
		added = strtoul(value, NULL, 16);
	else if (strcmp(what, "loginuid") == 0)
		logout(value);
	else if (strncmp(what, "file:/", 6) == 0)
		put(what + 5, value);
	else
		fail("request: unknown key keeper.%s", what);
}

int main(void) {
	struct request r = {0};
	char line[32];

	receive(&r);
	char *name = next(&r), *path = next(&r), *root = next(&r), *procs = next(&r);
	int joins = atoi(next(&r));
	mounts(&r, root, joins);
	hide();
	struct lxc_container *c = lxc_container_new(name, path);
	if (!c)
		fail("new container");
	/* Only reading a file tells liblxc 5 the name that its AppArmor profile is generated for (conf->name, lxccontainer.c,
	 * load_config_locked); without one it takes its lxcpath for the profile's file. */
	if (!c->load_config(c, "/dev/null"))
		fail("new container: load_config");
	while (r.text < r.end) {
		char *key = next(&r), *value = next(&r);
		if (strncmp(key, "keeper.", 7) == 0)
			own(key + 7, value);
		else if (!c->set_config_item(c, key, value))
			fail("set %s = %s", key, value);
	}
	if (!c->want_close_all_fds(c, true))
		fail("close fds");
	join(procs);
	for (int i = 0; i < joins; i++)
		enter(r.fds[2 + i], "hierarchy");
	/* Its starter was killed: what that means is decided at the gate (manager/lxc/gate.go). liblxc's monitor kills a guest whose
	 * keeper it cannot tell that it runs (lxc_set_state, start.c). Whoever clears up finds this process in its cgroup. */
	if (prctl(PR_SET_PDEATHSIG, 0) < 0)
		fail("prctl: %s", strerror(errno));
	if (!c->start(c, 0, NULL))
		fail("start");
	snprintf(line, sizeof(line), "%d", (int)c->init_pid(c));
	answer(line);
	_exit(0); /* without what liblxc would tidy */
}
