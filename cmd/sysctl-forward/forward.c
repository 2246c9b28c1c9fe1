/* forward: what is read, in which namespaces it works, and the loop of events. */
#define _GNU_SOURCE
#include "forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

enum { CONNECTION = 3, NFDS = 7 };

struct request request;
static int events;

static void answer(const char *line) {
	while (send(CONNECTION, line, strlen(line), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* fail tells the starter why, and ends. */
void fail(int error, const char *format, ...) {
	char why[512], line[600];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	snprintf(line, sizeof(line), "!%d %s", error, why);
	answer(line);
	_exit(1);
}

/* next takes one string off the request. */
static char *next(char **text, const char *end) {
	char *s = *text;

	if (s == end)
		fail(EINVAL, "request: short");
	*text += strlen(s) + 1;
	return s;
}

/* parse reads an endpoint. */
static void parse(struct endpoint *e, char **text, const char *end) {
	const char *proto = next(text, end), *where = next(text, end), *port = next(text, end);
	static char names[2][160];
	static int which;
	struct sockaddr_in *v4 = (struct sockaddr_in *)&e->to.sa;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&e->to.sa;
	struct sockaddr_un *un = (struct sockaddr_un *)&e->to.sa;

	e->datagrams = strcmp(proto, "udp") == 0;
	if (strcmp(proto, "unix") == 0) {
		size_t length = strlen(where);
		if (length >= sizeof(un->sun_path))
			fail(ENAMETOOLONG, "%s", where);
		un->sun_family = AF_UNIX;
		memcpy(un->sun_path, where, length);
		e->path = *where != '@';
		if (!e->path)
			un->sun_path[0] = '\0';
		e->to.length = offsetof(struct sockaddr_un, sun_path) + length + e->path;
	} else if (inet_pton(AF_INET, where, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(atoi(port));
		e->to.length = sizeof(*v4);
	} else if (inet_pton(AF_INET6, where, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(atoi(port));
		e->to.length = sizeof(*v6);
	} else {
		fail(EINVAL, "request: %s is no address", where);
	}
	char *name = names[which ^= 1];
	if (*port)
		snprintf(name, sizeof(names[0]), strchr(where, ':') ? "%s:[%s]:%s" : "%s:%s:%s", proto, where, port);
	else
		snprintf(name, sizeof(names[0]), "%s:%s", proto, where);
	e->name = strdup(name);
}

/* receive waits for the one packet there is. */
static void receive(void) {
	char byte;
	struct iovec io = {.iov_base = &byte, .iov_len = 1};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * NFDS)];
	} control;
	struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fds[NFDS];
	struct stat st;
	ssize_t n;

	do
		n = recvmsg(CONNECTION, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		_exit(0); /* a starter that died */
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fds)))
		fail(EINVAL, "request: wrong descriptors");
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	request.init = fds[1], request.net = fds[2], request.mnt = fds[3], request.user = fds[4];
	request.root = fds[5], request.mountinfo = fds[6];
	if (fstat(fds[0], &st) < 0 || st.st_size == 0)
		fail(EINVAL, "request: empty");
	char *text = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fds[0], 0);
	if (text == MAP_FAILED)
		fail(errno, "request: %s", strerror(errno));
	char *start = text, *end = text + st.st_size;
	if (end[-1] != '\0')
		fail(EINVAL, "request: short");
	request.inside = strcmp(next(&text, end), "instance") == 0;
	request.userns = *next(&text, end) == '1';
	request.again = *next(&text, end) == '1';
	request.base = strtoul(next(&text, end), NULL, 10);
	request.uid = strtoul(next(&text, end), NULL, 10);
	request.gid = strtoul(next(&text, end), NULL, 10);
	request.mode = strtoul(next(&text, end), NULL, 8);
	request.suid = strtoul(next(&text, end), NULL, 10);
	request.sgid = strtoul(next(&text, end), NULL, 10);
	request.proxy_protocol = *next(&text, end) == '1';
	while (text < end) {
		request.pairs = realloc(request.pairs, (request.npairs + 1) * sizeof(struct pair));
		if (!request.pairs)
			fail(ENOMEM, "%s", strerror(ENOMEM));
		struct pair *p = memset(&request.pairs[request.npairs++], 0, sizeof(struct pair));
		parse(&p->listen, &text, end);
		parse(&p->connect, &text, end);
	}
	munmap(start, st.st_size);
	close(fds[0]);
}

