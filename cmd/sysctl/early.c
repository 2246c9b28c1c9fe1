/* What a start waits for longest is an RCU grace period, for the first write to a cgroup.procs after a quiet while
 * (manager/lxc/warm.go, which does this again for whoever comes another way), and so does a guest that halts. For the verbs
 * that start or halt something it begins here, some milliseconds before the Go runtime is there. It moves this process to
 * where it is; whatever does not work is left to others. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../manager/lxc/warm.h"

/* own_procs opens the cgroup.procs of this process's cgroup v2, on a pure or a hybrid host. */
static int own_procs(void) {
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char text[8192], path[9000];
	int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	char *own = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
	if (!own)
		return -1;
	own = strchr(own, '/');
	own[strcspn(own, "\n")] = '\0';
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s%s/cgroup.procs", roots[i], own);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* moves reports whether a verb makes processes move between cgroups. */
static int moves(const char *verb) {
	static const char *const verbs[] = {"launch", "start", "stop", "restart"};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (strcmp(verb, verbs[i]) == 0)
			return 1;
	return 0;
}

/* glibc calls constructors with main's arguments. */
static void __attribute__((constructor)) early(int argc, char **argv) {
	if (argc < 3 || geteuid() != 0 || !moves(argv[1]))
		return;
	int fd = own_procs();
	if (fd >= 0)
		warm(fd);
}
