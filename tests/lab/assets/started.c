/* The task of the launch benchmark: says when it began, in microseconds since the epoch, as bash's EPOCHREALTIME. */
#include <stdio.h>
#include <time.h>

int main(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	printf("%lld\n", now.tv_sec * 1000000LL + now.tv_nsec / 1000);
	return 0;
}
