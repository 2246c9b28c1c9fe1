/* datagram: udp. Everybody who sends gets a socket of his own towards the target, whose answers go back to him, until nothing has
 * gone either way for some minutes. */
#define _GNU_SOURCE
#include "forward.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, IDLE = 180 /* seconds */, ROUNDS = 64, BUCKETS = 1024 };

/* control is room for where a datagram was sent to. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* correspondent is somebody who sent something, in a list by age and in one by hash. */
struct correspondent {
	struct source source; /* the socket towards the target */
	struct pair *pair;
	struct address who;
	struct in6_pktinfo at; /* which of our addresses he knows; an IPv4 one as IPv6 has it */
	time_t last;
	bool dead;
	struct correspondent *older, *newer, *same_hash, *next_dead;
};

static struct correspondent *buckets[BUCKETS], *oldest, *newest, *dead;
static int count;
static char buffer[65536];

static time_t now(void) {
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return t.tv_sec;
}

static unsigned hash(const struct pair *pair, const struct address *who) {
	unsigned h = 2166136261u ^ (unsigned)(pair - request.pairs);

	for (socklen_t i = 0; i < who->length; i++)
		h = (h ^ ((const unsigned char *)&who->sa)[i]) * 16777619u;
	return h % BUCKETS;
}

static void unlink_age(struct correspondent *c) {
	*(c->older ? &c->older->newer : &oldest) = c->newer;
	*(c->newer ? &c->newer->older : &newest) = c->older;
}

static void link_newest(struct correspondent *c) {
	c->last = now();
	c->newer = NULL;
	c->older = newest;
	*(newest ? &newest->newer : &oldest) = c;
	newest = c;
}

static void forget(struct correspondent *c) {
	struct correspondent **at = &buckets[hash(c->pair, &c->who)];

	while (*at != c)
		at = &(*at)->same_hash;
	*at = c->same_hash;
	unlink_age(c);
	close(c->source.fd);
	count--;
	c->dead = true;
	c->next_dead = dead;
	dead = c;
}

void datagram_reap(void) {
	while (dead) {
		struct correspondent *c = dead;
		dead = c->next_dead;
		free(c);
	}
}

/* find returns who sent something, known or new, or NULL where no socket can be had for him. */
static struct correspondent *find(struct pair *pair, const struct address *who, const struct in6_pktinfo *at) {
	unsigned h = hash(pair, who);

	for (struct correspondent *c = buckets[h]; c; c = c->same_hash) {
		if (c->pair != pair || c->who.length != who->length || memcmp(&c->who.sa, &who->sa, who->length) != 0 ||
		    memcmp(&c->at.ipi6_addr, &at->ipi6_addr, sizeof(at->ipi6_addr)) != 0)
			continue;
		unlink_age(c);
		link_newest(c);
		return c;
	}
	while (oldest && (count >= MOST || oldest->last + IDLE < now()))
		forget(oldest);
	struct correspondent *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->pair = pair, c->who = *who, c->at = *at;
	c->source = (struct source){.kind = DATAGRAMS, .fd = dial(&pair->connect), .of = c};
	if (c->source.fd < 0 || !watch(&c->source, EPOLLIN)) {
		if (c->source.fd >= 0)
			close(c->source.fd);
		free(c);
		return NULL;
	}
	c->same_hash = buckets[h];
	buckets[h] = c;
	count++;
	link_newest(c);
	return c;
}

/* addressed finds out to which of our addresses a datagram was sent. */
static struct in6_pktinfo addressed(struct msghdr *m) {
	struct in6_pktinfo at = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			memcpy(&at, CMSG_DATA(c), sizeof(at));
			break;
		}
		if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo v4;
			memcpy(&v4, CMSG_DATA(c), sizeof(v4));
			memset(&at, 0, sizeof(at));
			at.ipi6_addr.s6_addr[10] = at.ipi6_addr.s6_addr[11] = 0xff;
			memcpy(at.ipi6_addr.s6_addr + 12, &v4.ipi_addr, 4);
		}
	}
	return at;
}

/* datagram_arrived passes on what clients have sent. */
void datagram_arrived(struct pair *pair) {
	for (int i = 0; i < ROUNDS; i++) {
		struct address who = {.length = sizeof(who.sa)};
		struct iovec io = {.iov_base = buffer, .iov_len = sizeof(buffer)};
		union control control;
		struct msghdr m = {.msg_name = &who.sa, .msg_namelen = who.length, .msg_iov = &io, .msg_iovlen = 1,
				   .msg_control = &control, .msg_controllen = sizeof(control)};
		ssize_t n = recvmsg(pair->source.fd, &m, MSG_DONTWAIT);
		if (n < 0)
			return;
		who.length = m.msg_namelen;
		struct in6_pktinfo at = addressed(&m);
		struct correspondent *c = find(pair, &who, &at);
		if (c && send(c->source.fd, buffer, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
			send(c->source.fd, buffer, n, MSG_DONTWAIT | MSG_NOSIGNAL); /* that was about the last one */
	}
}

/* back sends an answer from the address that was asked. */
static void back(struct correspondent *c, size_t n) {
	struct iovec io = {.iov_base = buffer, .iov_len = n};
	union control control;
	struct msghdr m = {.msg_name = &c->who.sa, .msg_namelen = c->who.length, .msg_iov = &io, .msg_iovlen = 1, .msg_control = &control};
	struct cmsghdr *h = &control.header;

	memset(&control, 0, sizeof(control));
	if (c->who.sa.ss_family == AF_INET) {
		struct in_pktinfo v4 = {0};
		memcpy(&v4.ipi_spec_dst, c->at.ipi6_addr.s6_addr + 12, 4);
		h->cmsg_level = SOL_IP, h->cmsg_type = IP_PKTINFO, h->cmsg_len = CMSG_LEN(sizeof(v4));
		memcpy(CMSG_DATA(h), &v4, sizeof(v4));
		m.msg_controllen = CMSG_SPACE(sizeof(v4));
	} else {
		struct in6_pktinfo v6 = c->at;
		if (!IN6_IS_ADDR_LINKLOCAL(&v6.ipi6_addr))
			v6.ipi6_ifindex = 0;
		h->cmsg_level = SOL_IPV6, h->cmsg_type = IPV6_PKTINFO, h->cmsg_len = CMSG_LEN(sizeof(v6));
		memcpy(CMSG_DATA(h), &v6, sizeof(v6));
		m.msg_controllen = CMSG_SPACE(sizeof(v6));
	}
	sendmsg(c->pair->source.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* datagram_answered passes on what the target has answered somebody. */
void datagram_answered(struct source *source) {
	struct correspondent *c = source->of;

	if (c->dead)
		return;
	for (int i = 0; i < ROUNDS; i++) {
		ssize_t n = recv(c->source.fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0)
			return; /* nothing more; or nobody is there, which the client finds out by itself */
		unlink_age(c);
		link_newest(c);
		back(c, n);
	}
}
