/* A write that waits, on a thread that Go's scheduler knows nothing of: one of its own would keep a processor from every other
 * goroutine until the scheduler takes it away, which on a machine of two processors is most of a start. */
#include <pthread.h>
#include <unistd.h>

#include "warm.h"

static void *write_procs(void *fd) {
	if (write((int)(long)fd, "0", 1) < 0) {
		/* nothing is lost but time */
	}
	close((int)(long)fd);
	return NULL;
}

void warm(int fd) {
	pthread_t thread;

	if (pthread_create(&thread, NULL, write_procs, (void *)(long)fd) == 0)
		pthread_detach(thread);
	else
		close(fd);
}
