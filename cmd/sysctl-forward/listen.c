/* listen: the sockets that connections come in by. */
#define _GNU_SOURCE
#include "forward.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* directory opens the directory of a unix socket. The guest's is resolved by the kernel inside of it: its links lead nowhere
 * else. name is set to the last part of the path. */
static int directory(const struct endpoint *e, const char **name) {
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const char *path = ((const struct sockaddr_un *)&e->to.sa)->sun_path;
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};

	*name = strrchr(path, '/') + 1;
	snprintf(dir, sizeof(dir), "%.*s", (int)(*name - path), path);
	if (!request.inside)
		return open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return syscall(SYS_openat2, request.root, dir, &how, sizeof(how));
}

/* abandoned reports a socket that nobody listens on: one that a run has left. */
static bool abandoned(const struct sockaddr_un *at, socklen_t length) {
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool yes = lstat(at->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
		connect(fd, (const struct sockaddr *)at, length) < 0 && errno == ECONNREFUSED;

	close(fd);
	return yes;
}

/* bind_path gives a socket its name, with the mode that it has itself: nobody can open it before it is as it is to be. In the
 * guest it is made as its root would (whose ids are shifted), and then given to its owner. Returns an error number. */
static int bind_path(int fd, struct pair *pair) {
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	const char *name;
	struct stat st;
	int error = 0, dir = directory(&pair->listen, &name);

	if (dir < 0)
		return errno;
	int length = snprintf(at.sun_path, sizeof(at.sun_path), "/proc/self/fd/%d/%s", dir, name);
	if (length >= (int)sizeof(at.sun_path)) {
		close(dir);
		return ENAMETOOLONG;
	}
	socklen_t size = offsetof(struct sockaddr_un, sun_path) + length + 1;
	mode_t mask = umask(0);
	setfsgid(request.base), setfsuid(request.base);
	for (int tries = 0; tries < 2; tries++) {
		error = bind(fd, (struct sockaddr *)&at, size) < 0 ? errno : 0;
		if (error != EADDRINUSE || !abandoned(&at, size) || unlink(at.sun_path) < 0)
			break;
	}
	setfsuid(0), setfsgid(0);
	umask(mask);
	if (!error && (fchownat(dir, name, request.uid, request.gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		       fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0))
		error = errno;
	if (!error)
		pair->inode = st.st_ino, pair->device = st.st_dev;
	close(dir);
	return error;
}

/* open_listener makes the socket of a pair. Returns an error number. */
static int open_listener(struct pair *pair) {
	const struct endpoint *e = &pair->listen;
	int family = e->to.sa.ss_family, one = 1, zero = 0, error = 0;
	int fd = socket(family, (e->datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	if (family != AF_UNIX) {
		if (!e->datagrams)
			setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (request.inside) /* its interfaces have no addresses yet */
			setsockopt(fd, SOL_IP, IP_FREEBIND, &one, sizeof(one));
		if (family == AF_INET6)
			setsockopt(fd, SOL_IPV6, IPV6_V6ONLY, IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&e->to.sa)->sin6_addr) ? &zero : &one, sizeof(one));
	}
	if (e->datagrams) { /* to answer from where one was asked */
		setsockopt(fd, SOL_IP, IP_PKTINFO, &one, sizeof(one));
		if (family == AF_INET6)
			setsockopt(fd, SOL_IPV6, IPV6_RECVPKTINFO, &one, sizeof(one));
	}
	if (e->path && fchmod(fd, request.mode) < 0)
		error = errno;
	else if (e->path)
		error = bind_path(fd, pair);
	else if (bind(fd, (const struct sockaddr *)&e->to.sa, e->to.length) < 0)
		error = errno;
	if (!error && !e->datagrams && listen(fd, SOMAXCONN) < 0)
		error = errno;
	if (error)
		close(fd);
	else
		pair->source.fd = fd;
	return error;
}

/* listen_all makes all of them, in the network of the side where they listen. */
void listen_all(void) {
	int home = request.inside ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : -1;

	if (request.inside && (home < 0 || setns(request.net, CLONE_NEWNET) < 0))
		fail(errno, "enter the guest's network: %s", strerror(errno));
	for (int i = 0; i < request.npairs; i++) {
		int error = open_listener(&request.pairs[i]);
		if (error)
			fail(error, "listen on %s: %s", request.pairs[i].listen.name, strerror(error));
	}
	if (request.inside && setns(home, CLONE_NEWNET) < 0)
		fail(errno, "leave the guest's network: %s", strerror(errno));
	if (home >= 0)
		close(home);
}

/* listen_again makes the guest's sockets anew over which the guest has mounted something since: most do that with /run when they
 * boot. What cannot be made now may be after the next mount. */
void listen_again(void) {
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (seteuid(0) < 0 || setegid(0) < 0)
		return;
	for (int i = 0; i < request.npairs; i++) {
		struct pair *p = &request.pairs[i];
		const char *name;
		struct stat st;
		int dir = p->listen.path ? directory(&p->listen, &name) : -1;
		if (dir < 0)
			continue;
		int there = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);
		close(dir);
		if (there == 0 && st.st_ino == p->inode && st.st_dev == p->device)
			continue;
		int old = p->source.fd;
		if (open_listener(p) != 0)
			continue;
		close(old); /* epoll forgets it */
		watch(&p->source, EPOLLIN);
	}
	if (setegid(gid) < 0 || seteuid(uid) < 0)
		_exit(1);
}
