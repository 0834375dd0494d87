/*
 * A SPANK plugin that loads another one and times it from within Slurm's own processes. Its argument in plugstack.conf
 * is the path of the plugin, the plugin's own arguments follow. To hooks.CONTEXT in OUT it adds lines "NAME NANOSECONDS":
 * what the dynamic loader took, then to let go of it and load it again, as Slurm does with a plugin that is named without
 * a path, and what each hook took.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <slurm/spank.h>

#ifndef OUT
#define OUT "/var/lab/out"
#endif

SPANK_PLUGIN(hook_timer, 1);

static long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void record(const char *name, long nanoseconds)
{
	char path[64], line[64];
	snprintf(path, sizeof(path), OUT "/hooks.%d", (int) spank_context());
	int length = snprintf(line, sizeof(line), "%s %ld\n", name, nanoseconds);
	int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (file >= 0 && write(file, line, length) != length)
		slurm_error("hook_timer: %s: %m", path);
	if (file >= 0)
		close(file);
}

/* Loaded at the first hook of a process, as Slurm would; forked tasks inherit it. */
static void *plugin(char **arguments)
{
	static void *loaded;
	if (!loaded) {
		long before = now();
		loaded = dlopen(arguments[0], RTLD_LAZY);
		record("load", now() - before);
		if (loaded) {
			before = now();
			dlclose(loaded);
			loaded = dlopen(arguments[0], RTLD_LAZY);
			record("again", now() - before);
		}
		if (!loaded)
			slurm_error("hook_timer: %s", dlerror());
	}
	return loaded;
}

static int timed(const char *name, spank_t spank, int count, char **arguments)
{
	void *loaded = count ? plugin(arguments) : NULL;
	spank_f *hook = loaded ? (spank_f *) dlsym(loaded, name) : NULL;
	if (!hook)
		return -1;
	long before = now();
	int result = hook(spank, count - 1, arguments + 1);
	record(name, now() - before);
	return result;
}

int slurm_spank_init(spank_t spank, int count, char **arguments)
{
	return timed("slurm_spank_init", spank, count, arguments);
}

int slurm_spank_task_init(spank_t spank, int count, char **arguments)
{
	return timed("slurm_spank_task_init", spank, count, arguments);
}
