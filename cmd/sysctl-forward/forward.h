/* forward: what the parts of sysctl-forward share. See main.go for the protocol. */
#ifndef FORWARD_H
#define FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

/* address is a socket address of any family. */
struct address {
	struct sockaddr_storage sa;
	socklen_t length;
};

/* endpoint is one side of a pair. A unix socket with a path has path, an abstract one has not. */
struct endpoint {
	bool datagrams, path;
	struct address to;
	const char *name; /* for people */
};

enum kind { LISTENER, STREAM, DATAGRAMS, INIT, MOUNTS };

/* source is what an event of epoll is about. */
struct source {
	enum kind kind;
	int fd;
	void *of; /* of a LISTENER its struct pair, of the others what their file says */
};

struct pair {
	struct endpoint listen, connect;
	struct source source;
	ino_t inode; /* of a listening socket with a path */
	dev_t device;
};

/* request is everything that this process was told. */
struct request {
	bool inside; /* listens in the guest */
	bool userns, proxy_protocol;
	bool again; /* it makes sockets anew in the guest's tree */
	uid_t base; /* root of the side that listens, and its group */
	uid_t uid, suid;
	gid_t gid, sgid;
	mode_t mode;
	int init, net, mnt, user, root, mountinfo;
	struct pair *pairs;
	int npairs;
};

extern struct request request;

void fail(int error, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* listen.c */
void listen_all(void);
void listen_again(void);

/* stream.c */
void stream_accept(struct pair *pair);
void stream_event(struct source *source, uint32_t events);
bool stream_again(void);
void stream_reap(void);

/* datagram.c */
void datagram_arrived(struct pair *pair);
void datagram_answered(struct source *source);
void datagram_reap(void);

/* forward.c */
bool watch(struct source *source, uint32_t events);
int dial(const struct endpoint *to);

#endif
