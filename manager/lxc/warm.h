/* The first write to a cgroup.procs after a quiet while waits for an RCU grace period (warm.go). It is made on a thread that Go's scheduler
 * knows nothing of: one of its own would keep a processor from every other goroutine until the scheduler takes it away, which on a
 * machine of two processors is most of a start. cmd/sysctl makes it too, before there is a Go runtime. */
#include <pthread.h>
#include <unistd.h>

static void *write_procs(void *fd) {
	if (write((int)(long)fd, "0", 1) < 0) {
		/* nothing is lost but time */
	}
	close((int)(long)fd);
	return NULL;
}

/* warm moves the process to the cgroup it is in, through an open cgroup.procs, which it closes; it does not wait for it. */
static void warm(int fd) {
	pthread_t thread;

	if (pthread_create(&thread, NULL, write_procs, (void *)(long)fd) == 0)
		pthread_detach(thread);
	else
		close(fd);
}
