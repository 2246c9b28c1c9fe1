/* stream: connections of tcp and unix sockets. What comes in on one side is spliced to the other through a pipe, in the kernel. */
#define _GNU_SOURCE
#include "forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { CHUNK = 65536, ROUNDS = 16, CLIENT_SIDE = 0, TARGET_SIDE = 1 };

/* session is one connection and its counterpart. way[i] is what comes from side i. */
struct session {
	struct source side[2];
	struct {
		int pipe[2];
		ssize_t held; /* bytes in the pipe */
		bool ended, done; /* nothing more comes in; and that has been told to the other side */
	} way[2];
	bool connected, dead, waits;
	struct session *next_dead, *next_waiting;
};

static struct session *dead, *waiting;
static int spare = -1; /* a descriptor to give up where there are no more: it lets a connection be refused */

static void end(struct session *s) {
	if (s->dead)
		return;
	s->dead = true;
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 2; j++)
			if (s->way[i].pipe[j] >= 0)
				close(s->way[i].pipe[j]);
		if (s->side[i].fd >= 0)
			close(s->side[i].fd);
	}
	s->next_dead = dead;
	dead = s;
}

void stream_reap(void) {
	while (dead) {
		struct session *s = dead;
		dead = s->next_dead;
		free(s);
	}
}

/* pump moves what there is from one side to the other. It gives up after some rounds, so that others have their turn: then it
 * returns true. */
static bool pump(struct session *s, int from) {
	typeof(s->way[0]) *w = &s->way[from];
	int in = s->side[from].fd, out = s->side[!from].fd;

	for (int round = 0; round < ROUNDS && !w->done; round++) {
		if (w->held == 0 && !w->ended) {
			ssize_t n = splice(in, NULL, w->pipe[1], NULL, CHUNK, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n < 0 && errno == EAGAIN)
				return false;
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0) {
				end(s);
				return false;
			}
			w->ended = n == 0;
			w->held += n;
		}
		if (w->held > 0) {
			ssize_t n = splice(w->pipe[0], NULL, out, NULL, w->held, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
			if (n < 0 && errno == EAGAIN)
				return false;
			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0) {
				end(s);
				return false;
			}
			w->held -= n;
		}
		if (w->ended && w->held == 0) {
			shutdown(out, SHUT_WR);
			w->done = true;
		}
	}
	return !w->done;
}

static void move(struct session *s) {
	bool more = pump(s, CLIENT_SIDE);

	if (!s->dead && pump(s, TARGET_SIDE))
		more = true;
	if (s->dead)
		return;
	if (s->way[0].done && s->way[1].done) {
		end(s);
	} else if (more && !s->waits) {
		s->waits = true;
		s->next_waiting = waiting;
		waiting = s;
	}
}

/* stream_again goes on with sessions that had more than their turn, and reports whether there are still some. */
bool stream_again(void) {
	struct session *list = waiting;

	waiting = NULL;
	while (list) {
		struct session *s = list;
		list = s->next_waiting;
		s->waits = false;
		if (!s->dead)
			move(s);
	}
	stream_reap();
	return waiting;
}

/* printed writes address and port of a socket for the PROXY protocol, and returns its family: 4, 6, or 0 for a unix socket. */
static int printed(const struct sockaddr_storage *sa, char *text, int *port) {
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	if (sa->ss_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, text, INET6_ADDRSTRLEN);
		*port = ntohs(v4->sin_port);
		return 4;
	}
	if (sa->ss_family != AF_INET6)
		return 0;
	*port = ntohs(v6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, text, INET6_ADDRSTRLEN);
		return 4;
	}
	inet_ntop(AF_INET6, &v6->sin6_addr, text, INET6_ADDRSTRLEN);
	return 6;
}

/* introduce tells the target who its client is: the PROXY protocol, version 1. The socket is new, so it takes it whole. */
static bool introduce(struct session *s) {
	struct sockaddr_storage peer = {0}, own = {0};
	socklen_t peer_length = sizeof(peer), own_length = sizeof(own);
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN], line[128];
	int from_port, to_port, family = 0;

	getpeername(s->side[CLIENT_SIDE].fd, (struct sockaddr *)&peer, &peer_length);
	getsockname(s->side[CLIENT_SIDE].fd, (struct sockaddr *)&own, &own_length);
	if (printed(&peer, from, &from_port) && (family = printed(&own, to, &to_port)))
		snprintf(line, sizeof(line), "PROXY TCP%d %s %s %d %d\r\n", family, from, to, from_port, to_port);
	else
		snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
	ssize_t length = strlen(line);
	return send(s->side[TARGET_SIDE].fd, line, length, MSG_NOSIGNAL) == length;
}

/* stream_event is called when something of either side has changed. */
void stream_event(struct source *source, uint32_t events) {
	struct session *s = source->of;

	(void)events;
	if (s->dead)
		return;
	if (!s->connected) {
		int error = 0;
		socklen_t length = sizeof(error);
		struct sockaddr_storage peer;
		socklen_t size = sizeof(peer);
		if (getsockopt(s->side[TARGET_SIDE].fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0 || error) {
			end(s);
			return;
		}
		if (getpeername(s->side[TARGET_SIDE].fd, (struct sockaddr *)&peer, &size) < 0)
			return; /* still on its way */
		s->connected = true;
		if (request.proxy_protocol && !introduce(s)) {
			end(s);
			return;
		}
	}
	move(s);
}

static void begin(struct pair *pair, int client) {
	struct session *s = calloc(1, sizeof(*s));
	int one = 1;

	if (!s) {
		close(client);
		return;
	}
	s->way[0].pipe[0] = s->way[0].pipe[1] = s->way[1].pipe[0] = s->way[1].pipe[1] = -1;
	s->side[CLIENT_SIDE] = (struct source){.kind = STREAM, .fd = client, .of = s};
	s->side[TARGET_SIDE] = (struct source){.kind = STREAM, .fd = dial(&pair->connect), .of = s};
	if (pair->listen.to.sa.ss_family != AF_UNIX) {
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(client, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	}
	/* Edges only: who is told of one moves everything there is. */
	if (s->side[TARGET_SIDE].fd < 0 || pipe2(s->way[0].pipe, O_NONBLOCK | O_CLOEXEC) < 0 || pipe2(s->way[1].pipe, O_NONBLOCK | O_CLOEXEC) < 0 ||
	    !watch(&s->side[TARGET_SIDE], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET) ||
	    !watch(&s->side[CLIENT_SIDE], EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET))
		end(s);
}

/* stream_accept takes the connections that wait, but not all at once. */
void stream_accept(struct pair *pair) {
	if (spare < 0)
		spare = open("/", O_PATH | O_CLOEXEC);
	for (int i = 0; i < ROUNDS; i++) {
		int fd = accept4(pair->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			begin(pair, fd);
		} else if ((errno == EMFILE || errno == ENFILE) && spare >= 0) {
			close(spare);
			if ((fd = accept4(pair->source.fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
				close(fd);
			spare = open("/", O_PATH | O_CLOEXEC);
		} else {
			return;
		}
	}
}
