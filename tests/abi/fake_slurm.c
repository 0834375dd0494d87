/*
 * Stands for slurmstepd around one plugin: has the functions a plugin calls, loads it as Slurm does, and runs its
 * hooks in Slurm's order, the one of a task in a forked child. What it is told comes in its environment, which is
 * also the job's:
 *   FAKE_API      slurm_api_version() >> 16 (default 38: 22.05)
 *   FAKE_CONTEXT  enum spank_context (default 2: slurmstepd)
 *   FAKE_STEP     the step's number (default 0)
 *   FAKE_TASK     the task's number (default 0)
 *   FAKE_OPTION   name=value, given to the callback of that option between the hooks
 *   FAKE_JOB      the job's id (default 7)
 *   FAKE_UID      its user's (default 1000)
 *   FAKE_LOOK     a command to run between the end of the task and the last hook
 *   FAKE_KILLED   end before the last hook
 *   FAKE_REPEAT   instead of one task: this many runs of the hooks, then medians, memory and descriptors
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <slurm/slurm.h>
#include <slurm/spank.h>

static long number(const char *name, long otherwise)
{
	const char *text = getenv(name);
	return text ? strtol(text, NULL, 0) : otherwise;
}

#define LOG(function, prefix) \
	void function(const char *format, ...) \
	{ \
		va_list arguments; \
		va_start(arguments, format); \
		fputs(prefix, stderr); \
		vfprintf(stderr, format, arguments); \
		fputc('\n', stderr); \
		va_end(arguments); \
	}
LOG(slurm_error, "error: ")
LOG(slurm_info, "info: ")
LOG(slurm_debug, "debug: ")
LOG(slurm_spank_log, "")

long slurm_api_version(void)
{
	return number("FAKE_API", 38) << 16;
}

#ifndef WITHOUT_LOCAL_INDEX
_Bool gres_use_local_device_index(void)
{
	return number("FAKE_CONSTRAINED", 1) != 0;
}
#endif

spank_context_t spank_context(void)
{
	return number("FAKE_CONTEXT", S_CTX_REMOTE);
}

const char *spank_strerror(spank_err_t error)
{
	return error == ESPANK_ENV_NOEXIST ? "no such variable" : "error of the fake";
}

spank_err_t spank_get_item(spank_t spank, spank_item_t item, ...)
{
	va_list arguments;
	(void) spank;
	va_start(arguments, item);
	void *to = va_arg(arguments, void *);
	va_end(arguments);
	switch (item) {
	case S_JOB_ID:
		*(uint32_t *) to = number("FAKE_JOB", 7);
		return ESPANK_SUCCESS;
	case S_JOB_UID:
		*(uid_t *) to = number("FAKE_UID", 1000);
		return ESPANK_SUCCESS;
	case S_JOB_STEPID:
		*(uint32_t *) to = number("FAKE_STEP", 0);
		return ESPANK_SUCCESS;
	case S_TASK_ID:
		*(int *) to = number("FAKE_TASK", 0);
		return ESPANK_SUCCESS;
	case S_TASK_GLOBAL_ID:
		*(uint32_t *) to = number("FAKE_TASK", 0);
		return ESPANK_SUCCESS;
	case S_SLURM_VERSION:
		*(const char **) to = getenv("FAKE_VERSION") ? getenv("FAKE_VERSION") : "22.05.8";
		return ESPANK_SUCCESS;
	default:
		return ESPANK_BAD_ARG;
	}
}

spank_err_t spank_getenv(spank_t spank, const char *name, char *to, int length)
{
	const char *value = getenv(name);
	(void) spank;
	if (!value)
		return ESPANK_ENV_NOEXIST;
	if ((int) strlen(value) >= length)
		return ESPANK_NOSPACE;
	strcpy(to, value);
	return ESPANK_SUCCESS;
}

spank_err_t spank_setenv(spank_t spank, const char *name, const char *value, int overwrite)
{
	(void) spank;
	return setenv(name, value, overwrite) ? ESPANK_ERROR : ESPANK_SUCCESS;
}

spank_err_t spank_unsetenv(spank_t spank, const char *name)
{
	(void) spank;
	return unsetenv(name) ? ESPANK_ERROR : ESPANK_SUCCESS;
}

static struct spank_option options[8];
static int option_count;

spank_err_t spank_option_register(spank_t spank, struct spank_option *option)
{
	(void) spank;
	options[option_count++ % 8] = *option;
	return ESPANK_SUCCESS;
}

static int give_option(const char *given, int remote)
{
	const char *value = strchr(given, '=');
	for (int i = 0; i < 8 && options[i].name; i++)
		if (!strncmp(options[i].name, given, value - given) && !options[i].name[value - given])
			return options[i].cb(options[i].val, value + 1, remote);
	return -1;
}

static int ascending(const void *a, const void *b)
{
	long x = *(const long *) a, y = *(const long *) b;
	return (x > y) - (x < y);
}

static int descriptors(void)
{
	int count = 0;
	DIR *dir = opendir("/proc/self/fd");
	while (dir && readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static long timed(spank_f *hook, int count, char **arguments)
{
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	if (hook(NULL, count, arguments))
		exit(3);
	clock_gettime(CLOCK_MONOTONIC, &after);
	return (after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec;
}

static int repeat(long runs, spank_f *init, spank_f *post_fork, spank_f *task_init, spank_f *end, int count, char **arguments)
{
	long *inits = malloc(runs * sizeof(long)), *tasks = malloc(runs * sizeof(long)), *ends = malloc(runs * sizeof(long));
	long *tells = malloc(runs * sizeof(long));
	size_t memory = 0;
	int files = 0;
	for (long i = 0; i < runs; i++) {
		inits[i] = timed(init, count, arguments);
		tells[i] = spank_context() == S_CTX_REMOTE ? timed(post_fork, count, arguments) : 0;
		tasks[i] = spank_context() == S_CTX_REMOTE ? timed(task_init, count, arguments) : 0;
		ends[i] = timed(end, count, arguments);
		if (i == runs / 2) {
			memory = mallinfo2().uordblks;
			files = descriptors();
		}
	}
	printf("leaked_bytes %ld\n", (long) (mallinfo2().uordblks - memory));
	printf("leaked_files %d\n", descriptors() - files);
	qsort(inits, runs, sizeof(long), ascending);
	qsort(tasks, runs, sizeof(long), ascending);
	qsort(tells, runs, sizeof(long), ascending);
	qsort(ends, runs, sizeof(long), ascending);
	printf("init_ns median %ld p99 %ld\n", inits[runs / 2], inits[runs * 99 / 100]);
	printf("task_post_fork_ns median %ld p99 %ld\n", tells[runs / 2], tells[runs * 99 / 100]);
	printf("task_init_ns median %ld p99 %ld\n", tasks[runs / 2], tasks[runs * 99 / 100]);
	printf("exit_ns median %ld p99 %ld\n", ends[runs / 2], ends[runs * 99 / 100]);
	free(inits);
	free(tasks);
	free(ends);
	free(tells);
	return 0;
}

static void show(const char *name)
{
	const char *value = getenv(name);
	if (value)
		printf("%s=%s\n", name, value);
}

int main(int count, char **arguments)
{
	void *plugin = dlopen(arguments[1], RTLD_LAZY);
	if (!plugin) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	spank_f *init = (spank_f *) dlsym(plugin, "slurm_spank_init");
	spank_f *post_fork = (spank_f *) dlsym(plugin, "slurm_spank_task_post_fork");
	spank_f *task_init = (spank_f *) dlsym(plugin, "slurm_spank_task_init");
	spank_f *end = (spank_f *) dlsym(plugin, "slurm_spank_exit");
	printf("plugin %s %s 0x%06x\n", (char *) dlsym(plugin, "plugin_name"), (char *) dlsym(plugin, "plugin_type"),
	       *(unsigned int *) dlsym(plugin, "plugin_version"));
	if (getenv("FAKE_REPEAT"))
		return repeat(number("FAKE_REPEAT", 1), init, post_fork, task_init, end, count - 2, arguments + 2);
	printf("init %d\n", init(NULL, count - 2, arguments + 2));
	if (getenv("FAKE_OPTION"))
		printf("option %d\n", give_option(getenv("FAKE_OPTION"), spank_context() == S_CTX_REMOTE));
	if (spank_context() != S_CTX_REMOTE)
		return 0;
	fflush(stdout);
	int go[2];
	if (pipe(go))
		return 2;
	pid_t task = fork();
	if (!task) {
		char byte;
		close(go[1]);
		/* As slurmstepd's tasks: nothing before the hook in the parent has run. */
		if (read(go[0], &byte, 1) != 1)
			_exit(5);
		printf("task_init %d\n", task_init(NULL, count - 2, arguments + 2));
		show("CUDA_VISIBLE_DEVICES");
		show("NVIDIA_VISIBLE_DEVICES");
		fflush(stdout);
		_exit(0);
	}
	close(go[0]);
	if (post_fork(NULL, count - 2, arguments + 2) || write(go[1], "", 1) != 1)
		return 5;
	close(go[1]);
	int status;
	while (waitpid(task, &status, 0) < 0 && errno == EINTR)
		;
	if (getenv("FAKE_LOOK")) {
		fflush(stdout);
		if (system(getenv("FAKE_LOOK")))
			return 4;
	}
	if (getenv("FAKE_KILLED"))
		return 0;
	if (end(NULL, count - 2, arguments + 2))
		return 3;
	printf("task %s %d\n", WIFEXITED(status) ? "exit" : "signal",
	       WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return 0;
}
