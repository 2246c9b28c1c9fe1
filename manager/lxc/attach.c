#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <lxc/attach_options.h>
#include <lxc/lxccontainer.h>

#include "attach.h"

/* run is what the attached process does: as lxc_attach_run_command, but it says why it cannot, which liblxc only
 * logs. */
static int run(void *payload)
{
	lxc_attach_command_t *c = payload;

	execvp(c->program, c->argv);
	int status = errno == ENOENT ? 127 : 126;
	dprintf(STDERR_FILENO, "sysctl: %s: %s\n", c->program, strerror(errno));
	return status;
}

/* See attach.go. Returns the pid of the attached process, a child of the caller, or -1. */
pid_t sysctl_attach(const char *name, const char *lxcpath, char **argv, char **env, char *cwd,
		    uid_t uid, gid_t gid, gid_t *groups, size_t ngroups, int in, int out, int err)
{
	struct lxc_container *c = lxc_container_new(name, lxcpath);
	if (!c)
		return -1;

	lxc_attach_options_t o = LXC_ATTACH_OPTIONS_DEFAULT;
	o.env_policy = LXC_ATTACH_CLEAR_ENV;
	o.extra_env_vars = env;
	o.initial_cwd = cwd;
	o.uid = uid;
	o.gid = gid;
	o.stdin_fd = in;
	o.stdout_fd = out;
	o.stderr_fd = err;
	if (ngroups > 0) {
		o.attach_flags |= LXC_ATTACH_SETGROUPS;
		o.groups.size = ngroups;
		o.groups.list = groups;
	}

	lxc_attach_command_t command = {.program = argv[0], .argv = argv};
	pid_t pid = -1;
	if (c->attach(c, run, &command, &o, &pid) < 0)
		pid = -1;
	lxc_container_put(c);
	return pid;
}
