#include <sys/types.h>

pid_t sysctl_attach(const char *name, const char *lxcpath, char **argv, char **env, char *cwd,
		    uid_t uid, gid_t gid, gid_t *groups, size_t ngroups, int in, int out, int err);