/* identity becomes the user that connects. One that still has to make sockets in the guest's tree keeps the way back. */
static void identity(void) {
	bool back = request.again;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (setgroups(0, NULL) < 0 || setresgid(request.sgid, request.sgid, back ? 0 : request.sgid) < 0 ||
	    setresuid(request.suid, request.suid, back ? 0 : request.suid) < 0)
		fail(errno, "become user %u and group %u: %s", request.suid, request.sgid, strerror(errno));
	if (!back && syscall(SYS_capset, &header, none) < 0)
		fail(errno, "drop capabilities: %s", strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		fail(errno, "prctl: %s", strerror(errno));
}

/* enter goes to where connections are made, for good. */
static void enter(void) {
	if (!request.inside) {
		if (request.userns && setns(request.user, CLONE_NEWUSER) < 0)
			fail(errno, "enter the guest's users: %s", strerror(errno));
		if (setns(request.net, CLONE_NEWNET) < 0 || setns(request.mnt, CLONE_NEWNS) < 0)
			fail(errno, "enter the guest: %s", strerror(errno));
	}
	identity();
	close(request.net), close(request.mnt), close(request.user);
	if (!request.again)
		close(request.root), close(request.mountinfo);
}

bool watch(struct source *source, uint32_t interest) {
	struct epoll_event e = {.events = interest, .data.ptr = source};

	return epoll_ctl(events, EPOLL_CTL_ADD, source->fd, &e) == 0;
}

/* dial begins a connection and returns its socket, or -1. That to a unix socket is there at once, or waits for a second. */
int dial(const struct endpoint *to) {
	int family = to->to.sa.ss_family, one = 1;
	int fd = socket(family, (to->datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | (family == AF_UNIX ? 0 : SOCK_NONBLOCK), 0);

	if (fd < 0)
		return -1;
	if (family == AF_UNIX) {
		struct timeval second = {.tv_sec = 1};
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
	} else if (!to->datagrams) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	}
	if ((connect(fd, (const struct sockaddr *)&to->to.sa, to->to.length) < 0 && errno != EINPROGRESS) ||
	    (family == AF_UNIX && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static void event(struct source *source, uint32_t what) {
	struct pair *pair = source->of;

	switch (source->kind) {
	case INIT:
		_exit(0);
	case MOUNTS:
		listen_again();
		break;
	case LISTENER:
		if (pair->listen.datagrams)
			datagram_arrived(pair);
		else
			stream_accept(pair);
		break;
	case STREAM:
		stream_event(source, what);
		break;
	case DATAGRAMS:
		datagram_answered(source);
		break;
	}
}

static void forward(void) {
	struct source init = {.kind = INIT}, mounts = {.kind = MOUNTS};
	struct rlimit files;
	struct epoll_event ready[64];

	signal(SIGPIPE, SIG_IGN);
	close_range(CONNECTION + 1, ~0U, 0); /* whatever liblxc's monitor has left open for its hooks */
	receive();
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_max = files.rlim_max < 65536 ? 65536 : files.rlim_max;
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if ((events = epoll_create1(EPOLL_CLOEXEC)) < 0)
		fail(errno, "epoll_create1: %s", strerror(errno));
	listen_all();
	enter();
	init.fd = request.init, mounts.fd = request.mountinfo;
	for (int i = 0; i < request.npairs; i++) {
		request.pairs[i].source.kind = LISTENER, request.pairs[i].source.of = &request.pairs[i];
		if (!watch(&request.pairs[i].source, EPOLLIN))
			fail(errno, "epoll_ctl: %s", strerror(errno));
	}
	if (!watch(&init, EPOLLIN) || (request.again && !watch(&mounts, EPOLLPRI | EPOLLET)))
		fail(errno, "epoll_ctl: %s", strerror(errno));
	answer(".");
	close(CONNECTION);
	for (;;) {
		int n = epoll_wait(events, ready, sizeof(ready) / sizeof(*ready), stream_again() ? 0 : -1);
		for (int i = 0; i < n; i++)
			event(ready[i].data.ptr, ready[i].events);
		stream_reap(); /* not before: a later event may be about it */
		datagram_reap();
	}
}

/* glibc calls constructors with main's arguments. */
static void __attribute__((constructor)) constructor(int argc, char **argv) {
	if (argc == 2 && strcmp(argv[1], "run") == 0)
		forward();
}
