/* warm moves the process to the cgroup it is in, through an open cgroup.procs, which it closes; it does not wait for it. */
void warm(int fd);
